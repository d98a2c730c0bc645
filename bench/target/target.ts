import { type AmqpAddress, parseAmqpUrl } from '../wire/amqp-url.ts'
import { RawConnection } from '../wire/raw-connection.ts'
import { BrokerUsage } from './broker-usage.ts'
import { Warren, type WarrenOptions } from './warren.ts'

/** A broker under measurement. */
export interface Target {
  readonly name: string
  readonly address: AmqpAddress
  /** Null when it is not on this machine. */
  readonly usage: BrokerUsage | null
  /** Null unless we started it. */
  readonly gcLogPath: string | null
}

/** Gives a target for each scenario: a broker that is there, or our own, fresh each time. */
export interface TargetSource {
  /** Null until `open` has been called once. */
  readonly name: string | null
  /** What a broker of ours has printed last, when it has ended by itself; null while all is well. */
  readonly lastWords: string | null
  open(): Promise<Target>
  close(): Promise<void>
}

export class RemoteSource implements TargetSource {
  #name: string | null
  readonly #url: string

  constructor(url: string, name: string | null) {
    this.#url = url
    this.#name = name
  }

  get name(): string | null {
    return this.#name
  }

  get lastWords(): null {
    return null
  }

  async open(): Promise<Target> {
    const address = parseAmqpUrl(this.#url)
    this.#name ??= await askName(address)
    return { name: this.#name, address, usage: BrokerUsage.find(address.host, address.port), gcLogPath: null }
  }

  async close(): Promise<void> {}
}

export class WarrenSource implements TargetSource {
  readonly name: string
  readonly #options: WarrenOptions
  #warren: Warren | null = null

  constructor(name: string | null, options: WarrenOptions) {
    this.name = name ?? 'Warren'
    this.#options = options
  }

  async open(): Promise<Target> {
    if (this.#warren?.isRunning === false) await this.close()
    this.#warren ??= await Warren.start(this.#options)
    const address = parseAmqpUrl(this.#warren.url)
    const usage = BrokerUsage.find(address.host, address.port)
    return { name: this.name, address, usage, gcLogPath: this.#warren.gcLogPath }
  }

  async close(): Promise<void> {
    const warren = this.#warren
    this.#warren = null
    await warren?.stop()
  }

  get lastWords(): string | null {
    return this.#warren?.isRunning === false ? this.#warren.output : null
  }
}

async function askName(address: AmqpAddress): Promise<string> {
  const connection = await RawConnection.open(address, { name: 'bench control', frameBytesMax: 131_072 })
  await connection.close()
  return connection.serverName
}
