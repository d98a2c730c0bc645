import { type Binding, BindingList } from './binding.ts'
import type { Matcher } from './exchange.ts'
import type { Router } from './router.ts'

/** Along every binding. */
export class FanoutMatcher implements Matcher {
  readonly readsHeaders = false
  readonly #bindings = new BindingList()

  add(binding: Binding): void {
    this.#bindings.add(binding)
  }

  remove(binding: Binding): void {
    this.#bindings.remove(binding)
  }

  match(router: Router): void {
    router.reachAll(this.#bindings)
  }
}
