import { type Binding, BindingList } from './binding.ts'
import type { Matcher } from './exchange.ts'
import type { Router } from './router.ts'

/** Along one of the bindings, whichever chance has it (`x-random`, `x-local-random`). Keys mean nothing. */
export class RandomMatcher implements Matcher {
  /** Nothing of the message counts, but the next one may well go elsewhere. */
  readonly readsHeaders = true
  readonly #bindings = new BindingList()

  add(binding: Binding): void {
    this.#bindings.add(binding)
  }

  remove(binding: Binding): void {
    this.#bindings.remove(binding)
  }

  match(router: Router): void {
    const { items } = this.#bindings
    if (items.length > 0) router.reachOneOf(items, router.lots.below(items.length))
  }
}
