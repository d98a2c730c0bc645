/**
 * A whole migration: definitions, then queue by queue what is ready, then what is delayed, then streams; at the end the
 * counts of both sides are put beside each other. It may be run again after any end: it goes on where it was.
 */
import type { Clock } from '../../base/clock.ts'
import { targetOf } from '../../client/address.ts'
import { AmqpClientDriver } from '../../client/driver/amqp-client-driver.ts'
import type { DriverChannel, DriverConnection } from '../../client/driver/driver.ts'
import { nodeDial, type TlsOptions } from '../../client/driver/node-dial.ts'
import { connectionLost } from '../../client/errors.ts'
import { CommandFailure } from '../client/command-failure.ts'
import { ExitCode } from '../exit-code.ts'
import { ConfirmedSender, type MoveEvents, onTheirWayMax, QueueMove, StreamMove } from './queue-move.ts'
import type { SourceQueue, StoppedNode } from './stopped-node.ts'

export interface MigrationParts {
  readonly node: StoppedNode
  /** AMQP URL of a node of the cluster; its path is not used. */
  readonly to: string
  readonly tls: TlsOptions
  readonly clock: Clock
  readonly timeoutMs: number
  /** Rejects when it is to be given up. */
  readonly stopped: Promise<never>
  moved(): void
}

/** Of one queue. */
export interface MovedQueue {
  readonly vhost: string
  readonly name: string
  /** At the source: before, and what is left. */
  readonly waiting: number
  readonly left: number
  readonly moved: number
  /** Of the moved ones: those that wait for their time at the cluster. */
  readonly delayed: number
  /** Ready messages at the cluster. */
  readonly before: number
  readonly after: number
  /** Of the queue at the cluster: with some its counts say nothing. */
  readonly consumers: number
}

/** How often it is looked whether a queue is empty, in milliseconds. */
const lookMs = 5
/** A queue of which nothing moves for so long is stuck, in milliseconds. */
const stuckMsMax = 60_000
const closeMsMax = 5_000
/** So many deadlines in a row that set nothing free are those of something that tries again and again. */
const idleStepsMax = 5_000
/** Queues whose consumers share a channel of the source. */
const consumersPerChannelMax = 1_000

export class Migration {
  readonly #parts: MigrationParts
  readonly #driver: AmqpClientDriver
  readonly #connections: DriverConnection[] = []
  readonly #moves = new Map<SourceQueue, QueueMove>()
  readonly #failed: Promise<never>
  #fail: (error: Error) => void = () => {}
  #isDelayedPhase = false

