/**
 * Which nodes have been here long enough to be given shards. A node that comes and goes must be here longer each time,
 * so that shards do not move to and fro with it.
 */
import type { NodeIdentity } from '../node-identity.ts'

/** How far back a node's comings count against it. */
const memoryMs = 60_000
/** Each coming within that time doubles what is asked, so many times at most: 2 s become 32 s. */
const doublingsMax = 4
/** Names remembered; beyond that those that came first are forgotten. */
const namesMax = 1_000

interface Coming {
  incarnation: number
  at: number
  /** Comings shortly before this one. */
  earlier: number
}

export class SettledNodes {
  readonly #settleMs: number
  readonly #comings = new Map<string, Coming>()

  constructor(settleMs: number) {
    this.#settleMs = settleMs
  }

  /** True when this node, which is live, has been so for long enough. `now` by the own monotonic clock. */
  isSettled({ name, incarnation }: NodeIdentity, now: number): boolean {
    const { at, earlier } = this.#comingOf(name, incarnation, now)
    return now - at >= this.#settleMs * 2 ** Math.min(earlier, doublingsMax)
  }

  /** For how long this node, which is live, has been so. */
  ageOf({ name, incarnation }: NodeIdentity, now: number): number {
    return now - this.#comingOf(name, incarnation, now).at
  }

  #comingOf(name: string, incarnation: number, now: number): Coming {
    const known = this.#comings.get(name)
    if (known?.incarnation === incarnation) return known
    const earlier = known !== undefined && now - known.at < memoryMs ? known.earlier + 1 : 0
    const coming = { incarnation, at: now, earlier }
    this.#comings.delete(name)
    this.#comings.set(name, coming)
    if (this.#comings.size > namesMax) this.#forgetFirst()
    return coming
  }

  #forgetFirst(): void {
    const [first] = this.#comings.keys()
    if (first !== undefined) this.#comings.delete(first)
  }
}
