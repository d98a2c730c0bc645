/**
 * Work for others: a job goes into a durable queue, a worker does it, and its result comes back as a promise. Results
 * and progress come through a queue of this client's own, which outlives its connections; see `docs/tasks.md`.
 */
import { type AnyCodec, type CodecName, codecOf, decodeBody } from './codec.ts'
import type { Consumer } from './consumer.ts'
import type { Core } from './core.ts'
import { closedByUser, WarrenError } from './errors.ts'
import type { Message } from './message.ts'
import { Queue } from './queue.ts'
import type { QueueOptions } from './queue-options.ts'
import { numberHeader, RemoteError, readToldError, textHeader } from './remote-error.ts'
import { positive } from './request.ts'
import { checked, type StandardSchema } from './schema.ts'
import { TaskHandle } from './task-handle.ts'
import { attemptsHeader, kindHeader, type TaskHandler, TaskWorker, type WorkOptions } from './task-worker.ts'

export interface TasksOptions<Job, Result, Progress> {
  /** JSON by default; for jobs, results and progress. */
  readonly codec?: CodecName | AnyCodec
  /** Checked when sent and when it comes. */
  readonly schema?: {
    readonly job?: StandardSchema<Job, Job>
    readonly result?: StandardSchema<Result, Result>
    readonly progress?: StandardSchema<Progress, Progress>
  }
  /** How the queue of jobs is declared. */
  readonly queue?: Omit<QueueOptions, 'codec' | 'schema' | 'compression'>
  /** Submitted and not settled; further ones reject with `TOO_MANY_WAITING`. 10,000 by default. */
  readonly pendingMax?: number
  /** How long results are kept for a submitter that is away, in milliseconds; 10 minutes by default. */
  readonly resultsKeptMs?: number
}

export interface SubmitOptions {
  /** Made by the client without. A queue with deduplication takes one job with this id. */
  readonly id?: string
  /** Milliseconds until it can begin. Warren only. */
  readonly delay?: number
  /** 0 to 255; counts in queues with `maxPriority`. */
  readonly priority?: number
  /** Jobs of one group are done one after the other. Warren only. */
  readonly group?: string
  /** Retries after the first attempt, instead of the worker's. */
  readonly retry?: { readonly attempts: number } | false
}

export class Tasks<Job, Result = unknown, Progress = unknown> {
  readonly name: string
  readonly #core: Core
  readonly #options: TasksOptions<Job, Result, Progress>
  readonly #jobs: Queue<Job>
  readonly #pendingMax: number
  readonly #pending = new Map<string, TaskHandle<Result, Progress>>()
  #results: Promise<Queue<Uint8Array>> | null = null

