/** A text file that only grows, line by line, in order. Not synced: it is for people and tests, nothing depends on it. */
import type { File, Files } from '../base/files.ts'
import type { Logger } from '../base/logger.ts'

/** A larger file is begun anew with the next start, in bytes. */
const bytesMax = 16 * 1024 * 1024

export class JournalFile {
  readonly #logger: Logger
  readonly #file: File
  #size: number
  #writing: Promise<void> = Promise.resolve()

  private constructor(file: File, size: number, logger: Logger) {
    this.#file = file
    this.#size = size
    this.#logger = logger
  }

  static async open(files: Files, path: string, logger: Logger): Promise<JournalFile> {
    const file = await openOrCreate(files, path)
    let size = await file.size()
    if (size > bytesMax) {
      await file.truncate(0)
      size = 0
    }
    return new JournalFile(file, size, logger)
  }

  /** Never throws; what cannot be written is said in the log. */
  write(line: string): void {
    const bytes = Buffer.from(line)
    const at = this.#size
    this.#size += bytes.length
    this.#writing = this.#writing
      .then(() => this.#file.write(bytes, 0, bytes.length, at))
      .catch((error: unknown) => this.#logger.warn({ error }, 'a line of the journal of ownership is lost'))
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#file.close()
  }
}

async function openOrCreate(files: Files, path: string): Promise<File> {
  try {
    return await files.open(path, 'create')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return await files.open(path, 'write')
    throw error
  }
}
