import type { Position } from '../../log/log.ts'

/** Those who wait until the topology has come as far as a position: until it is applied here, or settled. */
export class CaughtUp {
  #waiting: { readonly position: Position; readonly done: () => void }[] = []

  get count(): number {
    return this.#waiting.length
  }

  /** In the order of positions, and of calls for the same one. */
  add(position: Position, done: () => void): void {
    let at = this.#waiting.length
    while (at > 0 && (this.#waiting[at - 1]?.position ?? 0) > position) at--
    this.#waiting.splice(at, 0, { position, done })
  }

  release(reached: Position): void {
    while (this.#waiting.length > 0) {
      const count = this.#waiting.findIndex(({ position }) => position > reached)
      const released = this.#waiting.splice(0, count === -1 ? this.#waiting.length : count)
      if (released.length === 0) return
      for (const { done } of released) done()
    }
  }
}
