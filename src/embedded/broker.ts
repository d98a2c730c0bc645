/**
 * A broker inside the program that uses it: the same code as `warren serve`, without a process of its own. Any number
 * of them live side by side; what is theirs ends with `stop`.
 *
 * Not here: what a node is made of (`../daemon.ts`).
 */
import type { Duplex } from 'node:stream'
import { Arena } from '../base/arena.ts'
import { type Clock, SystemClock } from '../base/clock.ts'
import { CountedFiles } from '../base/counted-files.ts'
import { duplexPair } from '../base/duplex-socket.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import { SystemMemory } from '../base/memory.ts'
import { readBufferBytes } from '../base/network.ts'
import { SystemRandom } from '../base/random.ts'
import { SettlingClock } from '../base/settling-clock.ts'
import { SplitClock } from '../base/split-clock.ts'
import { SystemFiles } from '../base/system-files.ts'
import { SystemNetwork } from '../base/system-network.ts'
import type { Client } from '../client/client.ts'
import type { ConnectOptions } from '../client/index.ts'
import { type ClusterField, type Config, ConfigError, configWith } from '../config.ts'
import { type Daemon, startDaemon, type World } from '../daemon.ts'
import { StartError } from '../start-error.ts'

/** Options of a node that have no parameter of their own, by their names there; times in milliseconds, sizes in bytes. */
export type BrokerLimits = Partial<
  Omit<Config, 'host' | 'port' | 'httpPort' | 'dataDirectory' | 'definitions' | 'logLevel' | ClusterField>
>

export interface BrokerOptions {
  /** In memory everything is gone after `stop`; a directory holds the same files as that of `warren serve`. */
  readonly storage: 'memory' | { readonly dir: string }
  /** TCP port for AMQP; 0 takes a free one. Default: none, the broker has no socket. */
  readonly port?: number
  /** TCP port for HTTP and AMQP over WebSocket; 0 takes a free one. Default: none. */
  readonly httpPort?: number
  /** The address of this machine it listens on, `*` for all. Default `127.0.0.1`. */
  readonly host?: string
  /** What messages' times go by: a `ManualClock` of `warrenmq/testing`, say. Default: the machine's. */
  readonly clock?: Clock
  /** Default: says nothing. */
  readonly logger?: Logger
  /** What there shall be, as RabbitMQ exports it: the path of a JSON file, or its content as an object. */
  readonly definitions?: string | Readonly<Record<string, unknown>>
  readonly limits?: BrokerLimits
}

/** As for any broker, but for how to get there. */
export interface EmbeddedConnectOptions extends Omit<ConnectOptions, 'tls' | 'openStream'> {
  /** Default `/`. */
  readonly vhost?: string
  /** Default `guest`. */
  readonly username?: string
  /** Default `guest`. */
  readonly password?: string
}

export interface StopOptions {
  /** How long clients may take to leave, in milliseconds; then they are cut off. Default 5,000. */
  readonly drainMs?: number
}

/** What buffers are cut from, in bytes. A program may have many brokers, so less than that of a node on its own. */
const arenaBytes = 4 * 1024 * 1024
const drainMsDefault = 5_000

export class Broker {
  /** Settles when the broker cannot go on: its disk has failed, say. It must be stopped then. */
  readonly failed: Promise<Error>
  readonly #daemon: Daemon
  readonly #streams: InProcessStreams
  readonly #unwatch: () => void
  readonly #clients: Client[] = []
  #stopped: Promise<boolean> | null = null

  private constructor(daemon: Daemon, streams: InProcessStreams, unwatch: () => void) {
    this.failed = daemon.failed
    this.#daemon = daemon
    this.#streams = streams
    this.#unwatch = unwatch
  }

  /** Throws `StartError`, one sentence that names the thing and the mend. */
  static async start(options: BrokerOptions): Promise<Broker> {
    const config = configOf(options)
    const { storage, port, definitions, clock = new SystemClock(), logger = silentLogger } = options
    const files = new CountedFiles(new SystemFiles())
    const machineClock = clock instanceof SystemClock ? clock : new SplitClock(clock)
    const world: World = {
      clock,
      machineClock,
      random: new SystemRandom(),
      files: clock instanceof SettlingClock ? files : new SystemFiles(),
      network: new SystemNetwork(new Arena(arenaBytes)),
      memory: new SystemMemory(),
      logger,
    }
    const unwatch = clock instanceof SettlingClock ? clock.watch(() => files.isIdle) : () => {}
    try {
      const daemon = await startDaemon(config, world, {
        storage: storage === 'memory' ? 'memory' : 'files',
        listens: port !== undefined,
        ...(typeof definitions === 'object' ? { definitions: JSON.stringify(definitions) } : {}),
      })
      return new Broker(daemon, new InProcessStreams(daemon, machineClock, world.network.arena), unwatch)
    } catch (error) {
      unwatch()
      throw error
    }
  }

