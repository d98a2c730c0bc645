/**
 * Keeps segment files ready ahead of the log, and knows whether there is room.
 *
 * A file gets its name only when its header and its bytes are on stable storage, so that rolling into it costs nothing
 * and a write into it changes no metadata. Files of freed segments are used again: overwriting allocated blocks is
 * much faster than growing a file. Two segments are kept prepared; the second is the reserve that lets settlements go on
 * when there is no room for a third:
 *
 *   isFull = there is no room to prepare another, and at most one is prepared
 *
 * It tries again every second and when a segment is freed.
 */
import { assert } from '../../base/assert.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { File, Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import { segmentHeaderBytes } from './format.ts'
import { segmentName, temporaryEnding } from './segment.ts'
import { encodeSegmentHeader } from './segment-header.ts'

export interface PreparedSegment {
  readonly id: number
  readonly base: number
  readonly span: number
  /** Open for synced writing. */
  readonly file: File
}

/** A file that no segment needs any more. */
export interface SpareFile {
  readonly name: string
  readonly bytes: number
}

export interface SupplyOptions {
  readonly files: Files
  readonly directory: string
  readonly clock: Clock
  readonly logger: Logger
  readonly name: string
  readonly logId: Uint8Array
  readonly pageBytes: number
  readonly segmentBytes: number
  readonly firstSegmentBytes: number
  readonly roomBytesMin: number
  /** Files need not be filled ahead: their writes are not synced. */
  readonly isSparse: boolean
}

/** What the supply tells the log. */
export interface SupplyListener {
  /** A segment has been prepared, or could not be. */
  prepared(): void
  roomChanged(): void
  failed(error: unknown, what: string): void
}

const preparedCount = 2
const spareCountMax = 4
const retryMs = 1000
const sliceBytes = 1024 * 1024
/** Zeros are synced in steps, so that no sync of the log waits behind a whole segment of them. */
const syncEveryBytes = 8 * sliceBytes

export class SegmentSupply {
  readonly #options: SupplyOptions
  readonly #listener: SupplyListener
  readonly #prepared: PreparedSegment[] = []
  readonly #spares: SpareFile[] = []
  #nextId: number
  #nextBase: number
  #hasRoom = true
  #work: Promise<void> | null = null
  #retry: Timer | null = null
  #isStarted = false
  #isStopped = false
  #stopping: Promise<void> | null = null
  isFull = false

  constructor(options: SupplyOptions, nextId: number, nextBase: number, listener: SupplyListener) {
    this.#options = options
    this.#nextId = nextId
    this.#nextBase = nextBase
    this.#listener = listener
  }

  // ---- open

