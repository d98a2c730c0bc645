/**
 * Looks every few seconds at what is counted and keeps what rates and charts are made of: for everything that moved the
 * rate between the last two looks, for what moved last a history, for the node a long one. A look goes through everything
 * in slices of the run queue; what did not move costs a comparison and keeps nothing.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { inSlices } from '../../base/sliced.ts'
import type { Broker } from '../../broker/broker.ts'
import type { ConnectionDirectory } from '../../broker/connection-directory.ts'
import { countsOf, MessageCounts } from '../../broker/statistics/message-counts.ts'
import { QueueChurn } from '../../broker/statistics/queue-churn.ts'
import type { Counted } from '../../broker/statistics/recent.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import {
  channelWidth,
  exchangeWidth,
  nodeColumns,
  nodeWidth,
  queueWidth,
  readExchange,
  readMessages,
  trafficWidth,
} from './columns.ts'
import { Histories } from './histories.ts'
import { type Level, Series } from './series.ts'

/** From one look to the next, in milliseconds: the smallest step of what is kept. */
export const lookMs = 5_000

/** Queues between two looks at the time. */
const stepQueues = 32

/** Ten minutes, an hour, eight hours and a day, as RabbitMQ keeps them. */
const nodeLevels: readonly Level[] = [
  { stepMs: 5_000, count: 122 },
  { stepMs: 60_000, count: 62 },
  { stepMs: 600_000, count: 50 },
  { stepMs: 1_800_000, count: 50 },
]

export interface SamplerParts {
  readonly broker: Broker
  readonly connections: ConnectionDirectory
  readonly clock: Clock
  readonly logger: Logger
  readonly runQueue: RunQueue
  readonly memoryBytes: () => number
}

export class Sampler {
  /** Of the node as a whole. */
  readonly node: Counted = { recent: null }
  readonly #parts: SamplerParts
  readonly #histories: Histories
  readonly #nodeSeries = new Series(nodeWidth, nodeLevels)
  readonly #listeners = new Set<() => void>()
  readonly #scratch = new Float64Array(nodeWidth)
  #timer: Timer | null = null
  #isStopped = false
  /** Wall time of the look under way or the last one, and of the one before it; 0: there was none. */
  #time = 0
  #timeBefore = 0
  /** What moved at the last look: when it does not at this one, its rates end. */
  #moving = new Set<Counted>()
  #movedNow = new Set<Counted>()

  constructor(parts: SamplerParts, histories = new Histories()) {
    this.#parts = parts
    this.#histories = histories
  }

