/**
 * The data directory of a stopped node, opened by the real broker without any listener: what is in it can be read as
 * definitions, and consumed on connections inside the process.
 *
 * Time stands still for its messages, so that none expires while it is moved. When all that is ready has gone, it is
 * moved on by hand (`toNextDeadline`), from one delayed message to the next.
 */
import { Arena } from '../../base/arena.ts'
import { ManualClock, SystemClock } from '../../base/clock.ts'
import { duplexPair } from '../../base/duplex-socket.ts'
import { silentLogger } from '../../base/logger.ts'
import { readBufferBytes } from '../../base/network.ts'
import { randomName, SystemRandom } from '../../base/random.ts'
import { SystemFiles } from '../../base/system-files.ts'
import { targetOf } from '../../client/address.ts'
import { AmqpClientDriver } from '../../client/driver/amqp-client-driver.ts'
import type { ChannelEvents, DriverChannel, DriverConnection } from '../../client/driver/driver.ts'
import { duplexStream } from '../../client/driver/node-dial.ts'
import { configWith } from '../../config.ts'
import { type Daemon, type NodeParts, startDaemon, systemWorld } from '../../daemon.ts'
import { clusterFile, standingOf } from '../../data-directory.ts'
import { version } from '../../version.ts'
import { misuse } from '../client/command-failure.ts'
import { isObject } from '../client/http-api.ts'

type Opened = Parameters<NonNullable<NodeParts['opened']>>
type Broker = Opened[0]
type Shards = NonNullable<Opened[1]>

/** A durable queue of it. */
export interface SourceQueue {
  readonly vhost: string
  readonly name: string
  readonly isStream: boolean
  /** Ready messages and those on their way, now. */
  waiting(): number
  /** Messages that wait for their time, counted up to 1,000. */
  delayed(): Promise<number>
}

/** Nobody has its password but this process; removed at the end, or by the next run. */
const userPrefix = 'warren-migrate-'
const stopMsMax = 5_000
const delayedCountMax = 1_000
/** A delayed message waits ten years at most. In milliseconds. */
const horizonMs = 11 * 366 * 24 * 3_600_000

export class StoppedNode {
  /** As RabbitMQ exports it: everything but messages. */
  readonly definitions: object
  readonly queues: readonly SourceQueue[]
  /** Resolves when it cannot go on. */
  readonly failed: Promise<Error>
  readonly #daemon: Daemon
  readonly #broker: Broker
  readonly #shards: Shards
  readonly #clock: ManualClock
  readonly #endMs: number
  readonly #driver: AmqpClientDriver
  readonly #user: { readonly name: string; readonly password: string }
  readonly #connections: DriverConnection[] = []

  /** Throws a `StartError` or `CommandFailure` that says what is wrong with the directory. */
  static async open(directory: string): Promise<StoppedNode> {
    const files = new SystemFiles()
    const standing = await standingOf(files, directory)
    if (standing.kind === 'foreign' && standing.found === clusterFile) {
      throw misuse(`${directory} is of a node of a cluster; give the data directory of a node that was on its own`)
    }
    if (standing.kind !== 'ours') throw misuse(`${directory} is no data directory; give the one of --data`)
    const machineClock = new SystemClock()
    const clock = new ManualClock(machineClock.now())
    const config = configWith({ dataDirectory: directory, httpPort: 'none' })
    const opened: { broker: Broker; shards: Shards }[] = []
    const world = { ...systemWorld(silentLogger), clock, machineClock }
    const daemon = await startDaemon(config, world, {
      listens: false,
      pushes: false,
      opened: async (broker, shards) => {
        if (shards !== null) opened.push({ broker, shards })
      },
    })
    const [own] = opened
    if (own === undefined) throw new Error('the broker has not been opened')
    return await StoppedNode.#entered(daemon, own, clock)
  }