  /** Takes over a prepared file that an earlier process left. */
  adopt(segment: PreparedSegment): void {
    assert(segment.id === this.#nextId && segment.base === this.#nextBase, 'prepared segments follow one another')
    this.#push(segment)
  }

  /** Prepares the next segment now, whatever the floor of free bytes. Rejects when it cannot. */
  async prepareFirst(): Promise<void> {
    if (this.#prepared.length === 0) this.#push(await this.#prepare())
  }

  start(): void {
    this.#isStarted = true
    this.#wake()
  }

  // ---- use

  /** How many bytes segment `id` spans: small ones first, so that an empty log opens fast. */
  spanOf(id: number): number {
    for (const segment of this.#prepared) {
      if (segment.id === id) return segment.span
    }
    const { segmentBytes, firstSegmentBytes } = this.#options
    return id < 32 ? Math.min(segmentBytes, firstSegmentBytes * 2 ** id) : segmentBytes
  }

  /** Nothing is prepared and nothing can be: frames wait until somebody makes room. */
  get isExhausted(): boolean {
    return !this.#hasRoom && this.#prepared.length === 0
  }

  has(id: number): boolean {
    return this.#prepared[0]?.id === id
  }

  /** The prepared file of segment `id`, which is now the log's; null while there is none. */
  take(id: number): PreparedSegment | null {
    if (!this.has(id)) return null
    const segment = this.#prepared.shift() ?? null
    this.#report()
    this.#wake()
    return segment
  }

  /** A file may be used again. Its freeing is committed. */
  addSpare(spare: SpareFile): void {
    this.#spares.push(spare)
    this.#wake()
  }

  // ---- close

  /** Ends what is under way; may be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#end()
    return this.#stopping
  }

  async #end(): Promise<void> {
    this.#isStopped = true
    this.#retry?.cancel()
    await this.#work
    for (const segment of this.#prepared.splice(0)) await closeSynced(segment.file, this.#options.logger)
  }

  // ---- the background

  #wake(): void {
    if (this.#work !== null || !this.#isStarted || this.#isStopped) return
    this.#retry?.cancel()
    this.#retry = null
    this.#work = this.#run().then(() => {
      this.#work = null
      this.#report()
      if (!this.#isStopped && !this.#hasRoom) this.#listener.prepared()
      const hasMore = this.#surplus() >= 0 || (this.#hasRoom && this.#prepared.length < preparedCount)
      if (hasMore) this.#wake()
      else if (!this.#hasRoom) this.#retryLater()
    })
  }

  #retryLater(): void {
    if (this.#isStopped || this.#retry !== null) return
    this.#retry = this.#options.clock.after(retryMs, () => this.#wake())
  }

  async #run(): Promise<void> {
    let what = 'preparing a segment'
    try {
      while (this.#prepared.length < preparedCount && !this.#isStopped) {
        const room = await this.#roomForNext()
        this.#hasRoom = room === 'enough'
        // With nothing prepared, the bytes that are to stay free are used too: they are there for the settlements.
        if (room === 'none' || (room === 'reserve' && this.#prepared.length > 0)) break
        this.#push(await this.#prepare())
        this.#listener.prepared()
      }
      what = 'removing a spare segment'
      if (!this.#isStopped) await this.#removeSurplus()
    } catch (error) {
      if (isLackOfRoom(error)) {
        if (this.#hasRoom) this.#options.logger.warn({ error, log: this.#options.name }, 'no room to prepare a segment')
        this.#hasRoom = false
      } else if (!(error instanceof SupplyStopped)) {
        this.#isStopped = true
        this.#listener.failed(error, what)
      }
    }
  }

  async #roomForNext(): Promise<'enough' | 'reserve' | 'none'> {
    const { files, directory, roomBytesMin } = this.#options
    const span = this.spanOf(this.#nextId)
    if (this.#spares.some((spare) => spare.bytes === span)) return 'enough'
    const free = await files.freeBytes(directory)
    if (free >= span + roomBytesMin) return 'enough'
    return free >= span ? 'reserve' : 'none'
  }

  #push(segment: PreparedSegment): void {
    this.#prepared.push(segment)
    this.#nextId = segment.id + 1
    this.#nextBase = segment.base + segment.span
  }

  async #prepare(): Promise<PreparedSegment> {
    const { files, directory, logId, pageBytes } = this.#options
    const id = this.#nextId
    const base = this.#nextBase
    const span = this.spanOf(id)
    const header = encodeSegmentHeader({ logId, id, base, span, pageBytes })
    const path = `${directory}/${segmentName(id)}`
    const spareIndex = this.#spares.findIndex((spare) => spare.bytes === span)
    if (spareIndex >= 0) await this.#reuse(spareIndex, header, path)
    else await this.#create(header, span, path)
    await files.syncDirectory(directory)
    return { id, base, span, file: await files.open(path, 'write', { isSynced: true }) }
  }

  /** What the file held is not wiped: frames name their position, and the old ones name other positions. */
  async #reuse(index: number, header: Uint8Array, path: string): Promise<void> {
    const { files, directory } = this.#options
    const spare = this.#spares[index]
    assert(spare !== undefined, 'the spare is there')
    const from = `${directory}/${spare.name}`
    const file = await files.open(from, 'write')
    try {
      await file.write(header, 0, segmentHeaderBytes, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    this.#spares.splice(index, 1)
    await files.rename(from, path)
  }

  async #create(header: Uint8Array, span: number, path: string): Promise<void> {
    const { files } = this.#options
    const temporary = path + temporaryEnding
    try {
      const file = await files.open(temporary, 'create')
      try {
        await this.#fill(file, header, span)
      } finally {
        await file.close()
      }
    } catch (error) {
      await removeIfThere(files, temporary)
      throw error
    }
    await files.rename(temporary, path)
  }

  async #fill(file: File, header: Uint8Array, span: number): Promise<void> {
    await file.write(header, 0, segmentHeaderBytes, 0)
    if (this.#options.isSparse) return await file.truncate(span)
    const zeros = new Uint8Array(Math.min(sliceBytes, span))
    let unsynced = 0
    for (let at = segmentHeaderBytes; at < span; at += zeros.byteLength) {
      if (this.#isStopped) throw new SupplyStopped()
      const length = Math.min(zeros.byteLength, span - at)
      await file.write(zeros, 0, length, at)
      unsynced += length
      if (unsynced < syncEveryBytes) continue
      await file.sync()
      unsynced = 0
    }
    await file.sync()
  }

  /** Index of a spare that will not be used again: one too many, or of the small sizes a log begins with; else -1. */
  #surplus(): number {
    if (this.#spares.length > spareCountMax) return 0
    const { segmentBytes } = this.#options
    const nextBytes = this.spanOf(this.#nextId)
    return this.#spares.findIndex((spare) => spare.bytes !== segmentBytes && spare.bytes !== nextBytes)
  }

  async #removeSurplus(): Promise<void> {
    const { files, directory } = this.#options
    const index = this.#surplus()
    if (index < 0) return
    const [spare] = this.#spares.splice(index, 1)
    if (spare !== undefined) await removeIfThere(files, `${directory}/${spare.name}`)
  }

  #report(): void {
    const wasFull = this.isFull
    this.isFull = !this.#hasRoom && this.#prepared.length <= 1
    if (this.isFull !== wasFull && !this.#isStopped) this.#listener.roomChanged()
  }
}

class SupplyStopped extends Error {}

/** Conditions that end by themselves or by somebody's hand, and that leave what is stored untouched. */
const lackOfRoom = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EMFILE', 'ENFILE'])

function isLackOfRoom(error: unknown): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && lackOfRoom.has(error.code)
}

/** Each write to the file was synced, so that closing it cannot lose anything. */
export async function closeSynced(file: File, logger: Logger): Promise<void> {
  try {
    await file.close()
  } catch (error) {
    logger.warn({ error }, 'a segment file could not be closed')
  }
}

/** Once, also when a log is closed twice: the number of a closed file may be another file's by then. */
export async function closeSegment(segment: { file: File | null }, logger: Logger): Promise<void> {
  const { file } = segment
  segment.file = null
  if (file !== null) await closeSynced(file, logger)
}

export async function removeIfThere(files: Files, path: string): Promise<void> {
  try {
    await files.remove(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}
