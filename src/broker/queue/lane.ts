/**
 * Sequences in the order of their keys. A key that is not below the last one goes to the end, in pages: 8 bytes an entry
 * whose key is its sequence, 16 in pages where one has another key. Any other goes to a heap, 16 bytes an entry.
 *
 * No call takes long, however many there are: a page is full or it is not, nothing is ever copied to grow.
 */
import { DeadlineHeap } from '../../base/deadline-heap.ts'

/** Entries of the first page and of most others; each has twice as many as the one before. */
const pageEntriesMin = 16
const pageEntriesMax = 256
/** Entries of the heap looked at in one `tidy`. */
const heapLooks = 256

/** Entries [from, to) of its columns. */
interface Page {
  readonly sequences: Float64Array
  /** Null as long as every key is the sequence. */
  keys: Float64Array | null
  from: number
  to: number
}

export class Lane {
  /** The key of what `first` found. */
  key = 0
  /** In ascending order of keys; none is empty but a last one. */
  readonly #pages: Page[] = []
  #paged = 0
  #lastKey = 0
  /** What came back: (key, sequence). */
  readonly #others = new DeadlineHeap()
  #isFirstOther = false
  /** The page that is tidied next. */
  #hand = 0

  /** Entries held, those that are gone included. */
  get size(): number {
    return this.#paged + this.#others.size
  }

  get memoryBytes(): number {
    const bytes = (page: Page): number => page.sequences.byteLength + (page.keys?.byteLength ?? 0)
    return this.#pages.reduce((sum, page) => sum + bytes(page), this.#others.memoryBytes)
  }

  add(key: number, sequence: number): void {
    if (this.#paged === 0 || key >= this.#lastKey) this.#append(key, sequence)
    else this.#others.push(key, sequence)
  }

  /** The sequence with the lowest key; 0 when there is none. Sets `key`. */
  first(): number {
    const page = this.#pages[0]
    const hasPaged = page !== undefined && page.from < page.to
    const pagedKey = hasPaged ? keyAt(page, page.from) : Number.POSITIVE_INFINITY
    this.#isFirstOther = this.#others.firstDeadline < pagedKey
    if (this.#isFirstOther) {
      this.key = this.#others.firstDeadline
      return this.#others.firstValue
    }
    this.key = hasPaged ? pagedKey : 0
    return hasPaged ? (page.sequences[page.from] as number) : 0
  }

  /**
   * Adds sequences to `into`, in the order of their keys, until it holds `countMax`; those that are gone are among them,
   * those that came back are not.
   */
  ahead(into: number[], countMax: number): void {
    for (const { sequences, from, to } of this.#pages) {
      for (let at = from; at < to; at++) {
        if (into.length >= countMax) return
        into.push(sequences[at] as number)
      }
    }
  }

  /** Takes out what `first` found. */
  drop(): void {
    if (this.#isFirstOther) return this.#others.pop()
    const page = this.#pages[0]
    if (page === undefined || page.from === page.to) return
    page.from++
    this.#paged--
    if (page.from === page.to) this.#leave(0)
  }

  /** Lets go of what is gone in one page, and of some in the heap. True when it has come round. */
  tidy(isThere: (sequence: number) => boolean): boolean {
    this.#others.sweep(heapLooks, (_key, sequence) => isThere(sequence))
    if (this.#hand >= this.#pages.length) this.#hand = 0
    const page = this.#pages[this.#hand]
    if (page === undefined) return true
    this.#paged -= keep(page, isThere)
    const before = this.#pages[this.#hand - 1]
    if (page.from === page.to) this.#leave(this.#hand)
    else if (before !== undefined && moveTo(before, page)) this.#pages.splice(this.#hand, 1)
    else this.#hand++
    if (this.#hand < this.#pages.length) return false
    this.#hand = 0
    return true
  }

  #append(key: number, sequence: number): void {
    let page = this.#pages[this.#pages.length - 1]
    if (page === undefined || page.to === page.sequences.length) {
      const entries = Math.min(pageEntriesMax, Math.max(pageEntriesMin, 2 * (page?.sequences.length ?? 0)))
      page = { sequences: new Float64Array(entries), keys: null, from: 0, to: 0 }
      this.#pages.push(page)
    }
    put(page, key, sequence)
    this.#lastKey = key
    this.#paged++
  }

  /** A page is empty. A small one that is the only one stays, to be used again. */
  #leave(index: number): void {
    const page = this.#pages[index] as Page
    if (this.#pages.length > 1 || page.sequences.length > pageEntriesMin) this.#pages.splice(index, 1)
    else {
      page.keys = null
      page.from = 0
      page.to = 0
    }
  }
}

function keyAt({ keys, sequences }: Page, at: number): number {
  return (keys ?? sequences)[at] as number
}

function put(page: Page, key: number, sequence: number): void {
  if (key !== sequence && page.keys === null) page.keys = page.sequences.slice()
  page.sequences[page.to] = sequence
  if (page.keys !== null) page.keys[page.to] = key
  page.to++
}

/** Keeps what is there. Returns how many were not. */
function keep(page: Page, isThere: (sequence: number) => boolean): number {
  const { sequences, keys, from, to } = page
  page.from = 0
  page.to = 0
  for (let at = from; at < to; at++) {
    const sequence = sequences[at] as number
    if (isThere(sequence)) put(page, (keys ?? sequences)[at] as number, sequence)
  }
  return to - from - page.to
}

/** Puts all of a page behind what is in the one before, if there is room. */
function moveTo(before: Page, page: Page): boolean {
  if (page.to - page.from > before.sequences.length - before.to) return false
  for (let at = page.from; at < page.to; at++) put(before, keyAt(page, at), page.sequences[at] as number)
  return true
}
