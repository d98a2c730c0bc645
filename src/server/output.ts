import { ByteWriter, writeUint16, writeUint32 } from '../amqp/byte-writer.ts'
import { FrameTypes, frameEndOctet, frameHeaderBytes, frameOverheadBytes } from '../amqp/frame-decoder.ts'
import { encodeMethodFrame, heartbeatFrame } from '../amqp/frame-encoder.ts'
import type { Method } from '../amqp/methods.generated.ts'
import type { Arena, Block } from '../base/arena.ts'
import { blockClasses, copyBytes } from '../base/arena.ts'
import { assert } from '../base/assert.ts'
import type { Socket } from '../base/network.ts'
import type { Chunks } from '../broker/message.ts'
import type { Counted } from '../broker/statistics/recent.ts'
import type { ServerLimits } from './limits.ts'

/** Hears what the output cannot settle by itself. */
export interface OutputOwner {
  /** Something was written: call `flush` when this turn ends. */
  outputWaiting(): void
  /** There is room again after somebody was refused (`hasRoom` was false, or `isFull` was true). */
  outputDrained(): void
  /** The socket is gone, or a large body could not be read: the connection cannot go on. */
  outputFailed(error: Error): void
}

/**
 * What a connection has to send, in order, as whole frames. All of a turn goes out in one write.
 *
 *     sealed items: [block] [large body] [block] …      open block: frames of this turn
 *       ^ at most one write under way                      ^ `reserve` writes here
 *
 * Bytes are encoded into pooled blocks; a block goes back when its write has been called back, never before: a partly
 * written socket still owns it. A large body is an item that is read and sent piece by piece; what comes after it waits
 * behind it, only heartbeats go between its frames. The owner bounds what is put in by asking `hasRoom` and `isFull`.
 */
export class Output {
  /** Where `reserve` says to write. Changes from one `reserve` to the next. */
  buffer: Uint8Array = empty
  /** Largest frame the peer takes, in bytes. */
  frameBytesMax: number
  /** Bytes the socket has taken over so far. */
  bytesWritten = 0
  /** For whoever samples what the connection reads and writes. */
  readonly traffic: Counted = { recent: null }
  /** Another number for each block: while it is the same, what was written before is still in `buffer`. */
  stamp = 0
  readonly #socket: Socket
  readonly #arena: Arena
  readonly #limits: ServerLimits
  readonly #owner: OutputOwner
  #block: Block | null = null
  #at = 0
  #end = 0
  /** Size of the next open block: follows what a turn needs. */
  #blockBytes: number = blockClasses[0]
  #items: (Piece | LargeBody)[] = []
  #sealedBytes = 0
  #largeBodies = 0
  #writing: Piece | null = null
  #wasRefused = false
  #isHeartbeatDue = false
  #isClosed = false
  #whenEmpty: (() => void) | null = null

  constructor(socket: Socket, arena: Arena, limits: ServerLimits, owner: OutputOwner) {
    this.#socket = socket
    this.#arena = arena
    this.#limits = limits
    this.#owner = owner
    this.frameBytesMax = limits.frameBytesMin
  }

  /** Bytes that wait, what is being written included. */
  get waitingBytes(): number {
    return this.#sealedBytes + this.#at - (this.#block?.start ?? 0)
  }

