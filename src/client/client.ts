import { NamedChannel, type NamedChannelOptions } from './channel-named.ts'
import type { Codec } from './codec.ts'
import { Core, type Platform } from './core.ts'
import type { Table } from './driver/properties.ts'
import { closedByUser } from './errors.ts'
import type { ClientEvents } from './events.ts'
import { Exchange, type ExchangeOptions } from './exchange.ts'
import type { ClientOptions } from './options.ts'
import { Queue } from './queue.ts'
import type { QueueOptions } from './queue-options.ts'
import { type RequestHandler, Responder, type ResponderOptions } from './reply.ts'
import { Requester, type RequesterOptions } from './request.ts'
import type { InputOf, OutputOf, StandardSchema } from './schema.ts'
import { Tasks, type TasksOptions } from './tasks.ts'

export interface CloseOptions {
  /** For handlers in hand and confirms under way, in milliseconds; 30 s by default. */
  readonly timeoutMs?: number
}

const closeMs = 30_000
/** How long the brokers' answers to our goodbye are waited for, in milliseconds. */
const goodbyeMs = 2_000

let coreOfClient: (client: Client) => Core

/** For the modules of this package that add to what a client can do. */
export function coreOf(client: Client): Core {
  return coreOfClient(client)
}

/** One program's access to a broker. Made by `connect`. */
export class Client {
  static {
    coreOfClient = (client) => client.#core
  }

  readonly #core: Core
  #closed: Promise<void> | null = null

  /** For the modules of this package; see `connect`. */
  constructor(core: Core) {
    this.#core = core
  }

  // ---------------------------------------------------------------- what there is

  queue<S extends StandardSchema>(
    name: string,
    options: QueueOptions & { readonly schema: S },
  ): Queue<InputOf<S>, OutputOf<S>>
  queue(name: string, options: QueueOptions & { readonly codec: 'text' }): Queue<string>
  queue(name: string, options: QueueOptions & { readonly codec: 'bytes' }): Queue<Uint8Array>
  queue<T>(name: string, options: QueueOptions & { readonly codec: Codec<T> }): Queue<T>
  queue<T = unknown>(name: string, options?: QueueOptions): Queue<T>
  /** A queue as code. Nothing is sent until it is used. */
  queue(name: string, options: QueueOptions = {}): unknown {
    return new Queue<unknown>(this.#core, name, options)
  }

  exchange<S extends StandardSchema>(
    name: string,
    options: ExchangeOptions & { readonly schema: S },
  ): Exchange<InputOf<S>, OutputOf<S>>
  exchange<T = unknown>(name: string, options?: ExchangeOptions): Exchange<T>
  /** An exchange as code; `topic` unless its options say otherwise. */
  exchange(name: string, options: ExchangeOptions = {}): unknown {
    return new Exchange<unknown>(this.#core, name, options)
  }

  topic<S extends StandardSchema>(
    name: string,
    options: Omit<ExchangeOptions, 'type'> & { readonly schema: S },
  ): Exchange<InputOf<S>, OutputOf<S>>
  topic<T = unknown>(name: string, options?: Omit<ExchangeOptions, 'type'>): Exchange<T>
  /** An exchange of type `topic`. */
  topic(name: string, options: Omit<ExchangeOptions, 'type'> = {}): unknown {
    return new Exchange<unknown>(this.#core, name, { ...options, type: 'topic' })
  }

  /** Routes from one exchange to another. Bound again after each reconnect. */
  bindExchange(binding: {
    readonly source: string
    readonly destination: string
    readonly bindingKey?: string
    readonly arguments?: Table
  }): Promise<void> {
    const { source, destination, bindingKey = '', arguments: table = {} } = binding
    const declared = { source, destination, bindingKey, arguments: table }
    return this.#core.topology.ensure({ kind: 'binding', to: 'exchange', binding: declared })
  }

  // ---------------------------------------------------------------- more than queues

  /** Asks those who answer requests of this queue. */
  requester<Req, Res>(queue: string, options: RequesterOptions<Req, Res> = {}): Requester<Req, Res> {
    return new Requester<Req, Res>(this.#core, queue, options)
  }

  /** Answers requests of this queue, which is declared. Resolves when they are taken. */
  responder<Req, Res>(
    queue: string,
    handler: RequestHandler<Req, Res>,
    options: ResponderOptions<Req, Res> = {},
  ): Promise<Responder<Req, Res>> {
    return new Responder<Req, Res>(this.#core, queue, handler, options).start()
  }

  /** Work for others, and its results. */
  tasks<Job, Result = unknown, Progress = unknown>(
    name: string,
    options: TasksOptions<Job, Result, Progress> = {},
  ): Tasks<Job, Result, Progress> {
    return new Tasks<Job, Result, Progress>(this.#core, name, options)
  }

  /** A bounded channel that the broker keeps: push and pop. */
  channel<T>(name: string, options: NamedChannelOptions<T>): NamedChannel<T> {
    return new NamedChannel<T>(this.#core, name, options)
  }

  // ---------------------------------------------------------------- what happens

  /** Returns what takes the listener off again. Listeners must not throw. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (event: ClientEvents[Name]) => void): () => void {
    return this.#core.events.on(name, listener)
  }

  /** There is a connection for consumers and operations. */
  get isConnected(): boolean {
    return this.#core.consuming.current !== null
  }

  /** What the broker calls itself; '' while there is no connection. */
  get brokerProduct(): string {
    return this.#core.consuming.current?.product ?? ''
  }

  /** Why the broker takes no messages for now; null when it does. */
  get blockedReason(): string | null {
    return this.#core.publishing.blockedReason
  }

  /** Sends that have not settled. */
  get pendingSends(): number {
    return this.#core.publisher.pendingCount
  }

  // ---------------------------------------------------------------- the end

  /**
   * Takes no more messages, finishes the handlers in hand, waits for confirms, and says goodbye. After `timeoutMs` the
   * signals of what is in hand are aborted, sends reject with `CLOSED`, and what is unsettled goes back to its queue.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#close(options.timeoutMs ?? closeMs)
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const { clock, consumers, publisher, consuming, publishing } = this.#core
    await new Promise<void>((resolve) => {
      const timer = clock.after(timeoutMs, resolve)
      void this.#drained().then(() => {
        timer.cancel()
        resolve()
      })
    })
    for (const consumer of consumers) consumer.abort()
    publisher.close()
    await Promise.all([consuming.close(goodbyeMs), publishing.close(goodbyeMs)])
  }

  /** Handlers may send, so confirms are waited for after them. */
  async #drained(): Promise<void> {
    const { consumers, publisher } = this.#core
    await Promise.all([...consumers].map((consumer) => consumer.stop()))
    await publisher.idle()
  }
}

/** Connects once, so that a wrong URL, user or vhost is known at once. */
export async function connectWith(
  urls: string | readonly string[],
  options: ClientOptions,
  platform: Platform,
): Promise<Client> {
  const core = new Core(typeof urls === 'string' ? [urls] : urls, options, platform)
  try {
    await core.consuming.open()
  } catch (error) {
    await core.consuming.close(0)
    throw error
  }
  if (core.consuming.isClosed) throw closedByUser('A connection was asked for')
  return new Client(core)
}
