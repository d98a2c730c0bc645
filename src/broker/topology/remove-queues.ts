import type { Logger } from '../../base/logger.ts'
import type { Task } from '../../base/run-queue.ts'
import { BrokerError } from '../errors.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Topology } from './topology.ts'

/** Deletes many queues in slices: those of a session or node that ended, those of a vhost. Then says that it is done, or why not. */
export class RemoveQueues implements Task {
  readonly #topology: Topology
  readonly #queues: Iterable<DeclaredQueue>
  readonly #logger: Logger
  readonly #done: (error: BrokerError | null) => void

  /** `queues` is a live view: what has been deleted, here or by others, is no longer in it. */
  constructor(
    topology: Topology,
    queues: Iterable<DeclaredQueue>,
    logger: Logger,
    done: (error: BrokerError | null) => void,
  ) {
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
      if (!(error instanceof BrokerError)) throw error
      // The log cannot go on, or is another node's now, which will be asked for the rest.
      this.#logger.warn({ error }, 'queues could not be deleted')
      this.#done(error)
      return false
    }
    this.#done(null)
    return false
  }
}
