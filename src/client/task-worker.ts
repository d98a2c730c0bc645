/** Does the jobs of a queue and tells their submitters: progress, the result, or why it failed for good. */
import { type Codec, decodeBody, encodeBody } from './codec.ts'
import type { ConsumeOptions, Consumer } from './consumer.ts'
import type { Core } from './core.ts'
import type { Table } from './driver/properties.ts'
import { badOption, WarrenError } from './errors.ts'
import { DoNotRetry, type Message } from './message.ts'
import type { Queue } from './queue.ts'
import { numberHeader, toldError } from './remote-error.ts'
import { checked, type StandardSchema } from './schema.ts'

export interface TaskContext<Progress> {
  readonly id: string
  /** From 1. */
  readonly attempt: number
  /** Aborted when work on it is in vain: the connection or the lease was lost, or the client closes. */
  readonly signal: AbortSignal
  readonly headers: Table
  /** Resolves when the broker has it; awaiting it keeps a handler from telling faster than that. Never rejects. */
  progress(value: Progress): Promise<void>
  /** More time for one with a lease: `ms` from now, or as much as it had. False: it is not ours any more. */
  extend(ms?: number): boolean
}

export type TaskHandler<Job, Result, Progress> = (job: Job, context: TaskContext<Progress>) => Result | Promise<Result>

export interface WorkOptions
  extends Pick<ConsumeOptions, 'concurrency' | 'prefetch' | 'deadLetter' | 'signal' | 'priority'> {
  /** Retries after the first attempt, 3 by default, unless a job says otherwise; and the delays before them. */
  readonly retry?: Exclude<ConsumeOptions['retry'], 'broker'>
  /** How long a job may stay with a worker that does not extend it; 60 s by default, extended while the handler runs. */
  readonly lease?: ConsumeOptions['lease']
}

export interface WorkerParts extends WorkOptions {
  readonly codec: Codec<unknown>
  readonly jobSchema: StandardSchema | null
  readonly resultSchema: StandardSchema | null
  readonly progressSchema: StandardSchema | null
}

/** Of what comes back: `result`, `progress` or `failed`. */
export const kindHeader = 'x-warren-task'
/** Of a job: attempts it may have. Of a failure: attempts it had. */
export const attemptsHeader = 'x-warren-task-attempts'

/** Attempts that a job may ask for. */
const attemptsMax = 1_000
const leaseMs = 60_000

export class TaskWorker<Job, Result, Progress> {
  readonly #core: Core
  readonly #jobs: Queue<Uint8Array>
  readonly #handler: TaskHandler<Job, Result, Progress>
  readonly #parts: WorkerParts
  readonly #attempts: number
  #consumer: Consumer<Uint8Array> | null = null

  constructor(core: Core, jobs: Queue<Uint8Array>, handler: TaskHandler<Job, Result, Progress>, parts: WorkerParts) {
    this.#core = core
    this.#jobs = jobs
    this.#handler = handler
    this.#parts = parts
    const { retry } = parts
    const retries = retry === false ? 0 : (retry?.attempts ?? 3)
    if (!(retries >= 0)) throw badOption(`The option 'retry.attempts' is ${retries}.`, 'Give a number from 0 on.')
    this.#attempts = 1 + retries
  }

