import { type AnyCodec, type CodecName, codecOf } from './codec.ts'
import { type CompressionName, checkCompression } from './compression.ts'
import type { ConsumeOptions, Consumer, Handler } from './consumer.ts'
import type { Core } from './core.ts'
import type { Table } from './driver/properties.ts'
import { Producer, type SendOptions } from './producer.ts'
import { Queue } from './queue.ts'
import type { QueueOptions } from './queue-options.ts'
import type { StandardSchema } from './schema.ts'
import type { Definition } from './topology.ts'

export interface ExchangeOptions {
  /** `topic` by default. */
  readonly type?: 'direct' | 'fanout' | 'topic' | 'headers' | (string & {})
  /** Survives a restart of the broker; true by default. */
  readonly durable?: boolean
  /** Gone with its last binding. */
  readonly autoDelete?: boolean
  /** Cannot be published to, only bound to. */
  readonly internal?: boolean
  readonly arguments?: Table
  /** False: it must exist already, and nothing of the above counts. */
  readonly declare?: boolean
  readonly compression?: CompressionName
  readonly codec?: CodecName | AnyCodec
  readonly schema?: StandardSchema
}

export interface BoundQueueOptions extends Omit<QueueOptions, 'schema' | 'codec' | 'compression'> {
  /** One binding for each; `#` (everything) by default. */
  readonly bindingKeys?: readonly string[]
  /** For `headers` exchanges. */
  readonly bindingArguments?: Table
}

/** An exchange as code: declared on first use and again after each reconnect. */
export class Exchange<In = unknown, Out = In> {
  readonly name: string
  readonly #core: Core
  readonly #options: ExchangeOptions
  readonly #definitions: readonly Definition[]
  readonly #producer: Producer<In>

  constructor(core: Core, name: string, options: ExchangeOptions) {
    checkCompression(core.compression, options.compression)
    this.name = name
    this.#core = core
    this.#options = options
    const declaration = {
      type: options.type ?? 'topic',
      isDurable: options.durable ?? true,
      isAutoDelete: options.autoDelete ?? false,
      isInternal: options.internal ?? false,
      arguments: options.arguments ?? {},
    }
    this.#definitions = options.declare === false || name === '' ? [] : [{ kind: 'exchange', name, declaration }]
    this.#producer = new Producer<In>(core, {
      exchange: name,
      routingKey: '',
      isMandatory: false,
      isDelaying: options.type === 'x-delayed-message',
      definitions: this.#definitions,
      codec: codecOf(options.codec),
      schema: options.schema ?? null,
      compression: options.compression ?? null,
    })
  }

  get definitions(): readonly Definition[] {
    return this.#definitions
  }

  /** Resolves when the broker has confirmed it, with or without anybody to get it; see `mandatory`. */
  send(routingKey: string, message: In, options?: SendOptions): Promise<void> {
    return this.#producer.sendTo(routingKey, message, options)
  }

  /** A queue that gets what matches its binding keys. */
  queue(name: string, options: BoundQueueOptions = {}): Queue<In, Out> {
    const { bindingKeys = ['#'], bindingArguments = {}, ...rest } = options
    const bindings = bindingKeys.map((bindingKey): Definition => {
      const binding = { source: this.name, destination: name, bindingKey, arguments: bindingArguments }
      return { kind: 'binding', to: 'queue', binding }
    })
    const { schema, codec, compression } = this.#options
    const queueOptions: QueueOptions = {
      ...rest,
      ...(schema === undefined ? {} : { schema }),
      ...(codec === undefined ? {} : { codec }),
      ...(compression === undefined ? {} : { compression }),
    }
    return new Queue<In, Out>(this.#core, name, queueOptions, [...this.#definitions, ...bindings])
  }

  /** What comes from now on and as long as this client lives: a queue of its own, which goes with it. */
  subscribe(
    bindingKeys: string | readonly string[],
    handler: Handler<Out>,
    options: ConsumeOptions = {},
  ): Promise<Consumer<Out>> {
    const keys = typeof bindingKeys === 'string' ? [bindingKeys] : bindingKeys
    const queue = this.queue(`${this.name}.${this.#core.nextId()}`, { exclusive: true, bindingKeys: keys })
    return queue.consume(handler, { deadLetter: false, ...options })
  }

  declare(): Promise<void> {
    return this.#core.topology.ensureAll(this.#definitions)
  }

  async delete(conditions: { ifUnused?: boolean } = {}): Promise<void> {
    await this.#core.pool.run(`The deletion of exchange '${this.name}'`, (channel) =>
      channel.deleteExchange(this.name, conditions),
    )
    this.#core.topology.forget(this.#definitions)
  }
}
