/**
 * Lays records out as frames in the page that is being filled: blocks, block table, header, chain.
 *
 *   page  [ … stored frames | header | record record … | free … | room for the table ]
 *                             ^frameStart                 ^used
 *
 * Adding a record to the open block is one compare and a few stores; everything rarer (a new block, a new frame, a page
 * that is full) hides behind `#softLimit`. It does no I/O and does not know segments.
 */
import { crc32 } from 'node:zlib'
import { assert } from '../../base/assert.ts'
import type { Position } from '../log.ts'
import { alignUp, blockBytesTarget, blockEntryBytes, frameHeaderBytes, recordHeaderBytes } from './format.ts'
import { encodeFrameHeader, FrameHeader } from './frame.ts'
import type { Page } from './page-cache.ts'

/** What a frame leaves behind for the next one. */
export interface ChainState {
  readonly epoch: number
  readonly k: number
  readonly ordinal: number
  readonly chain: number
}

/** A closed frame in its page, ready to be stored. */
export interface BuiltFrame {
  readonly page: Page
  readonly offset: number
  readonly bytes: number
}

/** Smallest pair of neighbouring blocks is larger than the target, so a page never has more. */
const blocksMax = 4096

export class FrameBuilder {
  readonly #logId: Uint8Array
  readonly #header = new FrameHeader()
  readonly #blockBytes = new Uint32Array(blocksMax)
  readonly #blockCrcs = new Uint32Array(blocksMax)
  #page: Page
  #pagePosition = 0
  /** Where the next record or frame goes. */
  #used = 0
  /** Frames of this page end here at the latest; a multiple of 8. */
  #end = 0
  readonly #frameBytesMax: number
  /** The same, but for the frames that end a segment. */
  #frameLimit: number
  /** Up to here the open block takes records without a further look; 0 while no frame is open. */
  #softLimit = 0
  #frameStart = -1
  #blockStart = 0
  #blocks = 0
  #isEpochNext = false
  #epoch: number
  #k: number
  #ordinal: number
  #chain: number

  /** Position of the record reserved last. */
  position: Position = 0

  /** A frame takes no further record that makes it larger than `frameBytesMax`. */
  constructor(logId: Uint8Array, page: Page, state: ChainState, frameBytesMax = Number.POSITIVE_INFINITY) {
    this.#logId = logId
    this.#frameBytesMax = frameBytesMax
    this.#frameLimit = frameBytesMax
    this.#page = page
    this.#epoch = state.epoch
    this.#k = state.k
    this.#ordinal = state.ordinal
    this.#chain = state.chain
  }

  get buffer(): Uint8Array {
    return this.#page.bytes
  }

  get isOpen(): boolean {
    return this.#frameStart >= 0
  }

  /** Of the open frame; 0: none is open. */
  get openBytes(): number {
    return this.isOpen ? this.#used - this.#frameStart : 0
  }

  get ordinal(): number {
    return this.#ordinal
  }

  /** Of the last closed frame. */
  get chain(): number {
    return this.#chain
  }

  /** Offset in the page behind the last frame or record. */
  get used(): number {
    return this.#used
  }

  /** Goes on in `page`, whose first byte has the given position; frames may take the bytes from `from` to `end`. */
  turnTo(page: Page, pagePosition: number, from: number, end: number): void {
    assert(!this.isOpen, 'a frame stays in its page')
    this.#page = page
    this.#pagePosition = pagePosition
    this.#used = from
    this.#end = end
    this.#frameLimit = this.#frameBytesMax
  }

  /** Lets the frames that come use more of the page, and be larger: what ends a segment always finds its place. */
  extendTo(end: number): void {
    this.#end = end
    this.#frameLimit = Number.POSITIVE_INFINITY
  }

  /** The next frame is the first of a new epoch. */
  beginEpoch(): void {
    assert(!this.isOpen, 'an epoch begins with its own frame')
    this.#isEpochNext = true
  }

  /** Offset at which the record's bytes are to be written; -1 when this page has no room for it. `flag` is or-ed into its length. */
  reserve(byteLength: number, flag: number): number {
    const need = byteLength + recordHeaderBytes
    if (this.#used + need > this.#softLimit && !this.#makeRoom(need)) return -1
    const at = this.#used
    this.#page.view.setUint32(at, byteLength | flag, true)
    this.#used = at + need
    this.position = this.#pagePosition + at
    return at + recordHeaderBytes
  }

  #makeRoom(need: number): boolean {
    if (this.isOpen) {
      const end = alignUp(this.#used + need + (this.#blocks + 1) * blockEntryBytes)
      if (end > this.#end || end - this.#frameStart > this.#frameLimit) return false
      this.#closeBlock()
    } else {
      const start = alignUp(this.#used)
      if (alignUp(start + frameHeaderBytes + need + blockEntryBytes) > this.#end) return false
      this.#openFrame(start)
    }
    this.#blockStart = this.#used
    this.#blocks++
    const tableStart = this.#end - this.#blocks * blockEntryBytes
    const blockEnd = Math.min(this.#blockStart + blockBytesTarget, this.#frameStart + this.#frameLimit)
    this.#softLimit = Math.min(Math.max(blockEnd, this.#used + need), tableStart)
    assert(this.#used + need <= this.#softLimit && this.#blocks <= blocksMax, 'a reserved record lies inside its page')
    return true
  }

  #openFrame(start: number): void {
    this.#page.bytes.fill(0, this.#used, start)
    this.#frameStart = start
    this.#used = start + frameHeaderBytes
    this.#blocks = 0
    this.#k++
    this.#ordinal++
    if (this.#isEpochNext) {
      this.#isEpochNext = false
      this.#epoch = this.#pagePosition + start
      this.#k = 0
    }
  }

  /** One CRC call per 16 KiB: the native routine costs as much as 150 bytes of it before the first byte. */
  #closeBlock(): void {
    const index = this.#blocks - 1
    this.#blockBytes[index] = this.#used - this.#blockStart
    this.#blockCrcs[index] = crc32(this.#page.bytes.subarray(this.#blockStart, this.#used))
  }

  /** Ends the open frame, which holds at least one record. */
  close(): BuiltFrame {
    assert(this.isOpen, 'only an open frame is closed')
    this.#closeBlock()
    const { bytes, view } = this.#page
    const start = this.#frameStart
    const table = this.#used
    let at = table
    for (let index = 0; index < this.#blocks; index++, at += blockEntryBytes) {
      view.setUint32(at, this.#blockBytes[index] as number, true)
      view.setUint32(at + 4, this.#blockCrcs[index] as number, true)
    }
    const end = alignUp(at)
    bytes.fill(0, at, end)
    const header = this.#header
    header.position = this.#pagePosition + start
    header.epoch = this.#epoch
    header.k = this.#k
    header.ordinal = this.#ordinal
    header.payloadBytes = table - start - frameHeaderBytes
    header.blocks = this.#blocks
    header.tableCrc = crc32(bytes.subarray(table, at))
    header.previousChain = this.#chain
    this.#chain = encodeFrameHeader(bytes, view, start, this.#logId, header)
    this.#used = end
    this.#softLimit = 0
    this.#frameStart = -1
    return { page: this.#page, offset: start, bytes: end - start }
  }
}
