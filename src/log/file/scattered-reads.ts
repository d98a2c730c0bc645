/**
 * Reads records that lie here and there in the log: not whole pages, of which little else would be used, but the blocks
 * that hold them, each verified; the records themselves are kept in the record cache. Blocks of a page that lie near one another
 * are one read.
 *
 *   gather ──near one another──► one page, as `load` does
 *      └──scattered──► page by page: its table known ──► runs of blocks ──► record cache
 *                                    not known ──► the whole page, which also gives the table
 *
 * One gathering is under way at a time, so that what it brings is there when it calls back. What goes wrong is
 * not judged here: a first record that did not come is loaded with its page, and that says why.
 */
import type { Clock } from '../../base/clock.ts'
import { gatherRecordsMax, type Position } from '../log.ts'
import type { BlockTable, BlockTables } from './block-table.ts'
import { recordHeaderBytes } from './format.ts'
import type { Page, PageCache } from './page-cache.ts'
import type { PageLoader } from './page-loader.ts'
import type { RecordCache } from './record-cache.ts'
import { findSegment, type LogSegment } from './segment.ts'
import type { SegmentReader } from './segment-reader.ts'

/** Where the records that come first lie in few pages, they are not scattered: a page serves them, and those that follow. */
const nearRecords = 64
const nearPagesMax = 4
/** Pages read from at a time. */
const lanes = 2
/** Bytes between two blocks that are rather read too than asked for separately: a call costs as much as copying about so many. */
const gapBytesMax = 128 * 1024
/** How long one gathering goes on to new pages, in milliseconds: whoever asked waits for its end. */
const gatherMsMax = 50

type Loaded = (error: Error | null) => void

interface Gathering {
  readonly first: Position
  /** Of records that are not in memory, ascending. */
  readonly positions: Float64Array
  readonly loaded: Loaded
}

/** Positions [from, to) of a gathering, all in one page. */
interface PageShare {
  readonly page: number
  readonly from: number
  readonly to: number
}

export interface ScatteredReadsOptions {
  readonly reader: SegmentReader
  readonly loader: PageLoader
  readonly cache: PageCache
  readonly tables: BlockTables
  readonly records: RecordCache
  readonly clock: Clock
  readonly pageBytes: number
  segments(): readonly LogSegment[]
}

export class ScatteredReads {
  readonly #options: ScatteredReadsOptions
  readonly #waiting: Gathering[] = []
  #running: Promise<void> | null = null
  #isClosed = false
  /** Of the gathering that is under way. */
  #recordsLeft = 0
  #bytesLeft = 0

  constructor(options: ScatteredReadsOptions) {
    this.#options = options
  }

  /** See `Log.gather`. */
  gather(positions: readonly Position[], loaded: Loaded): void {
    const first = positions[0] as Position
    const missing = this.#isNear(positions) ? nothing : this.#missing(Float64Array.from(positions).sort())
    if (missing.length === 0) {
      this.#load(first, loaded)
      return
    }
    this.#waiting.push({ first, positions: missing, loaded })
    this.#running ??= this.#run()
  }