  // ---------------------------------------------------------------- use

  /** Of its AMQP port, as `amqp://127.0.0.1:5672`. Throws a `StartError` when it has none. */
  get url(): string {
    return this.#address('amqp:', 'port')
  }

  /** Of its port for HTTP, with AMQP over WebSocket at `/ws`. Throws a `StartError` when it has none. */
  get httpUrl(): string {
    return this.#address('http:', 'httpPort')
  }

  #address(protocol: string, option: string): string {
    const address = this.#daemon.addresses.find((each) => each.startsWith(protocol))
    if (address !== undefined) return address.replace('//*:', '//127.0.0.1:')
    const mend = `start it with { ${option}: 0 }, or connect without a socket by openStream()`
    throw new StartError('address', `this broker has no ${protocol} address: ${mend}`)
  }

  /**
   * A connection inside the process, for AMQP libraries that take a stream: the first bytes on it are the client's, as
   * on a socket. While it is open, the process does not end by itself. Throws when the broker is stopped.
   */
  openStream(): Duplex {
    if (this.#stopped !== null) throw new StartError('address', 'this broker is stopped; start another')
    return this.#streams.open()
  }

  /** The client of `warrenmq/client`, connected inside the process. It is closed by `stop`, if it was not before. */
  async connect(options: EmbeddedConnectOptions = {}): Promise<Client> {
    const { vhost = '/', username = 'guest', password = 'guest', ...others } = options
    const { connect } = await import('../client/index.ts')
    const [name, secret, path] = [username, password, vhost].map(encodeURIComponent)
    const client = await connect(`amqp://${name}:${secret}@in-process/${path}`, {
      ...others,
      openStream: () => this.openStream(),
    })
    this.#clients.push(client)
    return client
  }

  // ---------------------------------------------------------------- close

  /**
   * Tells clients to go once their confirms are out, commits and closes; nothing of it is left then but its directory.
   * False when some client had to be cut off. May be called again.
   */
  stop({ drainMs = drainMsDefault }: StopOptions = {}): Promise<boolean> {
    this.#stopped ??= this.#stop(drainMs)
    return this.#stopped
  }

  async #stop(drainMs: number): Promise<boolean> {
    await Promise.all(this.#clients.map((client) => client.close({ timeoutMs: Math.max(1, drainMs) })))
    try {
      return await this.#daemon.stop(drainMs)
    } finally {
      this.#unwatch()
    }
  }
}

function configOf({ storage, port = 0, httpPort, host = '127.0.0.1', definitions, limits }: BrokerOptions): Config {
  const hasDirectory = typeof storage === 'object' && storage !== null && typeof storage.dir === 'string'
  if (storage !== 'memory' && !hasDirectory) {
    const mend = "give 'memory' or { dir: 'the path of a directory' }"
    throw new StartError('options', `storage = ${JSON.stringify(storage)} does not fit; ${mend}`)
  }
  try {
    return configWith({
      ...limits,
      host,
      port,
      httpPort: httpPort ?? 'none',
      ...(storage === 'memory' ? {} : { dataDirectory: storage.dir }),
      ...(typeof definitions === 'string' ? { definitions } : {}),
    })
  } catch (error) {
    if (error instanceof ConfigError) throw new StartError('options', error.problems.join('\n'), error)
    throw error
  }
}

/** The connections of one broker that have no socket of the system. */
class InProcessStreams {
  readonly #daemon: Daemon
  readonly #clock: Clock
  readonly #block
  #count = 0

  constructor(daemon: Daemon, clock: Clock, arena: Arena) {
    this.#daemon = daemon
    this.#clock = clock
    this.#block = arena.takeForGood(readBufferBytes)
  }

  open(): Duplex {
    const { socket, duplex } = duplexPair({ clock: this.#clock, block: this.#block, remotePort: ++this.#count })
    this.#daemon.accept(socket)
    return duplex
  }
}
