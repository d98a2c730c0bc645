import type { Consumer, Handler } from './consumer.ts'
import type { Message } from './message.ts'

interface Turn<T> {
  readonly message: Message<T>
  readonly done: () => void
}

/** A consumer, turned round: the loop asks, and what it has in hand is the consumer's one running handler. */
export class MessageIterator<T> implements AsyncIterableIterator<Message<T>> {
  readonly #make: (handler: Handler<T>) => Consumer<T>
  #consumer: Consumer<T> | null = null
  /** Given to the loop. */
  #inHand: Turn<T> | null = null
  /** Came before the loop asked for it. */
  #early: Turn<T> | null = null
  #asked: ((turn: Turn<T> | null) => void) | null = null
  #isOver = false

  constructor(make: (handler: Handler<T>) => Consumer<T>) {
    this.#make = make
  }

  async next(): Promise<IteratorResult<Message<T>>> {
    this.#inHand?.done()
    this.#inHand = null
    if (this.#consumer === null && !this.#isOver) {
      const consumer = this.#make(
        (message) => new Promise((resolve) => this.#came({ message, done: () => resolve(null) })),
      )
      this.#consumer = consumer
      consumer.whenStopping(() => this.#end())
      await consumer.start()
    }
    const turn = this.#early ?? (await this.#ask())
    this.#early = null
    if (turn === null) return { done: true, value: undefined }
    this.#inHand = turn
    return { done: false, value: turn.message }
  }

  async return(): Promise<IteratorResult<Message<T>>> {
    this.#inHand?.message.requeue()
    this.#inHand?.done()
    this.#inHand = null
    this.#end()
    await this.#consumer?.stop()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #came(turn: Turn<T>): void {
    if (this.#isOver) {
      turn.message.requeue()
      turn.done()
    } else if (this.#asked !== null) {
      this.#asked(turn)
      this.#asked = null
    } else this.#early = turn
  }

  #ask(): Promise<Turn<T> | null> | null {
    return this.#isOver ? null : new Promise((resolve) => (this.#asked = resolve))
  }

  #end(): void {
    this.#isOver = true
    this.#asked?.(null)
    this.#asked = null
    this.#early?.message.requeue()
    this.#early?.done()
    this.#early = null
  }
}
