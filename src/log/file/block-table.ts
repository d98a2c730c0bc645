/**
 * Where the intact blocks of pages stand, and their checksums: what a record needs to be read without the rest of its page.
 *
 * A table is taken from a page that has been verified, and only then: so it is as trustworthy as the chain and the tables
 * on disk. Positions are never used for something else, so it stays true as long as the segment is live.
 */
import { crc32 } from 'node:zlib'

/** Memory for the tables of all pages, in bytes: of some 10 GB of log with full blocks. The one used longest ago goes first. */
export const tableBytesMax = 8 * 1024 * 1024
/** What a table takes besides its numbers, about, in bytes. */
const tableOverheadBytes = 200

export class BlockTable {
  /** `start, end, crc` of each block in turn, ascending; offsets in the page. */
  readonly #numbers: Uint32Array

  constructor(numbers: readonly number[]) {
    this.#numbers = Uint32Array.from(numbers)
  }

  get memoryBytes(): number {
    return this.#numbers.byteLength + tableOverheadBytes
  }

  /** The number of the block that holds the byte at `offset`; -1 when none does. */
  find(offset: number): number {
    let low = 0
    let high = this.#numbers.length / 3 - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      if (offset < this.startOf(middle)) high = middle - 1
      else if (offset >= this.endOf(middle)) low = middle + 1
      else return middle
    }
    return -1
  }

  startOf(block: number): number {
    return this.#numbers[3 * block] as number
  }

  endOf(block: number): number {
    return this.#numbers[3 * block + 1] as number
  }

  /** Whether these are the bytes of the block. */
  isIntact(block: number, bytes: Uint8Array): boolean {
    return crc32(bytes) === this.#numbers[3 * block + 2]
  }
}

/** The tables of the pages that were verified last, by page number. */
export class BlockTables {
  /** In order of use. */
  readonly #tables = new Map<number, BlockTable>()
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number = tableBytesMax) {
    this.#bytesMax = bytesMax
  }

  get memoryBytes(): number {
    return this.#bytes
  }

  find(page: number): BlockTable | null {
    const table = this.#tables.get(page)
    if (table === undefined) return null
    this.#tables.delete(page)
    this.#tables.set(page, table)
    return table
  }

  put(page: number, table: BlockTable): void {
    this.#remove(page)
    this.#tables.set(page, table)
    this.#bytes += table.memoryBytes
    for (const oldest of this.#tables.keys()) {
      if (this.#bytes <= this.#bytesMax) return
      this.#remove(oldest)
    }
  }

  /** Forgets the pages from `first` to `end - 1`. */
  drop(first: number, end: number): void {
    for (let page = first; page < end; page++) this.#remove(page)
  }

  #remove(page: number): void {
    const table = this.#tables.get(page)
    if (table === undefined) return
    this.#tables.delete(page)
    this.#bytes -= table.memoryBytes
  }
}
