import type { Position, Reply } from '../../broker/ports.ts'
import type { Topology } from '../../broker/topology/topology.ts'

/** Answers wait here until what they say is on stable storage, and known to all nodes. */
export class Commits {
  readonly #topology: Topology
  #waiting: { readonly position: Position; readonly resolve: () => void }[] = []

  constructor(topology: Topology) {
    this.#topology = topology
    topology.hearSettled((position) => this.#settled(position))
  }

  /** 0: at once. */
  async until(position: Position): Promise<void> {
    if (position <= this.#topology.settled) return
    await new Promise<void>((resolve) => {
      this.#waiting.push({ position, resolve })
    })
  }

  /** The result of a command, once it is settled. Rejects with the broker's refusal. */
  async result<T>(command: (reply: Reply<T>) => void): Promise<T> {
    const [result, position] = await new Promise<[T, Position]>((resolve, reject) => {
      command({ done: (value, committedWith) => resolve([value, committedWith]), failed: reject })
    })
    await this.until(position)
    return result
  }

  #settled(position: Position): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = waiting.filter((one) => one.position > position)
    for (const one of waiting) if (one.position <= position) one.resolve()
  }
}
