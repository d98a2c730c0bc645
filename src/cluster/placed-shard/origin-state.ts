/**
 * What became of one node's publishes in a shard that is served here, for as long as it is: so that a node whose link was
 * cut goes on where it was, and nothing is done twice, stored or not.
 */
import type { ConfirmSink } from '../../broker/ports.ts'
import type { LocalShard } from './ports.ts'

/** Hears of what is settled, by the numbers of the node. */
export interface OriginListener {
  confirmed(number: number): void
  refused(number: number): void
}

export class OriginState implements ConfirmSink {
  readonly incarnation: number
  /** The node as it is attached now; null: its link is down, it hears of it when it comes again. */
  listener: OriginListener | null = null
  /** The last publish that was taken. */
  applied = 0
  readonly refusedNumbers = new Set<number>()
  /** Taken and neither confirmed nor refused. */
  #underWay = 0
  #settledWaiter: (() => void) | null = null

  readonly #local: LocalShard

  constructor(incarnation: number, local: LocalShard) {
    this.incarnation = incarnation
    this.#local = local
  }

  /** The shard is given a publish. */
  taken(number: number): void {
    this.applied = number
    this.#underWay++
  }

  confirm(number: number): void {
    this.#settled()
    this.listener?.confirmed(number)
    this.#callWaiter()
  }

  /** What a shard refuses that has failed may be stored: the next owner knows. */
  refuse(number: number): void {
    if (!this.#local.isServing) return
    this.#settled()
    this.refusedNumbers.add(number)
    this.listener?.refused(number)
    this.#callWaiter()
  }

  /** The node knows what became of everything below. */
  told(below: number): void {
    if (this.refusedNumbers.size === 0) return
    for (const number of this.refusedNumbers) if (number < below) this.refusedNumbers.delete(number)
  }

  /** Calls back, perhaps at once, when all that was taken is settled. Only the last one that asks is called. */
  whenSettled(done: () => void): void {
    this.#settledWaiter = done
    this.#callWaiter()
  }

  #settled(): void {
    this.#underWay--
  }

  #callWaiter(): void {
    if (this.#underWay > 0 || this.#settledWaiter === null) return
    const waiter = this.#settledWaiter
    this.#settledWaiter = null
    waiter()
  }
}
