import type { FrameDecoder } from '../amqp/frame-decoder.ts'
import { protocolHeader } from '../amqp/frame-encoder.ts'
import type { Arena } from '../base/arena.ts'
import type { Clock } from '../base/clock.ts'
import { readBytesMax, type Socket } from '../base/network.ts'
import type { RunQueue, Task } from '../base/run-queue.ts'
import type { Channel } from './channel.ts'
import { FrameLoop, type FrameTaker, type LoopEnd } from './frame-loop.ts'
import type { InputTurn } from './input-turn.ts'
import { KeptInput } from './kept-input.ts'
import type { ServerLimits } from './limits.ts'

/** Whose input it is: a connection. */
export interface InputOwner extends FrameTaker {
  /** The next bytes are a protocol header, no frame. */
  readonly needsHeader: boolean
  header(buffer: Uint8Array, start: number): void
  /** False once input means nothing any more: the rest is dropped. */
  readonly takesInput: boolean
  /** A frame could not be dealt with. Goes on behind it, unless the frames cannot be told apart any more. */
  frameFailed(error: unknown, loop: FrameLoop): void
  /** A slice is over: what was gathered over its frames is to be handed on. */
  sliceEnded(): void
}

export interface InputParts {
  readonly socket: Socket
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly inputTurn: InputTurn
  readonly limits: ServerLimits
  readonly arena: Arena
}

/**
 * When a connection's input is worked on, and when its socket is read (design: a turn is bounded).
 *
 * - Per turn it gets `turnMsMax` or one full read buffer, and nothing when others have used up the turn (`InputTurn`);
 *   what is left is kept, the socket is paused, and the connection goes to the back of the run queue.
 * - A frame that must wait (the publish gate, a full output, a login) stops all input until `wake`.
 * - Frames of a parked channel are put aside, up to `parkedBytesMax` for all channels together, and the others go on;
 *   beyond, all input stops. When the channel resumes, its frames come before anything newer.
 */
export class InputFlow implements Task {
  /** The channel whose parked frames are being worked on. */
  replaying: Channel | null = null
  readonly loop: FrameLoop
  readonly #owner: InputOwner
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #runQueue: RunQueue
  readonly #inputTurn: InputTurn
  readonly #limits: ServerLimits
  readonly #kept: KeptInput
  /** Reused for each run of the loop. */
  readonly #region = { buffer: protocolHeader, start: 0, end: 0, isOpenEnded: true }
  #resumed: Channel[] = []
  #parkedBytes = 0
  #isPaused = false
  #isWorking = false
  #isClosed = false

  constructor(owner: InputOwner, parts: InputParts) {
    this.#owner = owner
    this.#socket = parts.socket
    this.#clock = parts.clock
    this.#runQueue = parts.runQueue
    this.#inputTurn = parts.inputTurn
    this.#limits = parts.limits
    this.#kept = new KeptInput(parts.arena)
    this.loop = new FrameLoop(parts.clock, owner, parts.limits.messageBytesMax)
  }

  get isReading(): boolean {
    return !this.#isPaused
  }

