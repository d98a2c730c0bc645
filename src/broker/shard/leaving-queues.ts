/**
 * Deleted queues whose deletion the topology has not stored yet. Their records still count: until then a crash brings a
 * queue back, with all it held.
 */
import type { RunQueue, Task } from '../../base/run-queue.ts'
import type { Position } from '../../log/log.ts'
import type { ShardTopology } from '../ports.ts'
import type { LocalQueue } from '../queue/local-queue.ts'

export class LeavingQueues implements Task {
  readonly #topology: ShardTopology
  readonly #runQueue: RunQueue
  readonly #forget: (queue: LocalQueue) => void
  /** In the order of the topology's log, from `#head` on. */
  #waiting: { queue: LocalQueue; storedWith: Position }[] = []
  #head = 0

  constructor(topology: ShardTopology, runQueue: RunQueue, forget: (queue: LocalQueue) => void) {
    this.#topology = topology
    this.#runQueue = runQueue
    this.#forget = forget
  }

  add(queue: LocalQueue): void {
    const { appended, committed } = this.#topology
    if (!queue.isDurable || appended <= committed) this.#forget(queue)
    else this.#waiting.push({ queue, storedWith: appended })
  }

  topologyCommitted(): void {
    if (this.#waiting.length > 0) this.#runQueue.add(this)
  }

  /** One commit may store the deletion of very many. */
  run(shouldYield: () => boolean): boolean {
    const { committed } = this.#topology
    for (let next = this.#waiting[this.#head]; next !== undefined; next = this.#waiting[this.#head]) {
      if (next.storedWith > committed) break
      this.#head++
      this.#forget(next.queue)
      if (shouldYield()) return true
    }
    this.#waiting = this.#waiting.slice(this.#head)
    this.#head = 0
    return false
  }
}
