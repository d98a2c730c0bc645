/**
 * Brings pages from segment files into the cache, verified block by block. Readers of the same page share one read.
 */
import type { Clock } from '../../base/clock.ts'
import { LogDamaged, LogFailed, type Position } from '../log.ts'
import { BlockTable, type BlockTables } from './block-table.ts'
import { blockEntryBytes, frameHeaderBytes, segmentHeaderBytes } from './format.ts'
import { decodeFrameHeader, FrameHeader, type FramePlace, findFrame, isBlockIntact, isTableIntact } from './frame.ts'
import type { PageCache } from './page-cache.ts'
import { damagedRange, type LogSegment } from './segment.ts'
import type { SegmentReader } from './segment-reader.ts'

type Loaded = (error: Error | null) => void

interface Request {
  readonly segment: LogSegment
  readonly page: number
  readonly waiters: { readonly position: Position; readonly loaded: Loaded }[]
}

/** Node does file calls in four threads: one must be free for the next commit, and one for preparing segments. */
const readsInFlightMax = 2

export interface PageLoaderOptions {
  readonly reader: SegmentReader
  readonly cache: PageCache
  /** Gets the table of each page that is read. */
  readonly tables: BlockTables
  readonly clock: Clock
  readonly logId: Uint8Array
  readonly pageBytes: number
}

export class PageLoader {
  readonly #options: PageLoaderOptions
  readonly #requests = new Map<number, Request>()
  readonly #queue: (() => Promise<void>)[] = []
  readonly #underWay = new Set<Promise<void>>()

  constructor(options: PageLoaderOptions) {
    this.#options = options
  }

  load(segment: LogSegment | null, position: Position, loaded: Loaded): void {
    const { clock, cache, pageBytes, reader } = this.#options
    const page = Math.floor(position / pageBytes)
    if (cache.find(page) !== null) clock.soon(() => this.#loadedSoon(segment, position, loaded))
    else if (segment === null) clock.soon(() => loaded(unreadable(reader, null, position)))
    else this.#request(segment, page, position, loaded)
  }

  /** The page was in memory; other loads may meanwhile have evicted it. */
  #loadedSoon(segment: LogSegment | null, position: Position, loaded: Loaded): void {
    const { cache, pageBytes, reader } = this.#options
    const number = Math.floor(position / pageBytes)
    const page = cache.find(number)
    if (page === null) {
      this.load(segment, position, loaded)
    } else {
      cache.markLoaded(number)
      loaded(page.isReadable(position - number * pageBytes) ? null : unreadable(reader, segment, position))
    }
  }

  /** Reads of others, which take their turn with those of pages. `work` never rejects for reasons of the disk. */
  inTurn(work: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push(() => work().then(resolve, reject))
      this.#next()
    })
  }

  /** Resolves when no read is under way. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  #request(segment: LogSegment, page: number, position: Position, loaded: Loaded): void {
    const there = this.#requests.get(page)
    const request: Request = there ?? { segment, page, waiters: [] }
    request.waiters.push({ position, loaded })
    if (there !== undefined) return
    this.#requests.set(page, request)
    this.#queue.push(() => this.#read(request))
    this.#next()
  }

  #next(): void {
    while (this.#underWay.size < readsInFlightMax) {
      const begin = this.#queue.shift()
      if (begin === undefined) return
      const work = begin()
      this.#underWay.add(work)
      void work.then(() => {
        this.#underWay.delete(work)
        this.#next()
      })
    }
  }

  /** Never rejects for reasons of the disk; those are told to whoever waits. */
  async #read(request: Request): Promise<void> {
    const { reader, cache, tables, logId, pageBytes } = this.#options
    const { segment, page: number } = request
    const page = cache.take()
    let failure: LogFailed | null = null
    try {
      const offset = number * pageBytes - segment.base
      const count = await reader.read(segment.id, page.bytes, pageBytes, offset)
      const place = { bytes: page.bytes, view: page.view, position: number * pageBytes, logId }
      const { verifiedEnd, damage, table } = verifyPage(place, offset === 0 ? segmentHeaderBytes : 0, count)
      cache.put(page, number, verifiedEnd, damage)
      cache.markLoaded(number)
      tables.put(number, table)
    } catch (cause) {
      cache.giveBack(page)
      failure = new LogFailed(`${reader.path(segment.id)} could not be read`, { cause })
    }
    this.#requests.delete(number)
    for (const { position, loaded } of request.waiters) {
      const isReadable = failure === null && page.number === number && page.isReadable(position - number * pageBytes)
      loaded(failure ?? (isReadable ? null : unreadable(reader, segment, position)))
    }
  }
}

function unreadable(reader: SegmentReader, segment: LogSegment | null, position: Position): LogDamaged {
  if (segment === null) return new LogDamaged(`position ${position} is in no live segment`)
  const offset = position - segment.base
  return damagedRange(
    reader.path(segment.id),
    segment.base,
    offset,
    offset + 1,
    'the block of this record does not pass its checks',
  )
}

/**
 * Which bytes of a page may be seen: those of intact blocks in frames that follow one another. Completeness is not judged
 * here; replay follows the chain from page to page.
 */
export function verifyPage(
  place: FramePlace,
  from: number,
  end: number,
): { verifiedEnd: number; damage: number[] | null; table: BlockTable } {
  const header = new FrameHeader()
  const found: Found = { damage: [], intact: [] }
  const { damage } = found
  /** Behind damage, or where the page begins, any frame may come. */
  let isLinked = false
  let chain = 0
  let at = from
  for (;;) {
    if (!decodeFrameHeader(place, at, end, header)) {
      const next = findFrame(place, at, end, header)
      if (next < 0) break
      damage.push(at, next)
      at = next
      isLinked = false
    }
    // A frame of another history of this log: what it and those behind it say cannot be trusted.
    if (isLinked && header.previousChain !== chain) break
    verifyBlocks(place, at, header, found)
    isLinked = true
    chain = header.chain
    at += header.bytes
  }
  return { verifiedEnd: at, damage: damage.length > 0 ? damage : null, table: new BlockTable(found.intact) }
}

interface Found {
  /** Offsets `start, end` in turn. */
  readonly damage: number[]
  /** `start, end, crc` in turn. */
  readonly intact: number[]
}

function verifyBlocks(place: FramePlace, at: number, header: FrameHeader, { damage, intact }: Found): void {
  let start = at + frameHeaderBytes
  let entry = start + header.payloadBytes
  if (!isTableIntact(place, at, header)) {
    damage.push(at, at + header.bytes)
    return
  }
  for (let block = 0; block < header.blocks; block++, entry += blockEntryBytes) {
    const blockEnd = start + place.view.getUint32(entry, true)
    if (isBlockIntact(place, entry, start)) intact.push(start, blockEnd, place.view.getUint32(entry + 4, true))
    else damage.push(start, blockEnd)
    start = blockEnd
  }
}
