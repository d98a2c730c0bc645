import { bodyBytesMin, fillerOffset, headBytes, headCheck, makePattern, sourceOf, timedBodyBytesMin } from './body.ts'
import type { Problems } from './problems.ts'

export interface CheckerOptions {
  readonly bodyBytes: number
  readonly runId: number
  readonly queues: number
  readonly publishers: number
  /** Sequences must come without a gap; else they must only rise. */
  readonly isAlone: boolean
  /** Else they come in any order. */
  readonly isInOrder: boolean
}

/**
 * Checks each arriving body, in place and in as many pieces as it comes: size, check value, every byte of filler, and
 * the order of sequences per queue and publisher.
 */
export class DeliveryChecker {
  /** Sum of all sequences seen. */
  sequenceSum = 0
  /** Time of sending of the message that was checked last; 0 when it carries none. */
  sentAt = 0
  readonly #options: CheckerOptions
  readonly #problems: Problems
  readonly #pattern: Buffer
  readonly #headBytes: number
  readonly #isTimed: boolean
  readonly #next: Float64Array
  readonly #source: number
  /** Used when a head comes in more than one piece. */
  readonly #scratch: DataView
  #done = 0
  #filler = 0
  #isBad = false

  constructor(options: CheckerOptions, problems: Problems) {
    this.#options = options
    this.#problems = problems
    this.#pattern = makePattern(options.bodyBytes)
    this.#headBytes = headBytes(options.bodyBytes)
    this.#isTimed = options.bodyBytes >= timedBodyBytesMin
    this.#next = new Float64Array(options.queues * options.publishers)
    this.#source = sourceOf(options.runId, 0)
    this.#scratch = new DataView(new ArrayBuffer(timedBodyBytesMin))
  }

  /** A content header has come. */
  begin(queue: number, bodyBytes: number): void {
    this.#done = 0
    this.#isBad = bodyBytes !== this.#options.bodyBytes
    if (this.#isBad) this.#problems.add(`a message of ${bodyBytes} bytes in queue ${queue}`)
  }

  /** The next bytes of the body, `bytes[start, end)`. */
  piece(queue: number, bytes: Uint8Array, view: DataView, start: number, end: number): void {
    let at = start
    if (this.#done < this.#headBytes && !this.#isBad) {
      if (this.#done === 0 && end - start >= this.#headBytes) {
        this.#head(queue, view, start)
        at = start + this.#headBytes
      } else at = this.#gather(queue, bytes, start, end)
      this.#done += at - start
    }
    if (at < end) this.#compare(queue, bytes, at, end)
  }

  #compare(queue: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#isBad) return
    const from = this.#filler + this.#done
    this.#done += end - start
    if (this.#pattern.compare(bytes, start, end, from, from + end - start) === 0) return
    this.#isBad = true
    this.#problems.add(`a message in queue ${queue} has other bytes than were sent`)
  }

  #gather(queue: number, bytes: Uint8Array, start: number, end: number): number {
    const count = Math.min(end - start, this.#headBytes - this.#done)
    for (let index = 0; index < count; index++) {
      this.#scratch.setUint8(this.#done + index, bytes[start + index] as number)
    }
    if (this.#done + count === this.#headBytes) this.#head(queue, this.#scratch, 0)
    return start + count
  }

  #head(queue: number, view: DataView, at: number): void {
    this.#filler = fillerOffset(view.getUint32(at + 8))
    this.sentAt = this.#isTimed ? view.getFloat64(at + bodyBytesMin) : 0
    const publisher = view.getUint32(at + 4) - this.#source
    const isKnown = publisher >= 0 && publisher < this.#options.publishers
    if (!isKnown || headCheck(view, at, this.#isTimed) !== view.getUint32(at + 12)) {
      this.#isBad = true
      this.#problems.add(`a message in queue ${queue} is not one of this run, or is damaged`)
      return
    }
    this.#order(queue, publisher, view.getUint32(at))
  }

  #order(queue: number, publisher: number, sequence: number): void {
    const index = queue * this.#options.publishers + publisher
    const next = this.#next[index] as number
    const isWrong = this.#options.isAlone ? sequence !== next : sequence < next
    if (isWrong && this.#options.isInOrder) {
      this.#problems.add(`queue ${queue}: message ${sequence} of publisher ${publisher} came where ${next} was due`)
    }
    this.#next[index] = sequence + 1
    this.sequenceSum += sequence
  }
}
