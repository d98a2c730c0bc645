import type { RunQueue, Task } from '../../base/run-queue.ts'
import type { ShardDirectory } from '../ports.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Exchange } from './exchange.ts'
import type { VhostState } from './vhost-state.ts'

/**
 * Gives the queues and exchanges of a vhost whose policies have changed what applies to them now, in slices: there may be
 * very many. What is declared meanwhile has it from the start. A further change begins again from the front.
 */
export class ApplyPolicies implements Task {
  readonly #runQueue: RunQueue
  readonly #directory: ShardDirectory
  readonly #vhosts = new Map<VhostState, Iterator<DeclaredQueue | Exchange>>()

  constructor(runQueue: RunQueue, directory: ShardDirectory) {
    this.#runQueue = runQueue
    this.#directory = directory
  }

  changed(vhost: VhostState): void {
    this.#vhosts.delete(vhost)
    this.#vhosts.set(vhost, subjectsOf(vhost))
    this.#runQueue.add(this)
  }

  run(shouldYield: () => boolean): boolean {
    for (const [vhost, subjects] of this.#vhosts) {
      for (;;) {
        const next = subjects.next()
        if (next.done === true) break
        this.#apply(next.value)
        if (shouldYield()) return true
      }
      if (this.#vhosts.get(vhost) === subjects) this.#vhosts.delete(vhost)
    }
    return this.#vhosts.size > 0
  }

  #apply(subject: DeclaredQueue | Exchange): void {
    if (!subject.applyPolicy()) return
    if (subject.kind === 'exchange') subject.home.version++
    else if (subject.queue !== null) this.#directory.settingsChanged(subject.queue)
  }
}

/** Live views: what goes meanwhile is not met any more. */
function* subjectsOf(vhost: VhostState): Generator<DeclaredQueue | Exchange, void> {
  yield* vhost.exchanges.values()
  yield* vhost.queues.values()
}
