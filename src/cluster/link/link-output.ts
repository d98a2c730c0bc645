import { type Arena, blockClasses, copyBytes } from '../../base/arena.ts'
import { assert } from '../../base/assert.ts'
import type { Socket } from '../../base/network.ts'
import { type Service, services } from '../peers.ts'
import { frameHeaderBytes, heartbeatService, writeFrameHeader } from './link-codec.ts'
import type { LinkLimits } from './link-limits.ts'
import { OutputLane, type Piece } from './output-lane.ts'

/** Hears what the output cannot settle by itself. */
export interface LinkOutputOwner {
  /** Something waits: call `flush` when this turn ends. */
  outputWaiting(): void
  /** It was congested, and is no more. */
  outputDrained(): void
  /** The socket is gone, or more waits than may. */
  outputFailed(reason: string): void
}

/**
 * What a link has to send: whole frames in three lanes, the most urgent first. Order holds within a lane, so within a
 * service. All of a turn goes out in one write, and one write is under way at a time.
 *
 * The most urgent lane that has something leads a write; whatever of the others fits goes along. A lane that has been
 * passed over `passedOverMax` times leads the next one, so that nobody waits for ever.
 */
export class LinkOutput {
  /** Bytes the socket has taken over so far. */
  bytesWritten = 0
  readonly #socket: Socket
  readonly #arena: Arena
  readonly #limits: LinkLimits
  readonly #owner: LinkOutputOwner
  readonly #lanes: readonly [OutputLane, OutputLane, OutputLane]
  #waitingBytes = 0
  #writing: Piece | null = null
  #isFlushDue = false
  #isCongested = false
  #isClosed = false
  #whenEmpty: (() => void) | null = null

  constructor(socket: Socket, arena: Arena, limits: LinkLimits, owner: LinkOutputOwner) {
    this.#socket = socket
    this.#arena = arena
    this.#limits = limits
    this.#owner = owner
    this.#lanes = [new OutputLane(arena), new OutputLane(arena), new OutputLane(arena)]
  }

  /** Bytes that wait, what is being written included. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get isCongested(): boolean {
    return this.#isCongested
  }

  get isWriting(): boolean {
    return this.#writing !== null
  }

  /** Copies `bytes[start..end)`, at most `messageBytesMax` of them. */
  send(service: Service, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isClosed) return
    const frameBytes = frameHeaderBytes + end - start
    const lane = this.#lanes[laneOf[service] as LaneIndex]
    const at = lane.reserve(frameBytes)
    writeFrameHeader(lane.buffer, at, service, end - start)
    copyBytes(bytes, start, end, lane.buffer, at + frameHeaderBytes)
    this.#waits(frameBytes)
  }

  /** Sends a sign of life, unless something is on its way, which is one. */
  heartbeat(): void {
    if (this.#waitingBytes > 0 || this.#isClosed) return
    const lane = this.#lanes[0]
    const at = lane.reserve(frameHeaderBytes)
    writeFrameHeader(lane.buffer, at, heartbeatService, 0)
    this.#waits(frameHeaderBytes)
  }

  /** The turn is over: what it has written goes out. */
  flush(): void {
    this.#isFlushDue = false
    this.#pump()
  }

  /** Calls back once all that waits has been written. Nothing is sent afterwards. */
  whenEmpty(done: () => void): void {
    this.#whenEmpty = done
    if (this.#waitingBytes === 0) done()
    else this.#pump()
  }

  /** Drops everything. What is being written goes back to the arena when the socket lets it go. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const lane of this.#lanes) lane.drop()
    this.#waitingBytes = 0
    this.#whenEmpty = null
  }

  // ---------------------------------------------------------------- writing

  #waits(bytes: number): void {
    this.#waitingBytes += bytes
    if (this.#waitingBytes > this.#limits.congestedBytes) this.#isCongested = true
    if (this.#waitingBytes > this.#limits.waitingBytesMax) {
      this.close()
      this.#owner.outputFailed(`more than ${this.#limits.waitingBytesMax} bytes wait to be written`)
      return
    }
    if (this.#isFlushDue) {
      // There is enough for a write of its own; more would only wait.
      if (this.#writing === null && this.#waitingBytes >= writeBytesMax) this.#pump()
      return
    }
    this.#isFlushDue = true
    this.#owner.outputWaiting()
  }

  /** Writes what is next, unless a write is under way. */
  #pump(): void {
    if (this.#writing !== null || this.#isClosed || this.#waitingBytes === 0) return
    const piece = this.#next()
    this.#writing = piece
    const { block, end } = piece
    this.#socket.write(block.buffer.subarray(block.start, end), this.#written)
  }

  readonly #written = (error: Error | null): void => {
    const piece = this.#writing
    assert(piece !== null, 'a write that ends has begun')
    this.#writing = null
    const bytes = piece.end - piece.block.start
    this.#arena.give(piece.block)
    if (this.#isClosed) return
    if (error !== null) {
      // Nothing waits any more: whoever closes the link before its owner cuts it has nothing to wait for.
      this.close()
      this.#owner.outputFailed(`the connection broke while it was written to: ${error.message}`)
      return
    }
    this.bytesWritten += bytes
    this.#waitingBytes -= bytes
    if (!this.#isFlushDue || this.#waitingBytes >= writeBytesMax) this.#pump()
    if (this.#waitingBytes === 0) this.#whenEmpty?.()
    if (this.#isCongested && this.#waitingBytes < this.#limits.drainedBytes) {
      this.#isCongested = false
      this.#owner.outputDrained()
    }
  }

  /** The leading lane's first piece, joined with what else fits into one write. */
  #next(): Piece {
    const leading = this.#leadingLane()
    const lead = leading.take()
    const along: Piece[] = []
    let bytes = lead.end - lead.block.start
    for (const lane of this.#lanes) {
      let isServed = lane === leading
      for (let size = lane.firstBytes; size > 0 && bytes + size <= writeBytesMax; size = lane.firstBytes) {
        along.push(lane.take())
        bytes += size
        isServed = true
      }
      lane.passedOver = isServed || lane.firstBytes === 0 ? 0 : lane.passedOver + 1
    }
    return along.length === 0 ? lead : this.#join(lead, along, bytes)
  }

  #leadingLane(): OutputLane {
    let leading: OutputLane | null = null
    for (const lane of this.#lanes) {
      if (lane.firstBytes === 0) continue
      if (lane.passedOver >= passedOverMax) return lane
      leading ??= lane
    }
    assert(leading !== null, 'what waits is in a lane')
    return leading
  }

  #join(lead: Piece, along: readonly Piece[], bytes: number): Piece {
    const block = this.#arena.take(bytes)
    let at = block.start
    for (const piece of [lead, ...along]) {
      copyBytes(piece.block.buffer, piece.block.start, piece.end, block.buffer, at)
      at += piece.end - piece.block.start
      this.#arena.give(piece.block)
    }
    return { block, end: at }
  }
}

/** Writes are no longer than this, but for a single message that is, in bytes. */
const writeBytesMax = blockClasses[2]

/** How often a lane that has something to say may be passed over. */
const passedOverMax = 4

type LaneIndex = 0 | 1 | 2

/** By service. */
const laneOf: Readonly<Record<Service, LaneIndex>> = {
  [services.gossip]: 0,
  [services.topology]: 0,
  [services.witnesses]: 0,
  [services.shards]: 1,
  [services.replies]: 1,
  [services.management]: 1,
  [services.bodies]: 2,
}
