/**
 * Pages of the log in memory: those being filled, those not yet stored, and those kept or loaded for readers.
 *
 * Pinned pages (being filled or not yet stored) always stay; how many there are is bounded by whoever bounds the
 * uncommitted bytes. All others together with them stay below the limit: the one used longest ago makes room. The
 * page loaded last is not evicted, so that the `load` of a record is followed by a `view` that succeeds.
 */
import { assert } from '../../base/assert.ts'
import { viewOf } from './byte-codec.ts'

export class Page {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Position of its first byte divided by the page size; -1 while it holds nothing that may be read. */
  number = -1
  /** Frames in it that are not yet stored, and one more while it is being filled. */
  pins = 0
  lastUsed = 0
  /** What lies behind has not been verified and must not be seen. The whole page for those written by this process. */
  verifiedEnd = 0
  /** Offsets `start, end, start, end, …` that did not pass their checks; null for nearly every page. */
  damage: readonly number[] | null = null

  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes)
    this.view = viewOf(this.bytes)
  }

  isReadable(offset: number): boolean {
    if (offset >= this.verifiedEnd) return false
    const { damage } = this
    if (damage === null) return true
    for (let index = 0; index < damage.length; index += 2) {
      if (offset >= (damage[index] as number) && offset < (damage[index + 1] as number)) return false
    }
    return true
  }
}

export class PageCache {
  readonly #pageBytes: number
  readonly #pagesMax: number
  readonly #pages = new Map<number, Page>()
  /** Pages without content, kept for the next `take`. */
  readonly #idle: Page[] = []
  #uses = 0
  #loadedLast = -1

  constructor(pageBytes: number, cacheBytes: number) {
    this.#pageBytes = pageBytes
    this.#pagesMax = Math.max(4, Math.floor(cacheBytes / pageBytes))
  }

  /** Pages that hold memory. */
  get count(): number {
    return this.#pages.size + this.#idle.length
  }

  find(number: number): Page | null {
    const page = this.#pages.get(number)
    if (page === undefined) return null
    page.lastUsed = ++this.#uses
    return page
  }

  /** A page with nothing in it yet, not in the cache until `put`. */
  take(): Page {
    const page = this.#idle.pop()
    if (page !== undefined) return page
    if (this.#pages.size >= this.#pagesMax) {
      const evicted = this.#evict()
      if (evicted !== null) return evicted
    }
    return new Page(this.#pageBytes)
  }

  put(page: Page, number: number, verifiedEnd: number, damage: readonly number[] | null): void {
    assert(!this.#pages.has(number), 'a page is in the cache once')
    page.number = number
    page.verifiedEnd = verifiedEnd
    page.damage = damage
    page.lastUsed = ++this.#uses
    this.#pages.set(number, page)
  }

  markLoaded(number: number): void {
    this.#loadedLast = number
  }

  pin(page: Page): void {
    page.pins++
  }

  unpin(page: Page): void {
    assert(page.pins > 0, 'only a pinned page is unpinned')
    page.pins--
    if (page.pins === 0) this.#shrink()
  }

  /** A page from `take` that will not be put after all. */
  giveBack(page: Page): void {
    this.#release(page)
  }

  /** Forgets the pages from `first` to `end - 1`; none of them is pinned. */
  drop(first: number, end: number): void {
    for (let number = first; number < end; number++) {
      const page = this.#pages.get(number)
      if (page === undefined || page.pins > 0) continue
      this.#takeOut(page)
      this.#release(page)
    }
  }

  #shrink(): void {
    while (this.#pages.size > this.#pagesMax) {
      if (this.#evict() === null) return
    }
  }

  /** Takes the page used longest ago out of the cache. Few pages, and once per page of log: a scan will do. */
  #evict(): Page | null {
    let oldest: Page | null = null
    for (const page of this.#pages.values()) {
      if (page.pins > 0 || page.number === this.#loadedLast) continue
      if (oldest === null || page.lastUsed < oldest.lastUsed) oldest = page
    }
    if (oldest !== null) this.#takeOut(oldest)
    return oldest
  }

  /** From here on whoever still holds the page sees by its number that it is another one. */
  #takeOut(page: Page): void {
    this.#pages.delete(page.number)
    page.number = -1
  }

  #release(page: Page): void {
    if (this.count < this.#pagesMax) this.#idle.push(page)
  }
}
