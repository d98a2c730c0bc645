/** One task as its submitter sees it: its progress, and its end. */
import type { Core } from './core.ts'
import { WarrenError } from './errors.ts'
import { Fifo } from './fifo.ts'

export interface ResultOptions {
  /** In milliseconds from now; without, as long as it takes. The task goes on. */
  readonly timeoutMs?: number
  /** Rejects with `ABORTED`; the task goes on. */
  readonly signal?: AbortSignal
}

export interface TaskHandleParts {
  readonly core: Core
  readonly id: string
  readonly queue: string
  readonly forget: () => void
}

type Outcome<Result> = { readonly value: Result } | { readonly error: WarrenError }

/** Of progress that nobody has read, so many of the newest are kept. */
const progressMax = 100

export class TaskHandle<Result, Progress> implements AsyncIterable<Progress> {
  readonly id: string
  readonly #parts: TaskHandleParts
  readonly #listeners = new Set<(progress: Progress) => void>()
  readonly #readers = new Set<ProgressReader<Progress>>()
  #waiters: ((outcome: Outcome<Result>) => void)[] = []
  #outcome: Outcome<Result> | null = null

  constructor(parts: TaskHandleParts) {
    this.#parts = parts
    this.id = parts.id
  }

  /** It is over, well or not. */
  get isSettled(): boolean {
    return this.#outcome !== null
  }

  /**
   * What the handler returned, whenever it is asked for. Rejects with a `RemoteError` when it failed for good, else with
   * `REQUEST_TIMEOUT`, `ABORTED` or `CLOSED`.
   */
  result(options: ResultOptions = {}): Promise<Result> {
    const { core, queue } = this.#parts
    const { timeoutMs, signal } = options
    return new Promise((resolve, reject) => {
      const end = (outcome: Outcome<Result>): void => {
        timer?.cancel()
        signal?.removeEventListener('abort', aborted)
        this.#waiters = this.#waiters.filter((waiter) => waiter !== end)
        if ('error' in outcome) reject(outcome.error)
        else resolve(outcome.value)
      }
      const aborted = (): void => {
        const details = { mend: 'The task goes on.', cause: signal?.reason as unknown }
        const sentence = `Waiting for task '${this.id}' of '${queue}' was aborted.`
        end({ error: new WarrenError('ABORTED', sentence, details) })
      }
      const late = (): void => {
        const mend = 'It goes on: ask for the result again, or see that a worker runs.'
        const sentence = `Task '${this.id}' of '${queue}' was not done within ${timeoutMs} ms.`
        end({ error: new WarrenError('REQUEST_TIMEOUT', sentence, { mend }) })
      }
      const timer = timeoutMs === undefined || this.isSettled ? null : core.clock.after(timeoutMs, late)
      this.#waiters.push(end)
      if (this.#outcome !== null) end(this.#outcome)
      else if (signal?.aborted === true) aborted()
      else signal?.addEventListener('abort', aborted, { once: true })
    })
  }

  /** Calls back for what is told from now on. Returns what takes the listener off again. */
  onProgress(listener: (progress: Progress) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** What is told from now on; ends with the task, whether it failed or not. Only the newest 100 wait to be read. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Progress> {
    const reader = new ProgressReader<Progress>((ended) => void this.#readers.delete(ended))
    if (this.isSettled) reader.end()
    else this.#readers.add(reader)
    return reader
  }

  /** The result is not wanted: what comes is dropped, and the task counts no longer. It goes on all the same. */
  forget(): void {
    const mend = 'Do not call forget() on a task whose result is wanted.'
    this.fail(new WarrenError('CLOSED', `Task '${this.id}' of '${this.#parts.queue}' was forgotten.`, { mend }))
  }

  // ---------------------------------------------------------------- by its queue of results

  told(progress: Progress): void {
    if (this.isSettled) return
    for (const reader of this.#readers) reader.push(progress)
    for (const listener of this.#listeners) {
      try {
        listener(progress)
      } catch (error) {
        this.#parts.core.failed(error, `a listener of the progress of task '${this.id}'`)
      }
    }
  }

  done(value: Result): void {
    this.#settle({ value })
  }

  fail(error: WarrenError): void {
    this.#settle({ error })
  }

  #settle(outcome: Outcome<Result>): void {
    if (this.#outcome !== null) return
    this.#outcome = outcome
    this.#parts.forget()
    for (const waiter of this.#waiters.splice(0)) waiter(outcome)
    for (const reader of [...this.#readers]) reader.end()
    this.#listeners.clear()
  }
}

class ProgressReader<P> implements AsyncIterableIterator<P> {
  readonly #ended: (reader: ProgressReader<P>) => void
  readonly #came = new Fifo<{ readonly value: P }>()
  #isOver = false
  #waiting: ((result: IteratorResult<P>) => void)[] = []

  constructor(ended: (reader: ProgressReader<P>) => void) {
    this.#ended = ended
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  push(value: P): void {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined) return waiting({ done: false, value })
    this.#came.push({ value })
    if (this.#came.length > progressMax) this.#came.shift()
  }

  next(): Promise<IteratorResult<P>> {
    const first = this.#came.shift()
    if (first !== undefined) return Promise.resolve({ done: false, value: first.value })
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  return(): Promise<IteratorResult<P>> {
    this.#came.takeAll()
    this.end()
    return Promise.resolve({ done: true, value: undefined })
  }

  end(): void {
    this.#isOver = true
    this.#ended(this)
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined })
  }
}
