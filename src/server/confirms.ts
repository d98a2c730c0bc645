import { assert } from '../base/assert.ts'

/** Gets the frames that `flush` decides on, in the order in which they are to be sent. */
export interface ConfirmWriter {
  ack(sequence: number, multiple: boolean): void
  nack(sequence: number, multiple: boolean): void
}

/**
 * The publishes of a channel that wait for their confirm: takes the broker's answers in any order and turns those of a
 * turn into the fewest `basic.ack`s and `basic.nack`s.
 *
 *     sequence   1 … sentEnd … settledEnd … next
 *                 sent      answered,      some answered, the first one is not
 *                           not sent
 *
 * `multiple` covers everything up to a number, so it is used only below `settledEnd`, where nothing is pending, and
 * frames go out in order, so that an ack never covers a nack that the client has not seen. One byte per publish, in a
 * ring that grows; nothing is allocated per message.
 */
export class Confirms {
  #states = new Uint8Array(256)
  #mask = 255
  /** Number of the next publish; numbers start at 1. */
  #next = 1
  #settledEnd = 1
  #sentEnd = 1
  /** Answered this turn, above `settledEnd` when they came. */
  #early = new Float64Array(64)
  #earlyCount = 0

  /** Numbers a publish. */
  open(): number {
    const sequence = this.#next
    if (sequence - this.#sentEnd > this.#mask) this.#grow()
    this.#states[sequence & this.#mask] = pending
    this.#next = sequence + 1
    return sequence
  }

  /** Publishes without an answer. Exact when all answers come in order, else at most too high by those out of order. */
  get waiting(): number {
    return this.#next - this.#settledEnd
  }

  /** Whether `flush` would write something. */
  get isDirty(): boolean {
    return this.#earlyCount > 0 || this.#sentEnd < this.#settledEnd
  }

  confirm(sequence: number): void {
    this.#settle(sequence, confirmed)
  }

  refuse(sequence: number): void {
    this.#settle(sequence, refused)
  }

  flush(writer: ConfirmWriter): void {
    this.#flushRuns(writer)
    this.#flushEarly(writer)
  }

  #settle(sequence: number, state: number): void {
    const states = this.#states
    const mask = this.#mask
    assert(sequence >= this.#settledEnd && sequence < this.#next, 'a confirm answers a publish that waits')
    assert(states[sequence & mask] === pending, 'a publish is answered once')
    states[sequence & mask] = state
    if (sequence !== this.#settledEnd) {
      this.#keepEarly(sequence)
      return
    }
    let end = sequence + 1
    while (end < this.#next && states[end & mask] !== pending) end++
    this.#settledEnd = end
  }

  #keepEarly(sequence: number): void {
    if (this.#earlyCount === this.#early.length) {
      const grown = new Float64Array(this.#early.length * 2)
      grown.set(this.#early)
      this.#early = grown
    }
    this.#early[this.#earlyCount++] = sequence
  }

  /** Everything below `settledEnd`: one frame for each run of the same answer. */
  #flushRuns(writer: ConfirmWriter): void {
    let runState = 0
    let runLast = 0
    let runCount = 0
    for (let sequence = this.#sentEnd; sequence < this.#settledEnd; sequence++) {
      const state = this.#states[sequence & this.#mask] as number
      if (state === sent) continue
      if (state !== runState && runCount > 0) {
        write(writer, runState, runLast, runCount > 1)
        runCount = 0
      }
      runState = state
      runLast = sequence
      runCount++
    }
    if (runCount > 0) write(writer, runState, runLast, runCount > 1)
    this.#sentEnd = this.#settledEnd
  }

  /** What was answered this turn and still has a pending publish below it: one frame each. */
  #flushEarly(writer: ConfirmWriter): void {
    for (let index = 0; index < this.#earlyCount; index++) {
      const sequence = this.#early[index] as number
      if (sequence < this.#settledEnd) continue
      const at = sequence & this.#mask
      write(writer, this.#states[at] as number, sequence, false)
      this.#states[at] = sent
    }
    this.#earlyCount = 0
  }

  #grow(): void {
    const mask = this.#mask * 2 + 1
    const states = new Uint8Array(mask + 1)
    for (let sequence = this.#sentEnd; sequence < this.#next; sequence++) {
      states[sequence & mask] = this.#states[sequence & this.#mask] as number
    }
    this.#states = states
    this.#mask = mask
  }
}

const pending = 0
const confirmed = 1
const refused = 2
const sent = 3

function write(writer: ConfirmWriter, state: number, sequence: number, multiple: boolean): void {
  if (state === confirmed) writer.ack(sequence, multiple)
  else writer.nack(sequence, multiple)
}
