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
  readonly loopLogPath: string | null
  /** Bytes in use after a full garbage collection; null unless we started it. */
  readonly heldBytes: (() => Promise<number | null>) | null
  /** Kills it and starts it again on the same directory; null unless we started it. */
  readonly restart: (() => Promise<Restarted>) | null
}

export interface Restarted {
  readonly target: Target
  /** From the kill until it listened again. */
  readonly ms: number
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
    const usage = BrokerUsage.find(address.host, address.port)
    return { name: this.#name, address, usage, gcLogPath: null, loopLogPath: null, heldBytes: null, restart: null }
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
    return this.#targetOf(this.#warren)
  }

  #targetOf(warren: Warren): Target {
    const address = parseAmqpUrl(warren.url)
    const { gcLogPath, loopLogPath } = warren
    const restart = async (): Promise<Restarted> => {
      const ms = await warren.restart()
      return { target: this.#targetOf(warren), ms }
    }
    const heldBytes = (): Promise<number | null> => warren.heldBytes()
    const usage = BrokerUsage.find(address.host, address.port)
    return { name: this.name, address, usage, gcLogPath, loopLogPath, heldBytes, restart }
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
