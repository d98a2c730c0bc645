/**
 * Lets durable entries out only once they are stored, for shards whose owner may be overtaken: what it delivers before,
 * and what is then published again to its successor, would be there twice.
 */
import type { Log, Position } from '../../log/log.ts'
import type { LocalQueue } from '../queue/local-queue.ts'

export class StoredGate {
  readonly #log: Log
  /** Queues whose next entry is not stored, with its position. */
  readonly #waiting = new Map<LocalQueue, Position>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Whether the entry at this position may be sent. If not, the queue's deliveries go on when it may. */
  mayBeSent(queue: LocalQueue, position: Position): boolean {
    if (position <= this.#log.committed) return true
    this.#waiting.set(queue, position)
    queue.isWaitingForMark = true
    return false
  }

  /** Everything up to this position is stored. Calls back for each queue that waited for it. */
  committed(committed: Position, resume: (queue: LocalQueue) => void): void {
    for (const [queue, position] of this.#waiting) {
      if (position > committed) continue
      this.#waiting.delete(queue)
      if (!queue.isWaitingForMark) continue
      queue.isWaitingForMark = false
      resume(queue)
    }
  }
}
