import type { Clock } from '../base/clock.ts'
import { type Logger, silentLogger } from '../base/logger.ts'
import type { ListenAddress, Listener, Network, Socket } from '../base/network.ts'
import type { Random } from '../base/random.ts'
import { RunQueue } from '../base/run-queue.ts'
import { inSlices } from '../base/sliced.ts'
import type { BrokerCommands, BrokerListener } from '../broker/commands.ts'
import type { ConnectionDirectory, ConnectionTotals, OpenConnection } from '../broker/connection-directory.ts'
import type { Position } from '../broker/ports.ts'
import type { ReplyRelay } from '../broker/reply-relay.ts'
import { Congestion } from './congestion.ts'
import { Connection } from './connection.ts'
import { factsOf } from './connection-facts.ts'
import type { ConnectionOwner, ConnectionParts } from './connection-parts.ts'
import { DirectReplies } from './direct-replies.ts'
import { defaultIdentity, type ServerIdentity } from './handshake.ts'
import { InputTurn } from './input-turn.ts'
import type { ServerLimits } from './limits.ts'
import type { NameKind } from './sasl.ts'
import { type AuditedChanges, TopologyAudit } from './topology-audit.ts'
import { TurnEnd } from './turn-end.ts'

export interface ServerOptions {
  readonly broker: BrokerCommands
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** The node's own, so that connections take turns with its other long work. */
  readonly runQueue?: RunQueue
  readonly limits: ServerLimits
  /** What clients are told of us; what is left out is as in `defaultIdentity`. */
  readonly identity?: Partial<ServerIdentity>
  /** Which name in a client's certificate is the user that mechanism EXTERNAL logs in; default: the common name. */
  readonly userFrom?: NameKind
  /** Carries direct replies to and from other nodes. */
  readonly replyRelay?: ReplyRelay
  /** Warren's own version. Not what clients compare with RabbitMQ's. */
  readonly version?: string
  /** Where changes of what exists are written down, and which; left out: nowhere. */
  readonly audit?: { readonly logger: Logger; readonly changes: AuditedChanges }
}

/**
 * AMQP connections of others to us: accepts them, counts them, passes the broker's news on to those that wait for it,
 * and ends them. Several listeners may feed one server.
 */
export class Server implements ConnectionOwner, BrokerListener, ConnectionDirectory {
  readonly congestion = new Congestion()
  readonly #options: ServerOptions
  readonly totals: ConnectionTotals = {
    connectionsOpened: 0,
    connectionsClosed: 0,
    channelsOpened: 0,
    channelsClosed: 0,
    bytesRead: 0,
    bytesWritten: 0,
  }
  #limits: ServerLimits
  #parts: ConnectionParts
  readonly #listeners: Listener[] = []
  readonly #connections = new Set<Connection>()
  /** Not yet in a vhost, by address. */
  readonly #strangers = new Map<string, number>()
  #strangerCount = 0
  /** Connections with replies that topology's commit releases, and such that wait for the publish gate. */
  readonly #waitingForTopology = new Set<Connection>()
  readonly #waitingForGate = new Set<Connection>()
  readonly #audit: TopologyAudit
  #isClosing = false
  #whenGone: (() => void) | null = null