  /** Looks once and then again and again, until it is stopped. */
  start(): void {
    void this.look().then(() => {
      if (this.#isStopped) return
      this.#timer = this.#parts.clock.after(untilNextLook(this.#parts.clock.now()), () => this.start())
    })
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#listeners.clear()
  }

  /** Calls after each look, until the result is called. */
  hear(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Wall time of the last look that has ended, in milliseconds; 0: there was none. */
  get lastLook(): number {
    return this.#time
  }

  /** Looks once. Does not reject. */
  async look(): Promise<void> {
    const { clock, runQueue, logger } = this.#parts
    this.#timeBefore = this.#time
    this.#time = Math.max(clock.now(), this.#timeBefore + 1)
    try {
      await inSlices(runQueue, this.#all())
    } catch (error) {
      logger.error({ error }, 'what is counted could not be looked at')
    }
    for (const listener of this.#listeners) listener()
  }

  // ---------------------------------------------------------------- one look

  *#all(): Generator<void, void> {
    const node = new MessageCounts()
    node.add(this.#parts.broker.topology.former.messages)
    const lengths = { ready: 0, unacked: 0 }
    for (const vhost of this.#parts.broker.topology.vhosts.values()) {
      node.add(vhost.counts)
      yield* this.#vhost(vhost, lengths)
    }
    yield* this.#connections()
    this.#node(node, lengths)
    for (const counted of this.#moving) {
      if (counted.recent !== null && !this.#movedNow.has(counted)) counted.recent.rates = null
      yield
    }
    this.#moving = this.#movedNow
    this.#movedNow = new Set()
  }

  *#vhost(vhost: VhostState, node: { ready: number; unacked: number }): Generator<void, void> {
    const { topology } = this.#parts.broker
    const scratch = this.#scratch
    let [ready, unacked, seen] = [0, 0, 0]
    for (const queue of vhost.queues.values()) {
      if (++seen % stepQueues === 0) yield
      const status = topology.statusNow(queue)
      if (queue.counts !== null || status.ready + status.unacked > 0) {
        const counts = countsOf(queue)
        readMessages(counts, scratch)
        scratch[11] = status.ready
        scratch[12] = status.unacked
        this.#seen(counts, queueWidth)
      }
      ready += status.ready
      unacked += status.unacked
    }
    readMessages(vhost.counts, scratch)
    scratch[11] = ready
    scratch[12] = unacked
    this.#seen(vhost.counts, queueWidth)
    node.ready += ready
    node.unacked += unacked
    for (const { counts } of vhost.exchanges.values()) {
      readExchange(counts, scratch)
      this.#seen(counts, exchangeWidth)
      yield
    }
  }

  *#connections(): Generator<void, void> {
    const scratch = this.#scratch
    for (const connection of this.#parts.connections.openConnections) {
      scratch[0] = connection.bytesRead
      scratch[1] = connection.bytesWritten
      const hasMoved = this.#seen(connection.traffic, trafficWidth)
      // Whatever a channel does leads to bytes; and those that moved before come to rest.
      if (hasMoved) {
        for (const { counts } of connection.channels()) {
          readMessages(counts, scratch)
          this.#seen(counts, channelWidth)
        }
      }
      yield
    }
  }

  #node(messages: MessageCounts, { ready, unacked }: { ready: number; unacked: number }): void {
    const { connections, broker, memoryBytes } = this.#parts
    const scratch = this.#scratch
    readMessages(messages, scratch)
    scratch[11] = ready
    scratch[12] = unacked
    const traffic = trafficOf(connections)
    scratch[nodeColumns.recv_oct] = traffic.bytesRead
    scratch[nodeColumns.send_oct] = traffic.bytesWritten
    const churn = churnOf(broker, connections)
    for (const name of churnNames) scratch[nodeColumns[name]] = churn[name]
    scratch[nodeColumns.mem_used] = memoryBytes()
    this.#seen(this.node, nodeWidth)
    if (this.node.recent !== null) this.node.recent.history = this.#nodeSeries
    this.#nodeSeries.add(this.#time, scratch)
  }

  /** Compares what is in the scratch with what was there before. True: something is new. */
  #seen(counted: Counted, width: number): boolean {
    const scratch = this.#scratch
    const before = counted.recent
    if (!isDifferent(scratch, before?.totals ?? null, width)) return false
    const seconds = (this.#time - this.#timeBefore) / 1_000
    const recent = before ?? { totals: new Float64Array(width), rates: null, history: null }
    if (this.#timeBefore > 0) {
      recent.rates ??= new Float64Array(width)
      for (let index = 0; index < width; index++) {
        recent.rates[index] = ((scratch[index] as number) - (recent.totals[index] as number)) / seconds
      }
      this.#movedNow.add(counted)
    }
    counted.recent = recent
    recent.totals.set(scratch.subarray(0, width))
    if (counted !== this.node) this.#histories.add(recent, this.#time, this.#timeBefore)
    return true
  }
}

/** Nothing is kept of what has only zeros. */
function isDifferent(now: Float64Array, before: Float64Array | null, width: number): boolean {
  for (let index = 0; index < width; index++) {
    if (now[index] !== (before === null ? 0 : before[index])) return true
  }
  return false
}

// ---------------------------------------------------------------- of the node

/** Bytes of all connections, also of those that are gone. */
export function trafficOf({ totals, openConnections }: ConnectionDirectory): {
  bytesRead: number
  bytesWritten: number
} {
  let { bytesRead, bytesWritten } = totals
  for (const connection of openConnections) {
    bytesRead += connection.bytesRead
    bytesWritten += connection.bytesWritten
  }
  return { bytesRead, bytesWritten }
}

/**
 * Milliseconds until the next look, of which each step of what is kept needs one: to the middle of the next step.
 * So a look that comes late by less than half a step is still one of its own step. Looks that went by the end of the one
 * before would wander through the steps, miss one now and then, and show a moment in which nothing moved.
 */
export function untilNextLook(now: number): number {
  return lookMs - (now % lookMs) + lookMs / 2
}

export const churnNames = [
  'connection_created',
  'connection_closed',
  'channel_created',
  'channel_closed',
  'queue_declared',
  'queue_created',
  'queue_deleted',
] as const
export type Churn = Readonly<Record<(typeof churnNames)[number], number>>

/** What has come and gone since the node started. */
export function churnOf(broker: Broker, { totals }: ConnectionDirectory): Churn {
  const queues = new QueueChurn()
  queues.add(broker.topology.former.churn)
  for (const vhost of broker.topology.vhosts.values()) queues.add(vhost.churn)
  return {
    connection_created: totals.connectionsOpened,
    connection_closed: totals.connectionsClosed,
    channel_created: totals.channelsOpened,
    channel_closed: totals.channelsClosed,
    queue_declared: queues.declared,
    queue_created: queues.created,
    queue_deleted: queues.deleted,
  }
}
