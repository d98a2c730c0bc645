/**
 * Reads segment files, a page at a time, with a few of them kept open. Knows nothing of what is in them.
 */
import type { File, Files } from '../../base/files.ts'
import { LogFailed } from '../log.ts'
import { segmentName } from './segment.ts'

const openFilesMax = 8

interface OpenFile {
  readonly opened: Promise<File>
  readers: number
  isForgotten: boolean
}

export class SegmentReader {
  readonly #files: Files
  readonly #directory: string
  /** In order of use; the first is the one used longest ago. */
  readonly #open = new Map<number, OpenFile>()
  readonly #reads = new Set<Promise<number>>()
  readonly #closing = new Set<Promise<void>>()
  #isClosed = false

  constructor(files: Files, directory: string) {
    this.#files = files
    this.#directory = directory
  }

  path(segmentId: number): string {
    return `${this.#directory}/${segmentName(segmentId)}`
  }

  /** Reads up to `length` bytes into `into` from its start; returns how many there were. */
  read(segmentId: number, into: Uint8Array, length: number, offset: number): Promise<number> {
    const work = this.#read(segmentId, into, length, offset)
    this.#reads.add(work)
    const done = (): void => {
      this.#reads.delete(work)
    }
    work.then(done, done)
    return work
  }

  async #read(segmentId: number, into: Uint8Array, length: number, offset: number): Promise<number> {
    const open = this.#use(segmentId)
    open.readers++
    try {
      const file = await open.opened
      return await file.read(into, 0, length, offset)
    } finally {
      open.readers--
      if (open.isForgotten && open.readers === 0) this.#end(open)
    }
  }

  /** The file is about to be used for something else. Whoever reads it just now still gets an answer. */
  forget(segmentId: number): void {
    const open = this.#open.get(segmentId)
    if (open === undefined) return
    this.#open.delete(segmentId)
    open.isForgotten = true
    if (open.readers === 0) this.#end(open)
  }

  /** Waits for reads that are under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const id of [...this.#open.keys()]) this.forget(id)
    while (this.#reads.size > 0) await Promise.allSettled(this.#reads)
    await Promise.all(this.#closing)
  }

  #use(segmentId: number): OpenFile {
    if (this.#isClosed) throw new LogFailed('the log is closed')
    let open = this.#open.get(segmentId)
    if (open === undefined) {
      const [oldest] = this.#open.keys()
      if (this.#open.size >= openFilesMax && oldest !== undefined) this.forget(oldest)
      open = this.#openFile(segmentId)
    } else {
      this.#open.delete(segmentId)
    }
    this.#open.set(segmentId, open)
    return open
  }

  #end(open: OpenFile): void {
    const closing = closeQuietly(open)
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }

  #openFile(segmentId: number): OpenFile {
    const opened = this.#files.open(this.path(segmentId), 'read')
    opened.catch(() => this.#open.delete(segmentId))
    return { opened, readers: 0, isForgotten: false }
  }
}

/** Nothing depends on closing a file that was only read. */
async function closeQuietly(open: OpenFile): Promise<void> {
  try {
    await (await open.opened).close()
  } catch {
    // see above
  }
}
