import { Fifo } from './fifo.ts'
import { capacityOf, channelClosed, type PushPop, type WaitOptions, waitAborted } from './push-pop.ts'

export interface ChannelOptions {
  /** Values in it; a further `push` waits. */
  readonly capacity: number
}

/** A bounded channel inside this program; no broker is needed. Throws `BAD_OPTION`. */
export function channel<T>(options: ChannelOptions): PushPop<T> {
  return new LocalChannel<T>(options)
}

/** Invariant: who pops waits only while nothing is in it, who pushes only while it is full. */
class LocalChannel<T> implements PushPop<T> {
  readonly capacity: number
  readonly #values = new Fifo<{ readonly value: T }>()
  readonly #pushing = new Fifo<Waiter<T, void>>()
  readonly #popping = new Fifo<Waiter<undefined, { readonly value: T } | null>>()
  #isClosed = false

  constructor({ capacity }: ChannelOptions) {
    this.capacity = capacityOf(capacity)
  }

  push(value: T, { signal }: WaitOptions = {}): Promise<void> {
    if (this.#isClosed) return Promise.reject(channelClosed())
    if (signal?.aborted === true) return Promise.reject(waitAborted(signal))
    const popping = firstOf(this.#popping)
    if (popping === null && this.#values.length >= this.capacity) {
      const waiter = new Waiter<T, void>(value, signal)
      this.#pushing.push(waiter)
      return waiter.promise
    }
    if (popping === null) this.#values.push({ value })
    else popping.resolve({ value })
    return Promise.resolve()
  }

  async pop(options: WaitOptions = {}): Promise<T | undefined> {
    return (await this.#take(options.signal))?.value
  }

  /** Null: closed, and nothing is left. */
  #take(signal?: AbortSignal): Promise<{ readonly value: T } | null> {
    if (signal?.aborted === true) return Promise.reject(waitAborted(signal))
    const first = this.#values.shift()
    if (first !== undefined) {
      const pushing = firstOf(this.#pushing)
      if (pushing !== null) {
        this.#values.push({ value: pushing.value })
        pushing.resolve()
      }
      return Promise.resolve(first)
    }
    if (this.#isClosed) return Promise.resolve(null)
    const waiter = new Waiter<undefined, { readonly value: T } | null>(undefined, signal)
    this.#popping.push(waiter)
    return waiter.promise
  }

  acknowledge(): void {
    // What was popped is nowhere else.
  }

  close(): Promise<void> {
    this.#isClosed = true
    for (const one of this.#pushing.takeAll()) one.reject(channelClosed())
    for (const one of this.#popping.takeAll()) one.resolve(null)
    return Promise.resolve()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (let one = await this.#take(); one !== null; one = await this.#take()) yield one.value
  }
}

/** Settles once; the later calls do nothing. */
class Waiter<V, R> {
  readonly value: V
  readonly promise: Promise<R>
  readonly resolve: (result: R) => void
  readonly reject: (error: Error) => void
  isOver = false

  constructor(value: V, signal: AbortSignal | undefined) {
    this.value = value
    const { promise, resolve, reject } = settleable<R>()
    const end = (): void => {
      this.isOver = true
      signal?.removeEventListener('abort', aborted)
    }
    const aborted = (): void => this.reject(waitAborted(signal))
    this.promise = promise
    this.resolve = (result) => {
      end()
      resolve(result)
    }
    this.reject = (error) => {
      end()
      reject(error)
    }
    signal?.addEventListener('abort', aborted, { once: true })
  }
}

function settleable<R>() {
  let resolve: (result: R) => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  const promise = new Promise<R>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** The first that still waits, taken out; null without. */
function firstOf<V, R>(waiters: Fifo<Waiter<V, R>>): Waiter<V, R> | null {
  for (let first = waiters.shift(); first !== undefined; first = waiters.shift()) if (!first.isOver) return first
  return null
}