  static async #entered(
    daemon: Daemon,
    { broker, shards }: { readonly broker: Broker; readonly shards: Shards },
    clock: ManualClock,
  ): Promise<StoppedNode> {
    const left = [...broker.topology.users.values()].filter(({ name }) => name.startsWith(userPrefix))
    for (const { name } of left) await broker.deleteUser(name)
    const definitions = await broker.exportDefinitions({
      rabbitVersion: '4.1.0',
      productVersion: version,
      secrets: 'with secrets',
    })
    const random = new SystemRandom()
    const user = { name: userPrefix + randomName(random, 16), password: randomName(random, 32) }
    await broker.putUser(user.name, user.password, [])
    for (const vhost of broker.topology.vhosts.keys()) {
      await broker.putPermission(user.name, vhost, { configure: '', write: '', read: '.*' })
    }
    return new StoppedNode({ daemon, broker, shards, clock, definitions, user })
  }

  private constructor(parts: {
    readonly daemon: Daemon
    readonly broker: Broker
    readonly shards: Shards
    readonly clock: ManualClock
    readonly definitions: object
    readonly user: { readonly name: string; readonly password: string }
  }) {
    this.#daemon = parts.daemon
    this.#broker = parts.broker
    this.#shards = parts.shards
    this.#clock = parts.clock
    this.#endMs = parts.clock.now() + horizonMs
    this.#user = parts.user
    this.definitions = parts.definitions
    this.failed = parts.daemon.failed
    this.queues = queuesOf(parts.broker, parts.user.name, streamsIn(parts.definitions))
    const block = new Arena().takeForGood(readBufferBytes)
    let count = 0
    this.#driver = new AmqpClientDriver({
      clock: new SystemClock(),
      dial: async () => {
        const { socket, duplex } = duplexPair({ clock: new SystemClock(), block, remotePort: ++count })
        parts.daemon.accept(socket)
        return duplexStream(duplex)
      },
    })
  }

  /** The time of its messages, in milliseconds since 1970. */
  get now(): number {
    return this.#clock.now()
  }

  async openChannel(vhost: string, events: Pick<ChannelEvents, 'closed'>): Promise<DriverChannel> {
    const { name, password } = this.#user
    const target = {
      ...targetOf('amqp://in-process', { name: 'warren migrate', heartbeatSeconds: 0 }),
      vhost,
      username: name,
      password,
    }
    const connectionEvents = { closed: events.closed, blocked: () => {}, unblocked: () => {} }
    const connection = await this.#driver.connect(target, connectionEvents, new AbortController().signal)
    this.#connections.push(connection)
    return await connection.openChannel({ ...events, confirmed: () => {}, returned: () => {} })
  }

  /** Resolves when all that was settled so far is on the disk; never when it fails. */
  whenStored(): Promise<void> {
    return new Promise((resolve) => this.#shards.whenStored(resolve))
  }

  /** Lets the time pass until something is due; false when nothing is, ever. */
  toNextDeadline(): boolean {
    const { nextDue } = this.#clock
    if (nextDue > this.#endMs) return false
    this.#clock.advance(Math.max(0, nextDue - this.#clock.now()))
    return true
  }

  /** What was not settled is in the directory as before. */
  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close(stopMsMax)))
    await this.#broker.deleteUser(this.#user.name)
    await this.#daemon.stop(stopMsMax)
  }
}

/** What `vhost` and name of a queue are as one key. */
function keyOf(vhost: unknown, name: unknown): string {
  return JSON.stringify([vhost, name])
}

function streamsIn(definitions: object): ReadonlySet<string> {
  const queues: unknown = Reflect.get(definitions, 'queues')
  const streams = (Array.isArray(queues) ? queues.filter(isObject) : []).filter((queue) => {
    const { arguments: given } = queue
    return isObject(given) && given['x-queue-type'] === 'stream'
  })
  return new Set(streams.map(({ vhost, name }) => keyOf(vhost, name)))
}

function queuesOf(broker: Broker, username: string, streams: ReadonlySet<string>): SourceQueue[] {
  const { topology } = broker
  return [...topology.vhosts.values()].flatMap((vhost) =>
    [...vhost.queues.values()]
      .filter(({ isDurable, exclusiveOwner }) => isDurable && exclusiveOwner === null)
      .map((queue) => ({
        vhost: vhost.name,
        name: queue.name,
        isStream: streams.has(keyOf(vhost.name, queue.name)),
        waiting: () => {
          const { ready, unacked } = topology.statusNow(queue)
          return ready + unacked
        },
        delayed: () => delayedIn(broker, username, vhost.name, queue.name),
      })),
  )
}

function delayedIn(broker: Broker, username: string, vhost: string, queue: string): Promise<number> {
  const session = broker.openSession({ username, tags: [] }, vhost)
  const count = new Promise<number>((resolve, reject) => {
    session.vhost.listScheduled(
      session,
      queue,
      { after: 0, limit: delayedCountMax },
      {
        done: (messages) => resolve(messages.length),
        failed: reject,
      },
    )
  })
  return count.finally(() => broker.closeSession(session, () => {}))
}
