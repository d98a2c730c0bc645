/**
 * Which nodes have been here long enough to be given shards, so that those that are started together are all seen before
 * anything is placed. What a node has done before is not judged here, since each node would know something else of it: that
 * a node says itself (`SessionEntry.isSteady`).
 */
import type { NodeIdentity } from '../node-identity.ts'

/** Names remembered; beyond that those that came first are forgotten. */
const namesMax = 1_000

interface Coming {
  readonly incarnation: number
  readonly at: number
}

export class SettledNodes {
  readonly #settleMs: number
  readonly #comings = new Map<string, Coming>()

  constructor(settleMs: number) {
    this.#settleMs = settleMs
  }

  /** True when this node, which is live, has been so for long enough. `now` by the own monotonic clock. */
  isSettled(node: NodeIdentity, now: number): boolean {
    return this.ageOf(node, now) >= this.#settleMs
  }

  /** For how long this node, which is live, has been so. */
  ageOf({ name, incarnation }: NodeIdentity, now: number): number {
    const known = this.#comings.get(name)
    if (known?.incarnation === incarnation) return now - known.at
    this.#comings.delete(name)
    this.#comings.set(name, { incarnation, at: now })
    if (this.#comings.size > namesMax) this.#forgetFirst()
    return 0
  }

  #forgetFirst(): void {
    const [first] = this.#comings.keys()
    if (first !== undefined) this.#comings.delete(first)
  }
}
