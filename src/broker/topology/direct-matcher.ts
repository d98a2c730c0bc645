import { type Binding, BindingList } from './binding.ts'
import type { Matcher } from './exchange.ts'
import type { Router } from './router.ts'

/** Along every binding whose key is the routing key. */
export class DirectMatcher implements Matcher {
  readonly readsHeaders = false
  readonly #byKey = new Map<string, BindingList>()

  add(binding: Binding): void {
    let list = this.#byKey.get(binding.key)
    if (list === undefined) {
      list = new BindingList()
      this.#byKey.set(binding.key, list)
    }
    list.add(binding)
  }

  remove(binding: Binding): void {
    const list = this.#byKey.get(binding.key)
    list?.remove(binding)
    if (list?.items.length === 0) this.#byKey.delete(binding.key)
  }

  match(router: Router, key: string): void {
    const list = this.#byKey.get(key)
    if (list !== undefined) router.reachAll(list)
  }
}
