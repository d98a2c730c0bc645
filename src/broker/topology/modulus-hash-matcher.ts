import type { Binding } from './binding.ts'
import type { Matcher } from './exchange.ts'
import { hashOf } from './hash.ts'
import type { Router } from './router.ts'

/**
 * Along the one binding that the hash of the routing key, modulo their number, points at (`x-modulus-hash`). With another
 * number of bindings nearly every key goes elsewhere. They stand in the order in which they were made, after a restart too.
 */
export class ModulusHashMatcher implements Matcher {
  readonly readsHeaders = false
  readonly #bindings: Binding[] = []

  add(binding: Binding): void {
    // Live the newest has the highest id; a replay may bring them in any order.
    let at = this.#bindings.length
    while (at > 0 && (this.#bindings[at - 1]?.id ?? 0) > binding.id) at--
    this.#bindings.splice(at, 0, binding)
  }

  remove(binding: Binding): void {
    const at = this.#bindings.indexOf(binding)
    if (at >= 0) this.#bindings.splice(at, 1)
  }

  match(router: Router, key: string): void {
    const { length } = this.#bindings
    if (length > 0) router.reachOneOf(this.#bindings, hashOf(key) % length)
  }
}
