/**
 * What makes `redelivered=false` honest: before a durable entry is sent for the first time, the log holds a mark above
 * its sequence. After an unclean stop everything below the mark goes out as redelivered.
 *
 * Marks are reserved ahead in steps, so that they ride in frames that are written anyway; a step that turned out too
 * short doubles. A mark that is too high only overstates.
 */
import type { Log, Position } from '../../log/log.ts'
import { type LocalQueue, sentStepMax } from '../queue/local-queue.ts'
import { sentMarkBytes, writeSentMark } from './records.ts'

export class SentMarks {
  readonly #log: Log
  readonly #touch: (queue: LocalQueue, position: number) => void
  #waiting: { position: Position; queue: LocalQueue; mark: number }[] = []

  constructor(log: Log, touch: (queue: LocalQueue, position: number) => void) {
    this.#log = log
    this.#touch = touch
  }

  /** Whether the entry may be sent as new. If not, the queue's deliveries go on when `committed` has found its mark. */
  mayBeSent(queue: LocalQueue, sequence: number): boolean {
    if (sequence + queue.sentStep / 2 >= queue.sentReserved) this.#reserve(queue, sequence)
    if (sequence < queue.sentCommitted) return true
    // The step was too short for this rate: the next mark was reserved in time and is still not committed.
    if (queue.sentCommitted > 0) queue.sentStep = Math.min(sentStepMax, queue.sentStep * 2)
    queue.isWaitingForMark = true
    return false
  }

  /** Marks up to this position are durable. Calls back for each queue that waited. */
  committed(position: Position, resume: (queue: LocalQueue) => void): void {
    let count = 0
    for (const mark of this.#waiting) {
      if (mark.position > position) break
      count++
      mark.queue.sentCommitted = mark.mark
    }
    if (count === 0) return
    const done = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    for (const { queue } of done) {
      if (!queue.isWaitingForMark) continue
      queue.isWaitingForMark = false
      resume(queue)
    }
  }

  #reserve(queue: LocalQueue, sequence: number): void {
    const mark = Math.max(sequence + 1, queue.sentReserved) + queue.sentStep
    const at = this.#log.reserve(sentMarkBytes)
    writeSentMark(this.#log.buffer, at, queue.id, mark)
    queue.sentReserved = mark
    this.#touch(queue, this.#log.appended)
    this.#waiting.push({ position: this.#log.appended, queue, mark })
  }
}
