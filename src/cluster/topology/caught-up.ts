import type { Position } from '../../log/log.ts'

/** Those who wait until this node has applied the topology up to a position. */
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

  release(applied: Position): void {
    while (this.#waiting.length > 0) {
      const count = this.#waiting.findIndex(({ position }) => position > applied)
      const released = this.#waiting.splice(0, count === -1 ? this.#waiting.length : count)
      if (released.length === 0) return
      for (const { done } of released) done()
    }
  }
}
