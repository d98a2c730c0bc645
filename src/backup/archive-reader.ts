/** Reads a backup and checks it: each file against its sum, and that nothing is missing or too much. */
import { createHash, type Hash } from 'node:crypto'
import { readTar, TarDamaged, type TarEntry, type TarVisitor } from '../base/tar.ts'
import {
  type BackupFacts,
  backupFormat,
  countsName,
  factsName,
  isLogFile,
  jsonBytesMax,
  type QueueCount,
  type Sum,
  type Sums,
  sumsName,
  sumsOf,
} from './archive.ts'

/** What became of a whole archive. */
export interface ReadBackup {
  readonly facts: BackupFacts
  readonly counts: readonly QueueCount[]
  /** Of the files of logs. */
  readonly files: readonly Sum[]
}

/** Where the files of logs go. */
export interface LogFileSink {
  begin(name: string): Promise<void>
  part(bytes: Uint8Array): Promise<void>
  end(): Promise<void>
}

/** Throws `TarDamaged` with a sentence for anything but a whole backup in a format that is known. */
export async function readBackup(parts: AsyncIterable<Uint8Array>, sink: LogFileSink | null): Promise<ReadBackup> {
  const reader = new BackupReader(sink)
  await readTar(parts, reader)
  return reader.finish()
}

class BackupReader implements TarVisitor {
  readonly #sink: LogFileSink | null
  readonly #found: (TarEntry & { readonly sha256: string })[] = []
  readonly #texts = new Map<string, unknown>()
  #entry: TarEntry = { name: '', bytes: 0 }
  #hash: Hash = createHash('sha256')
  #text: Uint8Array[] | null = null

  constructor(sink: LogFileSink | null) {
    this.#sink = sink
  }

  async begin(entry: TarEntry): Promise<void> {
    const { name, bytes } = entry
    const isText = [factsName, countsName, sumsName].includes(name)
    if (!isText && !isLogFile(name)) throw new TarDamaged(`a backup has no file '${name}'`)
    if (isText && bytes > jsonBytesMax) throw new TarDamaged(`${name} has ${bytes} bytes, which is too much`)
    if (this.#texts.has(sumsName)) throw new TarDamaged(`'${name}' stands behind the end of the backup`)
    if (this.#found.length === 0 && name !== factsName) throw new TarDamaged('it is no backup of Warren')
    this.#entry = entry
    this.#hash = createHash('sha256')
    this.#text = isText ? [] : null
    if (!isText) await this.#sink?.begin(name)
  }

  async part(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes)
    if (this.#text !== null) this.#text.push(bytes.slice())
    else await this.#sink?.part(bytes)
  }

  async end(): Promise<void> {
    const { name } = this.#entry
    if (this.#text === null) await this.#sink?.end()
    else this.#texts.set(name, parsed(name, this.#text))
    if (name === factsName) this.#checkFormat()
    if (name !== sumsName) this.#found.push({ ...this.#entry, sha256: this.#hash.digest('hex') })
  }

  #checkFormat(): void {
    const { format } = this.#texts.get(factsName) as Partial<BackupFacts>
    if (format === backupFormat) return
    throw new TarDamaged(`it has format ${format}, and this version knows ${backupFormat}; use the one that wrote it`)
  }

  finish(): ReadBackup {
    const said = this.#texts.get(sumsName) as Partial<Sums> | undefined
    const sums = said?.files
    if (said === undefined || !Array.isArray(sums)) throw new TarDamaged('it is not whole: its sums are missing')
    if (sumsOf(sums).sha256 !== said.sha256) throw new TarDamaged('its sums are not as they were written')
    if (sums.length !== this.#found.length) throw new TarDamaged('it has other files than it says')
    for (const [index, { name, bytes, sha256 }] of this.#found.entries()) {
      const sum = sums[index] as Sum
      const isSame = sum.name === name && sum.bytes === bytes && sum.sha256 === sha256
      if (!isSame) throw new TarDamaged(`${name} is not as it was written (its SHA-256 is another)`)
      if (!Number.isSafeInteger(sum.fill) || sum.fill < bytes) throw new TarDamaged(`the size of ${name} cannot be`)
    }
    return {
      facts: this.#texts.get(factsName) as BackupFacts,
      counts: (this.#texts.get(countsName) ?? []) as readonly QueueCount[],
      files: sums.filter(({ name }: Sum) => isLogFile(name)),
    }
  }
}

function parsed(name: string, parts: readonly Uint8Array[]): unknown {
  try {
    const value: unknown = JSON.parse(Buffer.concat(parts).toString())
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Said below.
  }
  throw new TarDamaged(`${name} is no JSON`)
}
