import type { RunQueue, Task } from '../base/run-queue.ts'
import type { ConsumerSink } from './consumer-sink.ts'
import type { Output } from './output.ts'

/**
 * The consumers of a connection that could not be given a message because its output had no room, in the order in which
 * that happened. When there is room again they are told one after the other, as long as there is: with ten thousand
 * consumers most would be told in vain, and others would wait for that.
 */
export class WaitingConsumers implements Task {
  readonly #output: Output
  readonly #runQueue: RunQueue
  #waiting: ConsumerSink[] = []
  #head = 0

  constructor(output: Output, runQueue: RunQueue) {
    this.#output = output
    this.#runQueue = runQueue
  }

  add(sink: ConsumerSink): void {
    if (sink.isWaiting) return
    sink.isWaiting = true
    this.#waiting.push(sink)
  }

  /** The output has room. */
  wake(): void {
    if (this.#head < this.#waiting.length) this.#runQueue.add(this)
  }

  run(shouldYield: () => boolean): boolean {
    for (let sink = this.#waiting[this.#head]; sink !== undefined; sink = this.#waiting[this.#head]) {
      // Who asks and is told no is woken again.
      if (!this.#output.hasRoom) break
      this.#head++
      sink.isWaiting = false
      sink.resume()
      if (shouldYield()) return true
    }
    this.#waiting = this.#waiting.slice(this.#head)
    this.#head = 0
    return false
  }

  /** The connection has ended. */
  close(): void {
    this.#runQueue.remove(this)
    this.#waiting = []
    this.#head = 0
  }
}