  constructor(parts: MigrationParts) {
    this.#parts = parts
    this.#driver = new AmqpClientDriver({ clock: parts.clock, dial: nodeDial(parts.tls) })
    this.#failed = new Promise((_, reject) => {
      this.#fail = reject
    })
    for (const end of [this.#failed, parts.stopped]) end.catch(() => undefined)
    void parts.node.failed.then((error) => this.#fail(error))
  }

  /** Ends with what was moved, in the order of the source's queues. */
  async run(): Promise<readonly MovedQueue[]> {
    const vhosts = byVhost(this.#parts.node.queues)
    const results: MovedQueue[] = []
    for (const [vhost, queues] of vhosts) {
      results.push(
        ...(await this.#or(
          this.#ready(
            vhost,
            queues.filter(({ isStream }) => !isStream),
          ),
        )),
      )
    }
    this.#isDelayedPhase = true
    await this.#or(this.#delayed())
    // Last of all: an open stream has work of its own to do as time passes.
    for (const [vhost, queues] of vhosts) {
      results.push(
        ...(await this.#or(
          this.#streams(
            vhost,
            queues.filter(({ isStream }) => isStream),
          ),
        )),
      )
    }
    return await this.#or(this.#compared(results))
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close(closeMsMax)))
  }

  // ---------------------------------------------------------------- the three parts

  /** One queue after the other; its consumer stays, for what is delayed. */
  async #ready(vhost: string, queues: readonly SourceQueue[]): Promise<MovedQueue[]> {
    if (queues.length === 0) return []
    const { node } = this.#parts
    const { sender, channel } = await this.#sender(vhost)
    let from: DriverChannel | null = null
    const results: MovedQueue[] = []
    for (const [index, queue] of queues.entries()) {
      if (from === null || index % consumersPerChannelMax === 0) from = await this.#source(vhost)
      const waiting = queue.waiting()
      const { messageCount: before } = await channel.checkQueue(queue.name)
      const move = new QueueMove(
        queue.name,
        { channel: from, whenStored: () => node.whenStored() },
        sender,
        this.#events,
      )
      this.#moves.set(queue, move)
      await move.start(() => (this.#isDelayedPhase ? node.now : null))
      await this.#emptied([queue])
      results.push({ vhost, name: queue.name, waiting, left: 0, moved: 0, delayed: 0, before, after: 0, consumers: 0 })
    }
    return results
  }

  async #streams(vhost: string, queues: readonly SourceQueue[]): Promise<MovedQueue[]> {
    const results: MovedQueue[] = []
    for (const queue of queues) {
      const { sender, channel } = await this.#sender(vhost)
      const from = await this.#source(vhost)
      // Asked for by AMQP: a stream that nobody has used is not open, and has no count.
      const { messageCount: total } = await from.checkQueue(queue.name)
      const { messageCount: before } = await channel.checkQueue(queue.name)
      if (before > total) {
        const mend = 'somebody else publishes to it: move it by hand'
        throw new CommandFailure(
          ExitCode.failed,
          `the stream '${queue.name}' has more messages at the cluster (${before}) than here (${total}); ${mend}`,
        )
      }
      const move = new StreamMove({ queue: queue.name, skip: before, total }, from, sender, this.#events)
      await move.run()
      results.push({
        ...{ vhost, name: queue.name, waiting: total - before, left: 0, moved: move.moved },
        ...{ delayed: 0, before, after: 0, consumers: 0 },
      })
    }
    return results
  }

  /** Lets the time of the messages pass from one that is due to the next, until there are none. */
  async #delayed(): Promise<void> {
    const queues = [...this.#moves.keys()]
    let [idleSteps, movedBefore] = [0, -1]
    while (queues.length > 0 && idleSteps < idleStepsMax && this.#parts.node.toNextDeadline()) {
      await this.#pause()
      await this.#emptied(queues)
      const moved = [...this.#moves.values()].reduce((sum, move) => sum + move.moved, 0)
      idleSteps = moved === movedBefore ? idleSteps + 1 : 0
      movedBefore = moved
    }
  }

  /** The counts of both sides, now. */
  async #compared(results: readonly MovedQueue[]): Promise<MovedQueue[]> {
    const compared: MovedQueue[] = []
    const channels = new Map<string, DriverChannel>()
    for (const result of results) {
      const channel = channels.get(result.vhost) ?? (await this.#sender(result.vhost)).channel
      channels.set(result.vhost, channel)
      const { messageCount: after, consumerCount: consumers } = await channel.checkQueue(result.name)
      const [queue, move] =
        [...this.#moves].find(([one]) => one.vhost === result.vhost && one.name === result.name) ?? []
      const counts = move === undefined ? {} : { moved: move.moved, delayed: move.delayed, left: await leftOf(queue) }
      compared.push({ ...result, ...counts, after, consumers })
    }
    return compared
  }

  // ---------------------------------------------------------------- waiting

  async #emptied(queues: readonly SourceQueue[]): Promise<void> {
    const { clock } = this.#parts
    let [movedAt, movedBefore] = [clock.monotonic(), -1]
    for (;;) {
      const busy = queues.filter((queue) => queue.waiting() > 0 || (this.#moves.get(queue)?.onTheirWay ?? 0) > 0)
      if (busy.length === 0) return
      const moved = busy.reduce((sum, queue) => sum + (this.#moves.get(queue)?.moved ?? 0), 0)
      if (moved !== movedBefore) [movedAt, movedBefore] = [clock.monotonic(), moved]
      if (clock.monotonic() - movedAt > stuckMsMax) {
        const mend = 'see whether the cluster blocks publishers (warren cluster status), and run the command again'
        throw new CommandFailure(
          ExitCode.failed,
          `nothing of '${busy[0]?.name}' could be moved for ${stuckMsMax / 1_000} s; ${mend}`,
        )
      }
      await this.#pause()
    }
  }

  #pause(): Promise<void> {
    return this.#or(new Promise((resolve) => this.#parts.clock.after(lookMs, resolve)))
  }

  /** The first that goes wrong ends the migration. */
  #or<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failed, this.#parts.stopped])
  }

  get #events(): MoveEvents {
    return { moved: () => this.#parts.moved(), failed: this.#fail }
  }

  // ---------------------------------------------------------------- channels

  async #source(vhost: string): Promise<DriverChannel> {
    const channel = await this.#parts.node.openChannel(vhost, { closed: (error) => this.#closed(error, 'the source') })
    await channel.qos(onTheirWayMax)
    return channel
  }

  async #sender(vhost: string): Promise<{ sender: ConfirmedSender; channel: DriverChannel }> {
    const { to, clock, timeoutMs } = this.#parts
    const target = { ...targetOf(to, { name: 'warren migrate', heartbeatSeconds: 60 }), vhost }
    const attempt = new AbortController()
    const timer = clock.after(timeoutMs, () => attempt.abort())
    const events = {
      closed: (error: Error | null) => this.#closed(error, target.label),
      blocked: () => {},
      unblocked: () => {},
    }
    const connection = await this.#driver.connect(target, events, attempt.signal)
    timer.cancel()
    this.#connections.push(connection)
    const sender = new ConfirmedSender(this.#fail)
    const channel = await connection.openChannel({
      closed: events.closed,
      confirmed: (sequence, isMultiple, isNack) => sender.confirmed(sequence, isMultiple, isNack),
      returned: (message) => sender.returned(message),
    })
    await channel.confirmSelect()
    sender.channel = channel
    return { sender, channel }
  }

  #closed(error: Error | null, label: string): void {
    this.#fail(error ?? connectionLost(label, null))
  }
}

function byVhost(queues: readonly SourceQueue[]): Map<string, SourceQueue[]> {
  const found = new Map<string, SourceQueue[]>()
  for (const queue of queues) {
    const others = found.get(queue.vhost)
    if (others === undefined) found.set(queue.vhost, [queue])
    else others.push(queue)
  }
  return found
}

async function leftOf(queue: SourceQueue | undefined): Promise<number> {
  return queue === undefined ? 0 : queue.waiting() + (await queue.delayed())
}
