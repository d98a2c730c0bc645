import type { Random } from '../../base/random.ts'
import type { Route } from '../commands.ts'
import { BrokerError } from '../errors.ts'
import type { Message } from '../message.ts'
import type { Binding, BindingList, Destination } from './binding.ts'
import type { DeclaredQueue } from './declared-queue.ts'
import type { Exchange } from './exchange.ts'
import { Lots } from './lots.ts'

/**
 * Finds the queues of a message: along the bindings of its exchange, on through exchanges bound to it, and from each
 * exchange that led nowhere to its alternate.
 *
 * Each queue is found once and each exchange passed once, so that cycles end: reaching one leaves the number of this
 * routing on it as a mark, which needs no set. The work of one routing is bounded.
 */
export class Router {
  /** For matchers that leave it to chance. */
  readonly lots: Lots
  #mark = 0
  #steps = 0
  /** How much the exchange being looked at has led to, seen before or not. */
  #reached = 0
  #route: Route | null = null
  readonly #exchanges: Exchange[] = []

  constructor(random: Random) {
    this.lots = new Lots(random)
  }

  /** Fills `queues`, `count`, `hasDurable` and `isCacheable`. `message` is read by headers exchanges only. `moreKeys` are those of CC and BCC. */
  fill(route: Route, from: Exchange, key: string, message: Message, moreKeys: readonly string[] = []): void {
    this.#mark++
    this.#steps = 0
    this.#route = route
    route.count = 0
    route.hasDurable = false
    route.isCacheable = true
    route.exchangeCounts = from.counts
    this.#exchanges.length = 0
    this.#pass(from)
    try {
      for (let exchange = this.#exchanges.pop(); exchange !== undefined; exchange = this.#exchanges.pop()) {
        this.#follow(exchange, message, route, key, moreKeys)
      }
    } catch (error) {
      route.count = 0
      throw error
    } finally {
      this.#route = null
    }
  }

  #follow(exchange: Exchange, message: Message, route: Route, key: string, moreKeys: readonly string[]): void {
    this.#reached = 0
    if (exchange.matcher.readsHeaders) route.isCacheable = false
    exchange.matcher.match(this, key, message)
    for (const another of moreKeys) exchange.matcher.match(this, another, message)
    if (this.#reached > 0 || exchange.alternate === null) return
    const alternate = exchange.home.exchanges.get(exchange.alternate)
    if (alternate !== undefined) this.#pass(alternate)
  }

  // ---------------------------------------------------------------- what matchers call

  reachAll(list: BindingList): void {
    const { items } = list
    for (let index = 0; index < items.length; index++) {
      const binding = items[index]
      if (binding !== undefined) this.reach(binding.destination)
    }
  }

  /** The one at `index`, or the next after it that leads to something that is still there. */
  reachOneOf(bindings: readonly Binding[], index: number): void {
    for (let passed = 0; passed < bindings.length; passed++) {
      const binding = bindings[(index + passed) % bindings.length]
      if (binding === undefined || binding.destination.isGone) continue
      this.reach(binding.destination)
      return
    }
  }

  reach(destination: Destination): void {
    this.spend(1)
    if (destination.isGone) return
    this.#reached++
    if (destination.mark === this.#mark) return
    if (destination.kind === 'exchange') this.#pass(destination)
    else this.#take(destination)
  }

  #take(queue: DeclaredQueue): void {
    queue.mark = this.#mark
    const route = this.#route
    if (route === null || queue.queue === null) return
    route.queues[route.count++] = queue.queue
    if (queue.isDurable) route.hasDurable = true
  }

  /** Counts work that finds nothing. */
  spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > routeStepsMax) {
      throw new BrokerError('precondition-failed', `routing this message takes more than ${routeStepsMax} steps`)
    }
  }

  #pass(exchange: Exchange): void {
    if (exchange.mark === this.#mark) return
    exchange.mark = this.#mark
    this.#exchanges.push(exchange)
  }
}

/** Work for one message: bindings followed, trie nodes and headers compared. Some 10 ms. */
export const routeStepsMax = 500_000
