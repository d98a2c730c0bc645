import type { Consumer, Queue } from '../broker/ports.ts'

/** Whose a delivery is: a consumer's, or a `basic.get`'s (null). Made once per consumer, not per message. */
export class Holder {
  readonly queue: Queue
  readonly consumer: Consumer | null
  /** What it holds was taken back: settling it means nothing. */
  readonly isOver: boolean
  /** Its number while it holds something, kept by `Holders`; else 0. */
  number = 0

  constructor(queue: Queue, consumer: Consumer | null, isOver = false) {
    this.queue = queue
    this.consumer = consumer
    this.isOver = isOver
  }
}

/**
 * The holders of one channel by number, so that a million deliveries are columns of numbers: an array of as many objects
 * takes twice as long to grow. A number is free again when its holder holds nothing.
 */
export class Holders {
  readonly #holders: (Holder | null)[] = [null]
  readonly #held: number[] = [0]
  readonly #free: number[] = []

  /** One delivery more; returns the holder's number, which is never 0. */
  take(holder: Holder): number {
    if (holder.number === 0) this.#enlist(holder)
    const { number } = holder
    this.#held[number] = (this.#held[number] as number) + 1
    return number
  }

  /** The holder that has this number now. */
  at(number: number): Holder {
    return this.#holders[number] as Holder
  }

  /** One delivery less. */
  give(number: number): Holder {
    const holder = this.#holders[number] as Holder
    const left = (this.#held[number] as number) - 1
    this.#held[number] = left
    if (left === 0) this.#strike(holder)
    return holder
  }

  #enlist(holder: Holder): void {
    holder.number = this.#free.pop() ?? this.#holders.length
    this.#holders[holder.number] = holder
    this.#held[holder.number] = 0
  }

  #strike(holder: Holder): void {
    this.#holders[holder.number] = null
    this.#free.push(holder.number)
    holder.number = 0
  }
}
