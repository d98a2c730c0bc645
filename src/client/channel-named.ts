/**
 * A channel that the broker keeps: a queue with a length, which refuses what is too much. Pushes go one at a time, so
 * that they stay in order though the broker refuses some at first.
 */
import { backoffMs } from './backoff.ts'
import type { AnyCodec, CodecName } from './codec.ts'
import type { Core } from './core.ts'
import { WarrenError } from './errors.ts'
import type { Message } from './message.ts'
import { capacityOf, channelClosed, type PushPop, type WaitOptions, waitAborted } from './push-pop.ts'
import { Queue } from './queue.ts'
import type { QueueOptions } from './queue-options.ts'
import type { StandardSchema } from './schema.ts'
import { Sleep } from './waiting.ts'

export interface NamedChannelOptions<T> {
  /** Values in it that nobody has popped; a further `push` waits. */
  readonly capacity: number
  /** Values the broker sends ahead to one who pops, which count no longer; 1 by default. */
  readonly prefetch?: number
  readonly codec?: CodecName | AnyCodec
  readonly schema?: StandardSchema<T, T>
  /** Survives a restart of the broker, with its values; true by default. */
  readonly durable?: boolean
  /** For where values go that cannot be read; `NAME.dead` by default. */
  readonly deadLetter?: string
}

/** Between two attempts to push into a full channel. */
const fullBackoff = { initialMs: 5, factor: 1.5, maxMs: 250, jitter: 0.3 }

export class NamedChannel<T> implements PushPop<T> {
  readonly name: string
  readonly capacity: number
  readonly #core: Core
  readonly #queue: Queue<T>
  readonly #prefetch: number
  readonly #deadLetter: string | undefined
  #messages: AsyncIterator<Message<T>> | null = null
  /** Given to the one who pops. */
  #popped: Message<T> | null = null
  /** Asked for; the one who waited for it has gone. */
  #asked: Promise<Message<T> | null> | null = null
  readonly #sleeps = new Set<Sleep>()
  #pushing: Promise<unknown> = Promise.resolve()
  #popping: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(core: Core, name: string, options: NamedChannelOptions<T>) {
    this.name = name
    this.capacity = capacityOf(options.capacity)
    this.#core = core
    this.#prefetch = options.prefetch ?? 1
    this.#deadLetter = options.deadLetter
    const { durable, codec, schema } = options
    const declared: QueueOptions = {
      maxLength: this.capacity,
      overflow: 'reject-publish',
      ...(durable === undefined ? {} : { durable }),
      ...(codec === undefined ? {} : { codec }),
      ...(schema === undefined ? {} : { schema }),
    }
    this.#queue = new Queue<T>(core, name, declared)
  }

  // ---------------------------------------------------------------- push

  push(value: T, { signal }: WaitOptions = {}): Promise<void> {
    const pushed = this.#pushing.then(() => this.#push(value, signal))
    this.#pushing = pushed.catch(() => undefined)
    return pushed
  }

  async #push(value: T, signal: AbortSignal | undefined): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      if (signal?.aborted === true) throw waitAborted(signal)
      if (this.#isClosed) throw channelClosed()
      try {
        return await this.#queue.send(value)
      } catch (error) {
        const isFull = error instanceof WarrenError && error.code === 'NACKED'
        if (!isFull) throw error
      }
      await this.#pause(backoffMs(fullBackoff, attempt, this.#core.random), signal)
    }
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const sleep = new Sleep()
    const wake = (): void => sleep.wake()
    this.#sleeps.add(sleep)
    signal?.addEventListener('abort', wake, { once: true })
    await sleep.for(this.#core.clock, ms)
    signal?.removeEventListener('abort', wake)
    this.#sleeps.delete(sleep)
  }

  // ---------------------------------------------------------------- pop

  /** Those who wait get values in turn. */
  pop({ signal }: WaitOptions = {}): Promise<T | undefined> {
    const popped = this.#popping.then(() => this.#pop(signal))
    this.#popping = popped.catch(() => undefined)
    return popped
  }

  async #pop(signal: AbortSignal | undefined): Promise<T | undefined> {
    const message = await this.#next(signal)
    return message?.body
  }

  /** Null: closed. */
  async #next(signal: AbortSignal | undefined): Promise<Message<T> | null> {
    if (signal?.aborted === true) throw waitAborted(signal)
    if (this.#isClosed) return null
    this.acknowledge()
    this.#asked ??= this.#ask()
    const asked = this.#asked
    const message = await orAborted(asked, signal)
    if (this.#asked === asked) this.#asked = null
    this.#popped = message
    return message
  }

  async #ask(): Promise<Message<T> | null> {
    const deadLetter = this.#deadLetter === undefined ? {} : { deadLetter: this.#deadLetter }
    this.#messages ??= this.#queue.messages({ prefetch: this.#prefetch, retry: false, ...deadLetter })
    const messages = this.#messages
    try {
      const { done, value } = await messages.next()
      return done === true ? null : value
    } catch (error) {
      // The broker refused the consumer: the next pop tries anew.
      this.#messages = null
      this.#asked = null
      throw error
    }
  }

  acknowledge(): void {
    this.#popped?.ack()
    this.#popped = null
  }

  // ---------------------------------------------------------------- the end

  async close(): Promise<void> {
    this.#isClosed = true
    for (const sleep of this.#sleeps) sleep.wake()
    this.#popped = null
    await this.#messages?.return?.()
  }

  /** Leaving the loop by `break` or an error gives back the value in hand. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    let isDone = true
    try {
      for (let message = await this.#nextInTurn(); message !== null; message = await this.#nextInTurn()) {
        isDone = false
        yield message.body
        isDone = true
      }
    } finally {
      if (!isDone) {
        this.#popped?.requeue()
        this.#popped = null
      }
    }
  }

  #nextInTurn(): Promise<Message<T> | null> {
    const next = this.#popping.then(() => this.#next(undefined))
    this.#popping = next.catch(() => undefined)
    return next
  }
}

/** The promise, which goes on, or `ABORTED`. */
function orAborted<V>(promise: Promise<V>, signal: AbortSignal | undefined): Promise<V> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(waitAborted(signal))
    signal.addEventListener('abort', aborted, { once: true })
    const end = (): void => signal.removeEventListener('abort', aborted)
    promise.finally(end).then(resolve, reject)
  })
}
