/** File logs of one kind, each in a directory of its own below one: `<root>/<id>/`. */
import type { Files } from '../../base/files.ts'
import { type FileLog, type FileLogOptions, openFileLog } from './file-log.ts'
import { removeIfThere } from './segment-supply.ts'

export interface LogDirectoriesOptions extends Omit<FileLogOptions, 'directory' | 'name' | 'segmentBytes'> {
  readonly root: string
  /** What messages call these logs, before the id. */
  readonly name: string
}

export class LogDirectories {
  readonly #options: LogDirectoriesOptions

  constructor(options: LogDirectoriesOptions) {
    this.#options = options
  }

  /** Opens the log `id`, or makes one. `segmentBytes` is rounded up to whole pages. */
  async open(id: number, segmentBytes: number): Promise<FileLog> {
    const { root, name, ...options } = this.#options
    await options.files.makeDirectory(root)
    const pageBytes = options.pageBytes ?? 1
    const whole = Math.ceil(segmentBytes / pageBytes) * pageBytes
    return await openFileLog({ ...options, directory: `${root}/${id}`, name: `${name} ${id}`, segmentBytes: whole })
  }

  /** Ids of the logs that are there. */
  async list(): Promise<number[]> {
    return await listLogDirectories(this.#options.files, this.#options.root)
  }

  /** Removes a log that nobody has open, or what is left of it. */
  async remove(id: number): Promise<void> {
    const { files, root } = this.#options
    const directory = `${root}/${id}`
    let names: string[]
    try {
      names = await files.list(directory)
    } catch (error) {
      if (isMissing(error)) return
      throw error
    }
    for (const name of names) await removeIfThere(files, `${directory}/${name}`)
    await files.removeDirectory(directory)
    await files.syncDirectory(root)
  }
}

/** Empty where there is no such directory. */
export async function listLogDirectories(files: Files, root: string): Promise<number[]> {
  try {
    return (await files.list(root)).filter((name) => /^\d{1,16}$/.test(name)).map(Number)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
