/**
 * Deleted queues whose deletion the topology has not stored yet. Their records still count: until then a crash brings a
 * queue back, with all it held.
 */
import type { Position } from '../../log/log.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import type { TopologyProgress } from './publishing.ts'

export class LeavingQueues {
  readonly #topology: TopologyProgress
  readonly #forget: (queue: LocalQueue) => void
  /** In the order of the topology's log. */
  readonly #waiting: { queue: LocalQueue; storedWith: Position }[] = []

  constructor(topology: TopologyProgress, forget: (queue: LocalQueue) => void) {
    this.#topology = topology
    this.#forget = forget
  }

  add(queue: LocalQueue): void {
    const { appended, committed } = this.#topology
    if (!queue.isDurable || appended <= committed) this.#forget(queue)
    else this.#waiting.push({ queue, storedWith: appended })
  }

  topologyCommitted(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (next.storedWith > this.#topology.committed) return
      this.#waiting.shift()
      this.#forget(next.queue)
    }
  }
}