  constructor(core: Core, name: string, options: TasksOptions<Job, Result, Progress>) {
    this.name = name
    this.#core = core
    this.#options = options
    this.#pendingMax = positive('pendingMax', options.pendingMax ?? 10_000)
    const { schema, codec } = options
    this.#jobs = new Queue<Job>(core, name, {
      ...options.queue,
      ...(codec === undefined ? {} : { codec }),
      ...(schema?.job === undefined ? {} : { schema: schema.job }),
    })
  }

  /** Submitted by this object, and not settled. */
  get pendingCount(): number {
    return this.#pending.size
  }

  // ---------------------------------------------------------------- submit

  /** Resolves when the broker has the job. With the id of one that is pending here, that one is meant. */
  async submit(job: Job, options: SubmitOptions = {}): Promise<TaskHandle<Result, Progress>> {
    const { id = this.#core.nextId(), retry, ...rest } = options
    const known = this.#pending.get(id)
    if (known !== undefined) return known
    if (this.#pending.size >= this.#pendingMax) throw this.#tooMany()
    const forget = (): void => void this.#pending.delete(id)
    const handle = new TaskHandle<Result, Progress>({ core: this.#core, id, queue: this.name, forget })
    this.#pending.set(id, handle)
    try {
      this.#results ??= this.#receive()
      const { name: replyTo } = await this.#results
      const attempts = retry === undefined ? undefined : retry === false ? 1 : 1 + retry.attempts
      const headers = attempts === undefined ? {} : { [attemptsHeader]: attempts }
      const dedup = options.id === undefined ? {} : { dedup: options.id }
      await this.#jobs.send(job, { ...rest, ...dedup, headers, messageId: id, correlationId: id, replyTo })
      return handle
    } catch (error) {
      handle.forget()
      throw error
    }
  }

  #tooMany(): WarrenError {
    const mend = 'Await their results, forget() those that are not wanted, or raise `pendingMax`.'
    return new WarrenError('TOO_MANY_WAITING', `${this.#pending.size} tasks of '${this.name}' are pending.`, { mend })
  }

  // ---------------------------------------------------------------- results

  /** Consumes from a queue of its own. Its name cannot be guessed, and it goes when nobody has used it for long. */
  async #receive(): Promise<Queue<Uint8Array>> {
    const expires = positive('resultsKeptMs', this.#options.resultsKeptMs ?? 600_000)
    const name = `${this.name}.results.${this.#core.nextId()}`
    const queue = new Queue<Uint8Array>(this.#core, name, { expires, codec: 'bytes' })
    try {
      const options = { concurrency: 1, prefetch: 100, retry: false, deadLetter: false } as const
      const consumer = await queue.consume((message) => this.#came(message), options)
      this.#failWhenStopped(consumer)
      return queue
    } catch (error) {
      this.#results = null
      throw error
    }
  }

  #failWhenStopped(consumer: Consumer<Uint8Array>): void {
    consumer.whenStopping(() => {
      for (const handle of [...this.#pending.values()]) handle.fail(closedByUser('A result was waited for'))
    })
  }

  /** One that is not pending any more has come twice, or is not wanted. */
  async #came(message: Message<Uint8Array>): Promise<void> {
    const handle = this.#pending.get(message.properties.correlationId ?? '')
    if (handle === undefined) return
    const kind = textHeader(message.headers, kindHeader)
    if (kind === 'failed') {
      const attempts = numberHeader(message.headers, attemptsHeader) ?? 1
      handle.fail(new RemoteError(`Task '${handle.id}' of '${this.name}'`, readToldError(message.body), attempts))
      return
    }
    try {
      if (kind === 'progress') handle.told((await this.#read('progress', message)) as Progress)
      else handle.done((await this.#read('result', message)) as Result)
    } catch (error) {
      if (kind === 'progress' || !(error instanceof WarrenError)) {
        this.#core.failed(error, `reading the ${kind} of task '${handle.id}'`)
      } else handle.fail(error)
    }
  }

  async #read(what: 'result' | 'progress', { body }: Message<Uint8Array>): Promise<unknown> {
    const { codec, schema } = this.#options
    const name = `The ${what} of a task of '${this.name}'`
    const value = body.length === 0 && codec === undefined ? undefined : decodeBody(codecOf(codec), body, name)
    return (await checked(schema?.[what] ?? null, value, name)).value
  }

  // ---------------------------------------------------------------- work

  /** Does jobs. Resolves when they are taken. */
  async work(
    handler: TaskHandler<Job, Result, Progress>,
    options: WorkOptions = {},
  ): Promise<TaskWorker<Job, Result, Progress>> {
    const { codec, schema } = this.#options
    const jobs = new Queue<Uint8Array>(this.#core, this.name, { ...this.#options.queue, codec: 'bytes' })
    const worker = new TaskWorker<Job, Result, Progress>(this.#core, jobs, handler, {
      ...options,
      codec: codecOf(codec),
      jobSchema: schema?.job ?? null,
      resultSchema: schema?.result ?? null,
      progressSchema: schema?.progress ?? null,
    })
    return worker.start()
  }
}