  /** Reads no more, and answers those who wait as if they had asked for one record each. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#running
  }

  #load(position: Position, loaded: Loaded): void {
    this.#options.loader.load(findSegment(this.#options.segments(), position), position, loaded)
  }

  /** Those that are not in memory, in the same array. `positions` ascend. */
  #missing(positions: Float64Array): Float64Array {
    const { cache, records, pageBytes } = this.#options
    let count = 0
    let number = -1
    let page: Page | null = null
    for (let index = 0; index < positions.length; index++) {
      const position = positions[index] as Position
      if (position >= (number + 1) * pageBytes) {
        number = Math.floor(position / pageBytes)
        page = cache.find(number)
      }
      if (page?.isReadable(position - number * pageBytes) === true || records.find(position)) continue
      positions[count++] = position
    }
    return positions.subarray(0, count)
  }

  #isNear(positions: readonly Position[]): boolean {
    const pages = new Set<number>()
    for (let index = 0; index < positions.length && index < nearRecords; index++) {
      pages.add(Math.floor((positions[index] as Position) / this.#options.pageBytes))
    }
    return pages.size <= nearPagesMax
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#gather(next)
      if (this.#options.records.find(next.first)) next.loaded(null)
      else this.#load(next.first, next.loaded)
    }
    this.#running = null
  }

  async #gather(gathering: Gathering): Promise<void> {
    const { clock, records } = this.#options
    const shares = this.#sharesOf(gathering)
    const end = clock.monotonic() + gatherMsMax
    this.#recordsLeft = gatherRecordsMax
    this.#bytesLeft = records.halfBytes
    const lane = async (): Promise<void> => {
      for (let share = shares.shift(); share !== undefined && !this.#isClosed; share = shares.shift()) {
        await this.#readShare(gathering, share)
        if (clock.monotonic() >= end) return
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
  }

  /** The page of the first record comes first: whatever else there is no room or no time for, that one is there. */
  #sharesOf({ first, positions }: Gathering): PageShare[] {
    const { pageBytes } = this.#options
    const shares: PageShare[] = []
    for (let from = 0, to = 0; from < positions.length; from = to) {
      const page = Math.floor((positions[from] as number) / pageBytes)
      while (to < positions.length && (positions[to] as number) < (page + 1) * pageBytes) to++
      shares.push({ page, from, to })
    }
    const firstPage = Math.floor(first / pageBytes)
    const begin = Math.max(
      0,
      shares.findIndex(({ page }) => page === firstPage),
    )
    return [...shares.slice(begin), ...shares.slice(0, begin)]
  }

  async #readShare(gathering: Gathering, share: PageShare): Promise<void> {
    const { tables, segments } = this.#options
    const position = gathering.positions[share.from] as Position
    const segment = findSegment(segments(), position)
    if (segment === null) return
    const table = tables.find(share.page)
    if (table === null) await this.#readPage(segment, gathering, share)
    else for (const run of this.#runsOf(table, gathering, share)) await this.#readRun(segment, table, gathering, run)
  }

  /** The whole page, by which its table is known from then on. */
  #readPage(segment: LogSegment, gathering: Gathering, share: PageShare): Promise<void> {
    const { loader, cache, pageBytes } = this.#options
    const { positions } = gathering
    return new Promise((resolve) => {
      loader.load(segment, positions[share.from] as Position, () => {
        const page = cache.find(share.page)
        for (let index = share.from; page !== null && index < share.to; index++) {
          const position = positions[index] as Position
          const at = position - share.page * pageBytes
          if (page.isReadable(at)) this.#keep(page, position, at, page.verifiedEnd)
        }
        resolve()
      })
    })
  }

  /** Positions in blocks near one another, to be read at once. */
  #runsOf(table: BlockTable, { positions }: Gathering, { page, from, to }: PageShare): PageShare[] {
    const runs: PageShare[] = []
    let begin = from
    let end = -1
    for (let index = from; index < to; index++) {
      const block = table.find((positions[index] as Position) - page * this.#options.pageBytes)
      if (block < 0) continue
      if (end >= 0 && table.startOf(block) - end > gapBytesMax) {
        runs.push({ page, from: begin, to: index })
        begin = index
      }
      end = table.endOf(block)
    }
    runs.push({ page, from: begin, to })
    return runs
  }

  async #readRun(segment: LogSegment, table: BlockTable, gathering: Gathering, run: PageShare): Promise<void> {
    const { reader, loader, cache, pageBytes } = this.#options
    const pagePosition = run.page * pageBytes
    const blocks = blocksOf(table, gathering.positions, run, pagePosition)
    const start = blocks.length === 0 ? 0 : table.startOf(blocks[0] as number)
    const end = blocks.length === 0 ? 0 : table.endOf(blocks[blocks.length - 1] as number)
    if (start === end) return
    await loader.inTurn(async () => {
      const page = cache.take()
      const offset = pagePosition - segment.base + start
      // Why it cannot be read says the load of the record, if it is the first, now or later.
      const count = await reader.read(segment.id, page.bytes, end - start, offset).catch(() => 0)
      this.#keepRecords(gathering, run, { table, page, start, end: start + count })
      cache.giveBack(page)
    })
  }

  /** `read.page` holds the bytes from `read.start` on of the page in the file. */
  #keepRecords(
    { positions }: Gathering,
    { page: number, from, to }: PageShare,
    { table, page, start, end }: { table: BlockTable; page: Page; start: number; end: number },
  ): void {
    let verified = -1
    for (let index = from; index < to; index++) {
      const position = positions[index] as Position
      const offset = position - number * this.#options.pageBytes
      const block = table.find(offset)
      if (block < 0 || table.endOf(block) > end) continue
      const blockEnd = table.endOf(block) - start
      if (block !== verified && !table.isIntact(block, page.bytes.subarray(table.startOf(block) - start, blockEnd)))
        continue
      verified = block
      this.#keep(page, position, offset - start, blockEnd)
    }
  }

  /** Keeps the record at `at`, as long as there is room for this gathering. */
  #keep(page: Page, position: Position, at: number, limit: number): void {
    if (at + recordHeaderBytes > limit) return
    const bytes = recordHeaderBytes + page.view.getUint32(at, true)
    if (at + bytes > limit || bytes > this.#bytesLeft || this.#recordsLeft === 0) return
    this.#bytesLeft -= bytes
    this.#recordsLeft--
    this.#options.records.put(position, page.bytes, at, at + bytes)
  }
}

const nothing = new Float64Array(0)

/** The blocks of a run, ascending; one for each position that lies in any. */
function blocksOf(table: BlockTable, positions: Float64Array, run: PageShare, pagePosition: number): number[] {
  const blocks: number[] = []
  for (let index = run.from; index < run.to; index++) {
    const block = table.find((positions[index] as Position) - pagePosition)
    if (block >= 0) blocks.push(block)
  }
  return blocks
}
