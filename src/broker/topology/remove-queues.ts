import type { Logger } from '../../base/logger.ts'
import type { Task } from '../../base/run-queue.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Topology } from './topology.ts'

/** Deletes many queues in slices: those of a session that ended, those of a vhost. Then says that it is done. */
export class RemoveQueues implements Task {
  readonly #topology: Topology
  readonly #queues: Iterable<DeclaredQueue>
  readonly #logger: Logger
  readonly #done: () => void

  /** `queues` is a live view: what has been deleted, here or by others, is no longer in it. */
  constructor(topology: Topology, queues: Iterable<DeclaredQueue>, logger: Logger, done: () => void) {
    this.#topology = topology
    this.#queues = queues
    this.#logger = logger
    this.#done = done
  }

  run(shouldYield: () => boolean): boolean {
    try {
      for (const queue of this.#queues) {
        this.#topology.remove(queue)
        if (shouldYield()) return true
      }
    } catch (error) {
      // Only a log that cannot go on: the node is about to end, and what is transient ends with it.
      this.#logger.error({ error }, 'queues could not be deleted')
    }
    this.#done()
    return false
  }
}
