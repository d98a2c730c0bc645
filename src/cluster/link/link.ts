import type { Arena } from '../../base/arena.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Socket, SocketReader } from '../../base/network.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { messageBytesMax, type Peer, type Service } from '../peers.ts'
import { heartbeatService } from './link-codec.ts'
import { LinkInput } from './link-input.ts'
import type { LinkLimits } from './link-limits.ts'
import { LinkOutput } from './link-output.ts'

/** Whose link it is. */
export interface LinkOwner {
  message(link: Link, service: number, buffer: Uint8Array, start: number, end: number): void
  linkDrained(link: Link): void
  /** Once: the link is down. */
  linkDown(link: Link, reason: string): void
  /** Once, after `linkDown`: the socket is gone. */
  linkGone(link: Link): void
}

export interface LinkParts {
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly arena: Arena
  readonly limits: LinkLimits
}

/**
 * One connection to another node, after both have proved who they are. Up from the beginning; once down it stays so.
 *
 * It is down when the socket is, when nothing has come for `silenceMsMax` although it was read, when the peer has taken
 * nothing for `stuckMsMax`, when something came that is no message, or when somebody said so.
 */
export class Link implements Peer, SocketReader {
  readonly name: string
  readonly incarnation: number
  readonly remoteAddress: string
  /** By the monotonic clock, in milliseconds. */
  readonly upSince: number
  readonly #owner: LinkOwner
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #limits: LinkLimits
  readonly #input: LinkInput
  readonly #output: LinkOutput
  #isUp = true
  #isGone = false
  #bytesRead = 0
  #timer: Timer
  #bytesReadBefore = 0
  #bytesWrittenBefore = 0
  #quietBeats = 0
  #stuckBeats = 0

  constructor(peer: NodeIdentity, socket: Socket, parts: LinkParts, owner: LinkOwner) {
    const { clock, limits, arena } = parts
    this.name = peer.name
    this.incarnation = peer.incarnation
    this.remoteAddress = socket.remoteAddress
    this.upSince = clock.monotonic()
    this.#owner = owner
    this.#socket = socket
    this.#clock = clock
    this.#limits = limits
    this.#input = new LinkInput(this, { socket, ...parts })
    this.#output = new LinkOutput(socket, arena, limits, this)
    this.#timer = clock.after(limits.heartbeatMs, this.#beat)
  }

  // ---------------------------------------------------------------- peer

  get isUp(): boolean {
    return this.#isUp
  }

  get isCongested(): boolean {
    return this.#output.isCongested
  }

  /** Throws `RangeError` for a message that is longer than `messageBytesMax`. */
  send(service: Service, bytes: Uint8Array, start: number, end: number): void {
    if (!this.#isUp) return
    if (end - start > messageBytesMax) {
      throw new RangeError(`a message between nodes has at most ${messageBytesMax} bytes, not ${end - start}`)
    }
    this.#output.send(service, bytes, start, end)
  }

  /** Output that waits, in bytes. */
  get waitingBytes(): number {
    return this.#output.waitingBytes
  }

  get bytesRead(): number {
    return this.#bytesRead
  }

  get bytesWritten(): number {
    return this.#output.bytesWritten
  }

  // ---------------------------------------------------------------- close

  /** Down at once; what waits to be written is dropped. */
  cut(reason: string): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#stop()
    this.#output.close()
    this.#socket.destroy()
    this.#owner.linkDown(this, reason)
  }

  /** Down at once; what waits is still written, within `closeMsMax`. */
  close(reason: string): void {
    if (!this.#isUp) return
    this.#isUp = false
    this.#stop()
    this.#timer = this.#clock.after(this.#limits.closeMsMax, () => this.#socket.destroy())
    this.#output.whenEmpty(() => this.#socket.end())
    this.#owner.linkDown(this, reason)
  }

  #stop(): void {
    this.#timer.cancel()
    this.#input.close()
  }

  // ---------------------------------------------------------------- socket

  data(buffer: Uint8Array, start: number, end: number): void {
    this.#bytesRead += end - start
    this.#input.received(buffer, start, end)
  }

  ended(): void {
    this.cut('the other node has closed the link')
    this.#socket.destroy()
  }

  closed(error: Error | null): void {
    this.cut(error === null ? 'the connection is gone' : `the connection broke: ${error.message}`)
    this.#timer.cancel()
    this.#output.close()
    if (this.#isGone) return
    this.#isGone = true
    this.#owner.linkGone(this)
  }

  // ---------------------------------------------------------------- input

  get takesInput(): boolean {
    return this.#isUp
  }

  message(service: number, buffer: Uint8Array, start: number, end: number): void {
    if (service !== heartbeatService) this.#owner.message(this, service, buffer, start, end)
  }

  inputFailed(reason: string): void {
    this.cut(reason)
  }

  // ---------------------------------------------------------------- output

  outputWaiting(): void {
    this.#clock.soon(this.#flush)
  }

  readonly #flush = (): void => {
    this.#output.flush()
  }

  outputDrained(): void {
    this.#owner.linkDrained(this)
  }

  outputFailed(reason: string): void {
    // Found in the middle of somebody's `send`, who is not told of it inside of that.
    this.#clock.soon(() => this.cut(reason))
  }

  // ---------------------------------------------------------------- heartbeat

  /**
   * Silence is counted in beats of our own timer, so that a process that slept for a while does not take its own sleep
   * for the other's silence: what came meanwhile is read before the next beat.
   */
  readonly #beat = (): void => {
    this.#timer = this.#clock.after(this.#limits.heartbeatMs, this.#beat)
    const isSilent = this.#input.isReading && this.#bytesRead === this.#bytesReadBefore
    const isStuck = this.#output.isWriting && this.#output.bytesWritten === this.#bytesWrittenBefore
    this.#quietBeats = isSilent ? this.#quietBeats + 1 : 0
    this.#stuckBeats = isStuck ? this.#stuckBeats + 1 : 0
    this.#bytesReadBefore = this.#bytesRead
    const { heartbeatMs, silenceMsMax, stuckMsMax } = this.#limits
    if (this.#quietBeats * heartbeatMs >= silenceMsMax) this.cut(`nothing has come for ${silenceMsMax} ms`)
    else if (this.#stuckBeats * heartbeatMs >= stuckMsMax) {
      this.cut(`the other node has taken nothing for ${stuckMsMax} ms`)
    } else this.#output.heartbeat()
    this.#bytesWrittenBefore = this.#output.bytesWritten
  }
}