  async start(): Promise<this> {
    const { codec: _, jobSchema: __, resultSchema: ___, progressSchema: ____, lease, retry, ...options } = this.#parts
    const backoff = retry === false || retry?.backoff === undefined ? {} : { backoff: retry.backoff }
    this.#consumer = await this.#jobs.consume((message) => this.#handle(message), {
      ...options,
      lease: lease ?? { ms: leaseMs, extend: 'auto' },
      // Which attempt is the last one, the job may say; `#handle` heeds it.
      retry: { attempts: attemptsMax, ...backoff },
    })
    return this
  }

  /** Jobs whose handlers run or wait for their turn. */
  get inHandCount(): number {
    return this.#consumer?.inHandCount ?? 0
  }

  /** Takes no more, finishes those in hand. Never rejects. */
  async stop(): Promise<void> {
    await this.#consumer?.stop()
  }

  // ---------------------------------------------------------------- one job

  async #handle(message: Message<Uint8Array>): Promise<void> {
    let isRead = false
    let body: Uint8Array
    try {
      const job = await this.#read(message)
      isRead = true
      body = await this.#encoded('result', await this.#handler(job, this.#contextOf(message)))
    } catch (error) {
      const attempts = Math.min(attemptsMax, numberHeader(message.headers, attemptsHeader) ?? this.#attempts)
      // Somebody else gets it, or has it.
      if (message.signal.aborted) throw error
      // What cannot be read now cannot be read later.
      if (isRead && message.attempt < attempts && !(error instanceof DoNotRetry)) throw error
      return this.#giveUp(message, error)
    }
    // Only when the result is stored the job is done; else it is done again.
    await this.#tell(message, { kind: 'result', headers: {}, body })
  }

  /** Tells the submitter, then has the job dead-lettered. */
  async #giveUp(message: Message<Uint8Array>, error: unknown): Promise<never> {
    const told = toldError(error)
    const body = new TextEncoder().encode(JSON.stringify(told))
    await this.#tell(message, { kind: 'failed', headers: { [attemptsHeader]: message.attempt }, body })
    const final = new DoNotRetry(told.message, { cause: error })
    final.name = told.name
    throw final
  }

  async #read({ body }: Message<Uint8Array>): Promise<Job> {
    const what = `A job of '${this.#jobs.name}'`
    const value = decodeBody(this.#parts.codec, body, what)
    return (await checked(this.#parts.jobSchema, value, what)).value as Job
  }

  #contextOf(message: Message<Uint8Array>): TaskContext<Progress> {
    return {
      id: message.id,
      attempt: message.attempt,
      get signal() {
        return message.signal
      },
      headers: message.headers,
      progress: (value) => this.#progress(message, value),
      extend: (ms) => message.extend(ms),
    }
  }

  async #progress(message: Message<Uint8Array>, value: Progress): Promise<void> {
    try {
      if (message.isSettled) return
      await this.#tell(message, { kind: 'progress', headers: {}, body: await this.#encoded('progress', value) })
    } catch (error) {
      this.#core.failed(error, `telling the progress of task '${message.id}'`)
    }
  }

  async #encoded(what: 'result' | 'progress', value: unknown): Promise<Uint8Array> {
    const { codec, resultSchema, progressSchema } = this.#parts
    const name = `The ${what} of a task of '${this.#jobs.name}'`
    await checked(what === 'result' ? resultSchema : progressSchema, value, name)
    return value === undefined ? noBytes : encodeBody(codec, value, name)
  }

  /** Confirmed when it resolves. A submitter that has gone for good misses nothing. */
  async #tell(message: Message<Uint8Array>, told: { kind: string; headers: Table; body: Uint8Array }): Promise<void> {
    const { replyTo, correlationId } = message.properties
    if (replyTo === undefined) return
    const isProgress = told.kind === 'progress'
    try {
      await this.#core.publisher.publish({
        exchange: '',
        routingKey: replyTo,
        isMandatory: !isProgress,
        properties: {
          contentType: told.kind === 'failed' ? 'application/json' : this.#parts.codec.contentType,
          correlationId: correlationId ?? message.id,
          messageId: this.#core.nextId(),
          deliveryMode: isProgress ? 1 : 2,
          headers: { ...told.headers, [kindHeader]: told.kind },
        },
        body: told.body,
      })
    } catch (error) {
      if (!(error instanceof WarrenError) || error.code !== 'RETURNED') throw error
      this.#core.logger.warn({ queue: this.#jobs.name, id: message.id }, 'a submitter has gone; its result is dropped')
    }
  }
}

const noBytes = new Uint8Array(0)