  /** `buffer[start..end)` has arrived. */
  received(buffer: Uint8Array, start: number, end: number): void {
    if (!this.#owner.takesInput || !this.#kept.join(buffer, start, end)) return
    const isFullRead = end - start === readBytesMax
    const now = this.#clock.monotonic()
    if (!this.#inputTurn.hasTime(now, end - start)) {
      this.#kept.keep(this.#kept.start, 0)
      this.#yield()
      return
    }
    const outcome = this.#workOnKept(now + this.#limits.turnMsMax)
    if (outcome === 'yield' || (isFullRead && outcome === 'partial')) this.#yield()
    else if (outcome === 'waiting') this.#pause()
  }

  /** What a frame waited for may have happened. */
  wake(): void {
    if (this.#isPaused && !this.#isClosed) this.#runQueue.add(this)
  }

  run(): boolean {
    const deadline = this.#clock.monotonic() + this.#limits.turnMsMax
    while (this.#resumed.length > 0) {
      const outcome = this.#replay(deadline)
      if (outcome === 'yield') return !this.#isClosed
      if (outcome === 'waiting') {
        this.#pause()
        return false
      }
    }
    const outcome = this.#kept.open() ? this.#workOnKept(deadline) : 'partial'
    if (outcome === 'partial') this.#resume()
    return outcome === 'yield' && !this.#isClosed
  }

  close(): void {
    this.#isClosed = true
    this.#runQueue.remove(this)
    this.#kept.drop()
    this.#resumed = []
  }

  /** Reads again and drops what comes: only the end of the socket is of interest. */
  drain(): void {
    // In the middle of a slice the loop still looks at what is kept; the end of the slice drops it.
    if (!this.#isWorking) this.#kept.drop()
    this.#resumed = []
    this.#resume()
  }

  // ---------------------------------------------------------------- parked channels

  /** Puts the decoder's frame aside; false when there is no room. */
  park(channel: Channel, decoder: FrameDecoder): boolean {
    const bytes = decoder.frameEnd - decoder.frameStart
    if (this.#parkedBytes + bytes > this.#limits.parkedBytesMax) return false
    channel.parked.append(decoder.buffer, decoder.frameStart, decoder.frameEnd)
    this.#parkedBytes += bytes
    return true
  }

  /** The channel may go on, and with it what waited for that: a close of the connection. */
  channelResumed(channel: Channel): void {
    if (channel.parked.isEmpty || this.#resumed.includes(channel)) {
      this.wake()
      return
    }
    this.#resumed.push(channel)
    if (!this.#isClosed) this.#runQueue.add(this)
  }

  dropParked(channel: Channel): void {
    this.#parkedBytes -= channel.parked.byteCount
    channel.parked.drop()
    this.wake()
  }

  /** Works on the frames of the first resumed channel. */
  #replay(deadline: number): LoopEnd {
    const [channel] = this.#resumed
    if (channel === undefined) return 'partial'
    const { buffer, start, end } = channel.parked
    this.#parkedBytes -= end - start
    channel.parked.drop()
    const region = this.#region
    region.buffer = buffer
    region.start = start
    region.end = end
    region.isOpenEnded = false
    this.replaying = channel
    const outcome = this.#work(deadline)
    this.replaying = null
    if (this.loop.position < end && channel.isOpen) {
      channel.parked.append(buffer, this.loop.position, end)
      this.#parkedBytes += end - this.loop.position
    }
    const waitsItself = channel.isParked || channel.parked.isEmpty
    if (waitsItself) this.#resumed = this.#resumed.filter((other) => other !== channel)
    return outcome === 'waiting' && waitsItself ? 'partial' : outcome
  }

  // ---------------------------------------------------------------- slices

  /** Works on the region that the kept input names; keeps what is left of it. */
  #workOnKept(deadline: number): LoopEnd {
    const kept = this.#kept
    const region = this.#region
    region.buffer = kept.buffer
    region.start = kept.start
    region.end = kept.end
    region.isOpenEnded = true
    const outcome = this.#owner.needsHeader ? this.#header(deadline) : this.#work(deadline)
    if (!this.#owner.takesInput) kept.drop()
    else kept.keep(this.loop.position, outcome === 'partial' ? this.loop.neededBytes : 0)
    return outcome
  }

  #header(deadline: number): LoopEnd {
    const region = this.#region
    if (region.end - region.start < protocolHeader.length) {
      this.loop.position = region.start
      this.loop.neededBytes = protocolHeader.length
      return 'partial'
    }
    this.#owner.header(region.buffer, region.start)
    region.start += protocolHeader.length
    this.loop.position = region.start
    return this.#owner.takesInput ? this.#work(deadline) : 'partial'
  }

  #work(deadline: number): LoopEnd {
    const region = this.#region
    let outcome: LoopEnd | null = null
    this.#isWorking = true
    while (outcome === null) {
      try {
        outcome = this.loop.run(region, deadline)
      } catch (error) {
        this.#owner.frameFailed(error, this.loop)
        region.start = this.loop.position
        if (!this.#owner.takesInput) outcome = 'partial'
      }
    }
    this.#isWorking = false
    this.#owner.sliceEnded()
    return this.#owner.takesInput ? outcome : 'partial'
  }

  #yield(): void {
    this.#pause()
    this.#runQueue.add(this)
  }

  #pause(): void {
    if (this.#isPaused || this.#isClosed) return
    this.#isPaused = true
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#isPaused || this.#isClosed) return
    this.#isPaused = false
    this.#socket.resume()
  }
}