  /** Whether there is room for more deliveries. Who is told that there is none is called by `outputDrained`. */
  get hasRoom(): boolean {
    if (this.waitingBytes < this.#limits.deliveryBytesMax && this.#largeBodies < this.#limits.largeBodiesMax)
      return true
    this.#wasRefused = true
    return false
  }

  /** Whether the peer reads so little that it should not be read either. */
  get isFull(): boolean {
    if (this.waitingBytes < this.#limits.outputBytesMax) return false
    this.#wasRefused = true
    return true
  }

  /** Whether a write is under way; for those who watch for peers that stopped reading. */
  get isWriting(): boolean {
    return this.#writing !== null
  }

  /** Makes room for `byteLength` bytes, which the caller writes to `buffer` from the returned place on, at once. */
  reserve(byteLength: number): number {
    const at = this.#at
    if (at + byteLength > this.#end) return this.#reserveSlow(byteLength)
    this.#at = at + byteLength
    return at
  }

  method(channelId: number, method: Method): void {
    scratch.reset()
    encodeMethodFrame(scratch, channelId, method)
    const at = this.reserve(scratch.length)
    copyBytes(scratch.buffer, 0, scratch.length, this.buffer, at)
  }

  /** The body frames of `from[start..end)`, cut to what the peer takes. */
  body(channelId: number, from: Uint8Array, start: number, end: number): void {
    const pieceBytesMax = this.frameBytesMax - frameOverheadBytes
    for (let at = start; at < end; at += pieceBytesMax) {
      const bytes = Math.min(pieceBytesMax, end - at)
      const to = this.reserve(bytes + frameOverheadBytes)
      writeFrame(this.buffer, to, channelId, from, at, bytes)
    }
  }

  /** The body frames of a body that is read piece by piece, when its turn has come. Releases the chunks. */
  largeBody(channelId: number, chunks: Chunks): void {
    if (this.#isClosed) {
      chunks.release()
      return
    }
    this.#seal()
    this.#items.push(new LargeBody(channelId, chunks))
    this.#largeBodies++
    this.#owner.outputWaiting()
  }

  /**
   * Sends a heartbeat, ahead of what waits behind a large body. Nothing is done where something is on its way already,
   * or would only wait for a peer that does not read.
   */
  heartbeat(): void {
    if (this.#writing !== null || this.#isClosed) return
    if (this.#items.length > 0) {
      this.#isHeartbeatDue = true
      this.#pump()
    } else if (this.#block === null) {
      const at = this.reserve(heartbeatFrame.length)
      copyBytes(heartbeatFrame, 0, heartbeatFrame.length, this.buffer, at)
    }
  }

  /** The turn is over: what it has written goes out. Behind items that wait the block stays open. */
  flush(): void {
    if (this.#block !== null && this.#writing === null && this.#items.length === 0) {
      this.#adaptBlockSize(this.#at - this.#block.start)
      this.#seal()
    }
    this.#pump()
  }

  /** Calls back once everything there is now has been written. Nothing is added afterwards. */
  whenEmpty(done: () => void): void {
    this.#whenEmpty = done
    this.#owner.outputWaiting()
  }

  /** Drops everything. What is being written goes back to the arena when the socket lets it go. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#block !== null) this.#arena.give(this.#block)
    this.#openBlock(null)
    for (const item of this.#items) {
      if (item instanceof LargeBody) item.chunks.release()
      else this.#arena.give(item.block)
    }
    this.#items = []
    this.#sealedBytes = 0
    this.#whenEmpty = null
  }

  // ---------------------------------------------------------------- blocks

  #reserveSlow(byteLength: number): number {
    if (this.#isClosed) {
      this.#openBlock({ buffer: new Uint8Array(byteLength), start: 0, end: byteLength })
      this.#at = byteLength
      return 0
    }
    if (this.#block === null) this.#owner.outputWaiting()
    else {
      this.#blockBytes = Math.min(this.#blockBytes * 8, blockClasses[2])
      this.#seal()
      // One block is full, so there is enough for a write of its own; more would only wait.
      this.#pump()
    }
    this.#openBlock(this.#arena.take(Math.max(byteLength, this.#blockBytes)))
    const at = this.#at
    this.#at = at + byteLength
    assert(this.#at <= this.#end, 'what was reserved fits in the block')
    return at
  }

  #openBlock(block: Block | null): void {
    this.stamp++
    this.#block = block
    this.buffer = block?.buffer ?? empty
    this.#at = block?.start ?? 0
    this.#end = block?.end ?? 0
  }

  /** The next block is as large as this turn's output would have needed; a large one is not held for little. */
  #adaptBlockSize(used: number): void {
    if (used * 8 < this.#blockBytes) this.#blockBytes = Math.max(this.#blockBytes / 8, blockClasses[0])
  }

  #seal(): void {
    const block = this.#block
    if (block === null) return
    if (this.#at === block.start) this.#arena.give(block)
    else {
      this.#items.push(new Piece(block, this.#at))
      this.#sealedBytes += this.#at - block.start
    }
    this.#openBlock(null)
  }

  // ---------------------------------------------------------------- writing

  /** Writes the next item, unless a write or a read of a large body is under way. */
  #pump(): void {
    if (this.#writing !== null || this.#isClosed) return
    const [next] = this.#items
    // Not inside a frame of a large body, which the peer takes for a sign of life anyway.
    const isInFrame = next instanceof LargeBody && next.frameBytesLeft > 0
    if (this.#isHeartbeatDue && !isInFrame) this.#writeHeartbeat()
    else if (next === undefined) this.#itemsDone()
    else if (next instanceof Piece) {
      this.#items.shift()
      this.#write(next)
    } else if (!next.isReading) this.#readOn(next)
  }

  #write(piece: Piece): void {
    this.#writing = piece
    const { block, end } = piece
    this.#socket.write(block.buffer.subarray(block.start, end), this.#written)
  }

  #writeHeartbeat(): void {
    this.#isHeartbeatDue = false
    const block = this.#arena.take(heartbeatFrame.length)
    copyBytes(heartbeatFrame, 0, heartbeatFrame.length, block.buffer, block.start)
    this.#sealedBytes += heartbeatFrame.length
    this.#write(new Piece(block, block.start + heartbeatFrame.length))
  }

  readonly #written = (error: Error | null): void => {
    const piece = this.#writing
    assert(piece !== null, 'a write that ends has begun')
    this.#writing = null
    const bytes = piece.end - piece.block.start
    this.#arena.give(piece.block)
    if (this.#isClosed) return
    this.#sealedBytes -= bytes
    if (error !== null) {
      this.#owner.outputFailed(error)
      return
    }
    this.bytesWritten += bytes
    this.#pump()
    this.#tellDrained()
  }

  #tellDrained(): void {
    if (!this.#wasRefused || this.#isClosed) return
    if (this.waitingBytes > this.#limits.deliveryBytesMax / 2) return
    if (this.#largeBodies >= this.#limits.largeBodiesMax) return
    this.#wasRefused = false
    this.#owner.outputDrained()
  }

  #itemsDone(): void {
    if (this.#block !== null) {
      this.#owner.outputWaiting()
      return
    }
    if (this.#whenEmpty === null) return
    const done = this.#whenEmpty
    this.#whenEmpty = null
    done()
  }

  // ---------------------------------------------------------------- large bodies

  #readOn(body: LargeBody): void {
    if (body.index === body.chunks.count) {
      this.#items.shift()
      this.#largeBodies--
      body.chunks.release()
      this.#pump()
      this.#tellDrained()
      return
    }
    body.isReading = true
    body.chunks.read(body.index, (error, buffer, start, end) => {
      body.isReading = false
      body.index++
      if (this.#isClosed) return
      if (error !== null) this.#owner.outputFailed(error)
      else this.#sendPiece(body, buffer, start, end)
    })
  }

  /**
   * The next bytes of a large body. Its frames are as large as the peer allows and so reach over several pieces: there
   * are clients that count frames, and take the body to be complete when the count is reached.
   */
  #sendPiece(body: LargeBody, from: Uint8Array, start: number, end: number): void {
    const frames = Math.ceil((end - start) / (this.frameBytesMax - frameOverheadBytes)) + 1
    const block = this.#arena.take(end - start + frames * frameOverheadBytes)
    let to = block.start
    for (let at = start; at < end; ) {
      if (body.frameBytesLeft === 0) to = this.#beginFrame(body, block.buffer, to)
      const bytes = Math.min(body.frameBytesLeft, end - at)
      copyBytes(from, at, at + bytes, block.buffer, to)
      at += bytes
      to += bytes
      body.frameBytesLeft -= bytes
      if (body.frameBytesLeft === 0) block.buffer[to++] = frameEndOctet
    }
    const piece = new Piece(block, to)
    this.#sealedBytes += to - block.start
    // A heartbeat may have gone ahead while the piece was read; then the piece is next.
    if (this.#writing === null) this.#write(piece)
    else this.#items.unshift(piece)
  }

  #beginFrame(body: LargeBody, to: Uint8Array, at: number): number {
    const bytes = Math.min(body.bytesLeft, this.frameBytesMax - frameOverheadBytes)
    assert(bytes > 0, 'chunks hold no more than their body')
    body.bytesLeft -= bytes
    body.frameBytesLeft = bytes
    to[at] = FrameTypes.Body
    writeUint16(to, at + 1, body.channelId)
    writeUint32(to, at + 3, bytes)
    return at + frameHeaderBytes
  }
}

/** A sealed block: `block.buffer[block.start..end)`. */
class Piece {
  readonly block: Block
  readonly end: number

  constructor(block: Block, end: number) {
    this.block = block
    this.end = end
  }
}

class LargeBody {
  readonly channelId: number
  readonly chunks: Chunks
  index = 0
  isReading = false
  /** Bytes for which no frame has been begun, and those missing in the frame that has. */
  bytesLeft: number
  frameBytesLeft = 0

  constructor(channelId: number, chunks: Chunks) {
    this.channelId = channelId
    this.chunks = chunks
    this.bytesLeft = chunks.bodyBytes
  }
}

const empty = new Uint8Array(0)

/** For methods that are not written on the hot path; never used across calls. */
const scratch = new ByteWriter()

function writeFrame(
  to: Uint8Array,
  at: number,
  channelId: number,
  from: Uint8Array,
  start: number,
  bytes: number,
): void {
  to[at] = FrameTypes.Body
  writeUint16(to, at + 1, channelId)
  writeUint32(to, at + 3, bytes)
  copyBytes(from, start, start + bytes, to, at + 7)
  to[at + 7 + bytes] = frameEndOctet
}
