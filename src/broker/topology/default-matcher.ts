import { assert } from '../../base/assert.ts'
import type { Matcher } from './exchange.ts'
import type { Router } from './router.ts'
import type { VhostState } from './vhost-state.ts'

/** The default exchange: every queue is bound to it by its name, always; nothing else is. */
export class DefaultMatcher implements Matcher {
  readonly readsHeaders = false
  readonly #vhost: VhostState

  constructor(vhost: VhostState) {
    this.#vhost = vhost
  }

  add(): void {
    assert(false, 'nothing can be bound to the default exchange')
  }

  remove(): void {
    assert(false, 'nothing can be unbound from the default exchange')
  }

  match(router: Router, key: string): void {
    const queue = this.#vhost.queues.get(key)
    if (queue !== undefined) router.reach(queue)
  }
}