  constructor(options: ServerOptions) {
    const { broker, network, clock, random, logger, limits, identity, version } = options
    this.#options = options
    this.#limits = limits
    this.#audit = new TopologyAudit({
      logger: options.audit?.logger ?? silentLogger,
      clock,
      level: options.audit?.changes ?? 'none',
    })
    this.#parts = {
      broker,
      clock,
      random,
      logger,
      limits,
      arena: network.arena,
      directReplies: new DirectReplies(random, options.replyRelay ?? null),
      runQueue: options.runQueue ?? new RunQueue(clock),
      totals: this.totals,
      inputTurn: new InputTurn(clock),
      turnEnd: new TurnEnd(clock),
      userFrom: options.userFrom ?? 'cn',
      audit: this.#audit,
      identity: {
        ...defaultIdentity,
        ...(version === undefined ? {} : { platform: `Warren ${version} on Node.js` }),
        ...identity,
      },
    }
    broker.listener = this
  }

  // ---------------------------------------------------------------- open

  /** Rejects with the system's error. */
  async listen(address: ListenAddress): Promise<Listener> {
    const listener = await this.#options.network.listen(address, (socket) => this.accept(socket))
    this.#listeners.push(listener)
    return listener
  }

  /** Holds for connections to come, and for how many there may be. */
  set limits(limits: ServerLimits) {
    this.#limits = limits
    this.#parts = { ...this.#parts, limits }
  }

  set auditedChanges(changes: AuditedChanges) {
    this.#audit.level = changes
  }

  /** Takes over a connected socket, from a listener or from elsewhere. Null: it was refused and is closed. */
  accept(socket: Socket): Connection | null {
    const refusal = this.#refusal(socket.remoteAddress)
    if (refusal !== null) {
      this.#options.logger.warn({ address: socket.remoteAddress }, refusal)
      socket.destroy()
      return null
    }
    const connection = new Connection(socket, this.#parts, this)
    this.#connections.add(connection)
    this.#strangerCount++
    this.#strangers.set(socket.remoteAddress, (this.#strangers.get(socket.remoteAddress) ?? 0) + 1)
    connection.open()
    return connection
  }

  #refusal(address: string): string | null {
    const { connectionsMax, unauthenticatedMax, unauthenticatedPerAddressMax } = this.#limits
    if (this.#isClosing) return 'connection refused: the server closes'
    if (this.#connections.size >= connectionsMax) return `connection refused: limit of ${connectionsMax} is reached`
    if (this.#strangerCount >= unauthenticatedMax) {
      return `connection refused: limit of ${unauthenticatedMax} without login is reached`
    }
    if ((this.#strangers.get(address) ?? 0) >= unauthenticatedPerAddressMax) {
      return `connection refused: limit of ${unauthenticatedPerAddressMax} without login from one address is reached`
    }
    return null
  }

  // ---------------------------------------------------------------- use

  get connections(): ReadonlySet<Connection> {
    return this.#connections
  }

  get openConnections(): Iterable<OpenConnection> {
    return openOf(this.#connections)
  }

  opened(connection: Connection): void {
    this.totals.connectionsOpened++
    this.#noStranger(connection)
  }

  closed(connection: Connection): void {
    if (connection.session === null) this.#noStranger(connection)
    else this.totals.connectionsClosed++
    this.totals.bytesRead += connection.bytesRead
    this.totals.bytesWritten += connection.output.bytesWritten
    this.#connections.delete(connection)
    this.#waitingForTopology.delete(connection)
    this.#waitingForGate.delete(connection)
    if (this.#connections.size === 0) this.#whenGone?.()
  }

  #noStranger({ remoteAddress }: Connection): void {
    this.#strangerCount--
    const left = (this.#strangers.get(remoteAddress) ?? 1) - 1
    if (left > 0) this.#strangers.set(remoteAddress, left)
    else this.#strangers.delete(remoteAddress)
  }

  waitsForTopology(connection: Connection): void {
    this.#waitingForTopology.add(connection)
  }

  waitsForGate(connection: Connection): void {
    this.#waitingForGate.add(connection)
  }

  topologyCommitted(position: Position): void {
    for (const connection of this.#waitingForTopology) {
      if (!connection.topologyCommitted(position)) this.#waitingForTopology.delete(connection)
    }
  }

  publishGateChanged(): void {
    if (this.#parts.broker.publishGate === 'congested') this.congestion.begin()
    const waiting = [...this.#waitingForGate]
    this.#waitingForGate.clear()
    for (const connection of waiting) connection.router.gateChanged()
  }

  gone(kind: 'user' | 'vhost', name: string, text: string): void {
    const uses = ({ principal, session }: Connection): boolean =>
      kind === 'user' ? principal?.username === name : session?.vhost.name === name
    // Those that come later find that there is none.
    const all = [...this.#connections]
    void inSlices(this.#parts.runQueue, endedOf(all, uses, text))
  }

  // ---------------------------------------------------------------- close

  /**
   * Accepts no more, lets pending confirms go out, then closes every connection (320). False when some had not gone after
   * `drainMsMax`; they are then cut off.
   */
  async close(drainMsMax: number): Promise<boolean> {
    this.#isClosing = true
    for (const listener of this.#listeners.splice(0)) listener.close()
    for (const connection of [...this.#connections]) connection.drain()
    if (this.#connections.size === 0) return true
    const hasGone = await this.#gone(drainMsMax)
    if (!hasGone) await this.#cutOff()
    return hasGone
  }

  #gone(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ms, () => resolve(false))
      this.#whenGone = () => {
        timer.cancel()
        resolve(true)
      }
    })
  }

  async #cutOff(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#whenGone = resolve
    })
    for (const connection of [...this.#connections]) connection.destroy()
    if (this.#connections.size > 0) await gone
  }
}

function* endedOf(
  connections: readonly Connection[],
  isWanted: (connection: Connection) => boolean,
  text: string,
): Generator<void, void> {
  for (const connection of connections) {
    if (isWanted(connection)) connection.contain(() => connection.closeForced(text))
    yield
  }
}

function* openOf(connections: Iterable<Connection>): Generator<OpenConnection> {
  for (const connection of connections) {
    const facts = factsOf(connection)
    if (facts !== null) yield facts
  }
}
