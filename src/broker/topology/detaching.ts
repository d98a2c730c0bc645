import type { RunQueue, Task } from '../../base/run-queue.ts'
import type { Binding } from './binding.ts'

/** So many bindings are taken out at once, when what they belong to goes. */
export const detachedAtOnceMax = 256

/**
 * Takes the bindings of queues and exchanges that are gone out of what they led from and to, in slices when they are
 * many. Until it comes to them nobody follows them, counts them or writes them down again (`isGone` of their ends), so
 * that nothing depends on when that is. A replay needs no slices.
 */
export class Detaching implements Task {
  readonly #runQueue: RunQueue
  readonly #remove: (binding: Binding) => void
  /** Live views: what has gone otherwise is not met any more. */
  #rests: Iterator<Binding>[] = []

  constructor(runQueue: RunQueue, remove: (binding: Binding) => void) {
    this.#runQueue = runQueue
    this.#remove = remove
  }

  add(bindings: Iterable<Binding>): void {
    this.#rests.push(bindings[Symbol.iterator]())
    this.#runQueue.add(this)
  }

  run(shouldYield: () => boolean): boolean {
    for (let rest = this.#rests[0]; rest !== undefined; rest = this.#rests[0]) {
      if (!this.#removeSome(rest)) this.#rests.shift()
      if (shouldYield()) return this.#rests.length > 0
    }
    return false
  }

  /** Whether there are more. */
  #removeSome(rest: Iterator<Binding>): boolean {
    for (let count = 0; count < bindingsPerLook; count++) {
      const next = rest.next()
      if (next.done === true) return false
      this.#remove(next.value)
    }
    return true
  }
}

const bindingsPerLook = 64
