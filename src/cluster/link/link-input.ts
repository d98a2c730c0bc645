import { type Arena, type Block, copyBytes } from '../../base/arena.ts'
import type { Clock } from '../../base/clock.ts'
import { headroomBytes, readBytesMax, type Socket } from '../../base/network.ts'
import type { RunQueue, Task } from '../../base/run-queue.ts'
import { messageBytesMax } from '../peers.ts'
import { frameHeaderBytes, readUint32, tooLong } from './link-codec.ts'
import type { LinkLimits } from './link-limits.ts'

export interface LinkInputOwner {
  /** A whole message: `buffer[start..end)`, valid during the call. */
  message(service: number, buffer: Uint8Array, start: number, end: number): void
  /** False once input means nothing any more: the rest is dropped. */
  readonly takesInput: boolean
  /** What came is no message. */
  inputFailed(reason: string): void
}

export interface LinkInputParts {
  readonly socket: Socket
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly arena: Arena
  readonly limits: LinkLimits
}

/**
 * Finds messages in what arrives, without a copy where they are whole. Per turn of the event loop a link gets
 * `turnMsMax` or one full read buffer; then its socket is paused and it goes to the back of the run queue.
 *
 * The beginning of a message that is not whole is kept. Is it short, it is copied in front of what arrives next, into
 * the headroom of the read buffer; is it long, what is missing is appended to it.
 */
export class LinkInput implements Task {
  readonly #owner: LinkInputOwner
  readonly #parts: LinkInputParts
  #block: Block | null = null
  #start = 0
  #end = 0
  /** Length of the message whose beginning is kept, with its header; 0 when not known. */
  #neededBytes = 0
  #isPaused = false
  #isClosed = false
  #isTurnOpen = false
  #turnEndsAt = 0
  #turnBytes = 0

  constructor(owner: LinkInputOwner, parts: LinkInputParts) {
    this.#owner = owner
    this.#parts = parts
  }

  get isReading(): boolean {
    return !this.#isPaused
  }

  received(buffer: Uint8Array, start: number, end: number): void {
    if (this.#isClosed) return
    if (this.#isPaused || this.#keptBytes + end - start < this.#neededBytes) {
      this.#append(buffer, start, end)
      return
    }
    this.#beginTurn()
    this.#turnBytes += end - start
    const at = this.#joinKept(buffer, start, end)
    if (!this.#isClosed) this.#workOn(buffer, at, end)
    if (!this.#isClosed && (this.#hasMoreToDo || this.#turnBytes >= readBytesMax)) this.#pause()
  }

  run(): boolean {
    if (this.#isClosed) return false
    this.#turnEndsAt = this.#parts.clock.monotonic() + this.#parts.limits.turnMsMax
    const block = this.#block
    if (block !== null) this.#workOn(block.buffer, this.#start, this.#end)
    if (this.#isClosed) return false
    if (this.#hasMoreToDo) return true
    this.#isPaused = false
    this.#parts.socket.resume()
    return false
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#parts.runQueue.remove(this)
    this.#drop()
    // The end of the socket is still of interest.
    if (this.#isPaused) this.#parts.socket.resume()
  }

  // ---------------------------------------------------------------- turns

  #beginTurn(): void {
    if (this.#isTurnOpen) return
    this.#isTurnOpen = true
    this.#turnBytes = 0
    this.#turnEndsAt = this.#parts.clock.monotonic() + this.#parts.limits.turnMsMax
    this.#parts.clock.soon(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    this.#isTurnOpen = false
  }

  #pause(): void {
    this.#isPaused = true
    this.#parts.socket.pause()
    this.#parts.runQueue.add(this)
  }

  // ---------------------------------------------------------------- messages

  /** Passes on the whole messages of `buffer[start..end)` while there is time; keeps the rest. */
  #workOn(buffer: Uint8Array, start: number, end: number): void {
    const owner = this.#owner
    this.#neededBytes = 0
    let at = start
    let lookAt = start + bytesPerLook
    while (end - at >= frameHeaderBytes) {
      const length = readUint32(buffer, at)
      if (length > messageBytesMax) {
        owner.inputFailed(tooLong(length))
        return
      }
      const payloadAt = at + frameHeaderBytes
      const next = payloadAt + length
      if (next > end) {
        this.#neededBytes = next - at
        break
      }
      owner.message(buffer[at + 4] as number, buffer, payloadAt, next)
      if (!owner.takesInput) return
      at = next
      // A small message is as much work as a larger one.
      lookAt -= costPerMessage
      if (at >= lookAt) {
        if (this.#parts.clock.monotonic() >= this.#turnEndsAt) break
        lookAt = at + bytesPerLook
      }
    }
    this.#keep(buffer, at, end)
  }

  /** Whether whole messages may be among what is kept. */
  get #hasMoreToDo(): boolean {
    return this.#neededBytes === 0 ? this.#keptBytes >= frameHeaderBytes : this.#keptBytes >= this.#neededBytes
  }

  /** Makes the message whose beginning is kept whole. Returns where, in `buffer`, what is left to do begins. */
  #joinKept(buffer: Uint8Array, start: number, end: number): number {
    const kept = this.#keptBytes
    const block = this.#block
    if (kept === 0 || block === null) return start
    if (kept <= headroomBytes) {
      copyBytes(block.buffer, this.#start, this.#end, buffer, start - kept)
      this.#drop()
      return start - kept
    }
    const missing = Math.min(this.#neededBytes - kept, end - start)
    this.#append(buffer, start, start + missing)
    this.#workOn(this.#block?.buffer ?? buffer, this.#start, this.#end)
    return start + missing
  }

  // ---------------------------------------------------------------- kept

  get #keptBytes(): number {
    return this.#end - this.#start
  }

  #keep(buffer: Uint8Array, start: number, end: number): void {
    if (start === end) {
      this.#drop()
      return
    }
    const block = this.#block
    if (block !== null && this.#keptBytes > 0 && this.#end === end && block.buffer === buffer) {
      this.#start = start
      return
    }
    this.#drop()
    const target = this.#parts.arena.take(Math.max(end - start, this.#neededBytes))
    copyBytes(buffer, start, end, target.buffer, target.start)
    this.#block = target
    this.#start = target.start
    this.#end = target.start + end - start
  }

  #append(buffer: Uint8Array, start: number, end: number): void {
    const kept = this.#keptBytes
    const bytes = end - start
    const old = this.#block
    if (old === null || this.#end + bytes > old.end) {
      const block = this.#parts.arena.take(Math.max(kept + bytes, this.#neededBytes))
      if (old !== null) {
        copyBytes(old.buffer, this.#start, this.#end, block.buffer, block.start)
        this.#parts.arena.give(old)
      }
      this.#block = block
      this.#start = block.start
      this.#end = block.start + kept
    }
    if (this.#block !== null) copyBytes(buffer, start, end, this.#block.buffer, this.#end)
    this.#end += bytes
  }

  #drop(): void {
    if (this.#block !== null) this.#parts.arena.give(this.#block)
    this.#block = null
    this.#start = 0
    this.#end = 0
    this.#neededBytes = 0
  }
}

/** Between two looks at the clock, in bytes; a message counts as so many besides its own. */
const bytesPerLook = 64 * 1024
const costPerMessage = 1024
