/**
 * Where queues live: those of type `stream` each in a log of its own, all others with whoever was there before. Knows
 * which logs are those of streams that still exist; the others are removed.
 */
import { AnyOf } from '../../base/any-of.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Position } from '../../log/log.ts'
import type { Queue, QueueStatus, ShardDirectory, ShardTopology } from '../ports.ts'
import { isStream } from '../topology/queue-arguments.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import type { StreamLog } from './open-stream.ts'
import { Stream, type StreamPorts } from './stream.ts'
import type { StreamSpanListener } from './stream-tracing.ts'

/** The logs of all streams, by the ids of their queues. */
export interface StreamLogs {
  open(id: number, segmentBytes: number): Promise<StreamLog>
  /** Ids of the logs that are there. */
  list(): Promise<number[]>
  /** Removes a log that nobody has open. */
  remove(id: number): Promise<void>
  /** Opening it means fetching so much that this is left to whoever uses it. Left out: none is. */
  isFar?(id: number): Promise<boolean>
  /** Somebody holds it as it is, and it is not to be closed. Left out: nobody ever does. */
  isInUse?(id: number): boolean
}

export interface StreamsOptions {
  /** All other queues. */
  readonly queues: ShardDirectory
  readonly logs: StreamLogs
  readonly clock: Clock
  /** What upkeep goes by where `clock` is moved by hand. Default: `clock`. */
  readonly upkeepClock?: Clock
  readonly runQueue: RunQueue
  readonly logger: Logger
  readonly uncommittedBytesMax?: number
  /**
   * Opens each log once soon after the start, one at a time: how much is in a stream is known, and what is too old goes,
   * though nobody uses it. Default: a log is opened by its first use.
   */
  readonly looksAtAll?: boolean
  /** How many messages a stream held when another node served it last; null: nobody has said. Left out: nobody ever does. */
  storedBefore?(id: number): number | null
  /** Who follows traced messages; left out: nobody. */
  readonly spans?: StreamSpanListener
  /** One of the streams has (or none has any more) more appended than its log has stored. */
  congestionChanged(isCongested: boolean): void
  /** The log of one of the streams has no room, or none of them any more. */
  roomChanged(isFull: boolean): void
  fatal(error: Error): void
}

/** A log that nobody has used from one look to the next is closed, in milliseconds: some megabytes are free again. */
export const idleCheckMs = 60_000
/** The first look at logs that nobody has used begins so long after the start, in milliseconds. */
export const firstLookMs = 500
/** Between two of them, in milliseconds, so that others have the disk too. */
const betweenLooksMs = 5
/** Sizes of a stream's segments, in bytes: retention goes by whole segments, and two are kept prepared. */
const segmentBytes = { least: 1024 * 1024, default: 64 * 1024 * 1024, most: 256 * 1024 * 1024 } as const
/** A stream with a limit has at least so many segments within it, unless it was told how large they are to be. */
const segmentsWithinLimit = 4

export class Streams implements ShardDirectory {
  readonly #options: StreamsOptions
  readonly #streams = new Map<number, Stream>()
  readonly #congested: AnyOf<Stream>
  readonly #full: AnyOf<Stream>
  /** Deleted streams whose deletion the topology may not have stored, in the order of its log. */
  readonly #leaving = new Map<Stream, Position>()
  #topology: ShardTopology | null = null
  #removing: Promise<void> = Promise.resolve()
  #idleTimer: Timer | null = null
  #lookTimer: Timer | null = null
  #isClosing = false

  constructor(options: StreamsOptions) {
    this.#options = options
    this.#congested = new AnyOf(options.congestionChanged)
    this.#full = new AnyOf(options.roomChanged)
  }

  /** The topology must have been replayed. Logs of streams that are gone are removed in the background. */
  async start(topology: ShardTopology): Promise<void> {
    this.#topology = topology
    // A stream that was never used has no log, and is given none by being looked at.
    const there: number[] = []
    for (const id of await this.#options.logs.list()) {
      if (this.#streams.has(id)) there.push(id)
      else this.#remove(id)
    }
    this.#lookForIdle()
    if (this.#options.looksAtAll === true) this.#lookAtAll(there.values(), firstLookMs)
  }

  /** Opens those logs that nobody has open, and closes them again; whoever uses one meanwhile keeps it open. */
  #lookAtAll(ids: Iterator<number>, afterMs: number): void {
    const { done, value: id } = ids.next()
    if (done === true || this.#isClosing) return
    this.#lookTimer = this.#options.clock.after(afterMs, () => {
      void this.#lookAt(id).then(() => this.#lookAtAll(ids, betweenLooksMs))
    })
  }

  async #lookAt(id: number): Promise<void> {
    const { logs, logger } = this.#options
    try {
      if (this.#streams.get(id)?.isOpen !== false || (await logs.isFar?.(id)) === true || this.#isClosing) return
      await this.wake(id)
      if (logs.isInUse?.(id) !== true) this.rest(id)
    } catch (error) {
      logger.warn({ error, stream: id }, 'a stream could not be looked at; it is opened by its first use')
    }
  }

  #lookForIdle(): void {
    const { clock, upkeepClock = clock } = this.#options
    this.#idleTimer = upkeepClock.after(idleCheckMs, () => {
      const { logs } = this.#options
      for (const [id, stream] of this.#streams) if (logs.isInUse?.(id) !== true) stream.closeIfIdle()
      this.#lookForIdle()
    })
  }

  open(definition: QueueDefinition): Queue {
    if (!isStream(definition)) return this.#options.queues.open(definition)
    const stream = new Stream(definition, this.#ports())
    this.#streams.set(definition.id, stream)
    return stream.queue
  }

  /** Of all streams there are. */
  get ids(): Iterable<number> {
    return this.#streams.keys()
  }

  /** Resolves when the log of the stream is open, or cannot be opened. False: there is no such stream any more. */
  async wake(id: number): Promise<boolean> {
    const stream = this.#streams.get(id)
    if (stream === undefined) return false
    await new Promise<void>((resolve) => {
      stream.status(stream.queue, { done: () => resolve(), failed: () => resolve() })
    })
    return true
  }

  /** Closes it again when nobody uses it: the first look only remembers how far it has come. */
  rest(id: number): void {
    for (let looks = 0; looks < 2; looks++) this.#streams.get(id)?.closeIfIdle()
  }

  #ports(): StreamPorts {
    const { logs, clock, runQueue, logger, uncommittedBytesMax, spans, storedBefore, fatal } = this.#options
    return {
      clock,
      runQueue,
      logger,
      fatal,
      topology: this.#topologyNow(),
      openLog: (definition) => logs.open(definition.id, segmentBytesOf(definition)),
      congestionChanged: (stream, isCongested) => this.#congested.set(stream, isCongested),
      roomChanged: (stream, isFull) => this.#full.set(stream, isFull),
      storedBefore: (id) => storedBefore?.(id) ?? null,
      ...(uncommittedBytesMax === undefined ? {} : { uncommittedBytesMax }),
      ...(spans === undefined ? {} : { spans }),
    }
  }

  /** The topology as it is asked, since streams are made while it is still being read. */
  #topologyNow(): ShardTopology {
    const now = (): ShardTopology | null => this.#topology
    return {
      get appended() {
        return now()?.appended ?? 0
      },
      get committed() {
        return now()?.committed ?? 0
      },
      reroute: (...args) => now()?.reroute(...args) ?? false,
      expireQueue: (definition) => now()?.expireQueue(definition),
    }
  }

  drop(queue: Queue): void {
    const stream = this.#streamOf(queue)
    if (stream === null) return this.#options.queues.drop(queue)
    this.#streams.delete(queue.definition.id)
    stream.drop()
    const { appended, committed } = this.#topology ?? { appended: 0, committed: 0 }
    // In replay there is nothing to close; what is there is found by `start`.
    if (this.#topology === null) return
    this.#leaving.set(stream, appended)
    if (appended <= committed) this.#leave()
  }

  /** Streams whose deletion is stored go with their logs. */
  #leave(): void {
    const committed = this.#topology?.committed ?? 0
    for (const [stream, storedWith] of this.#leaving) {
      if (storedWith > committed) return
      this.#leaving.delete(stream)
      const { id } = stream.queue.definition
      this.#removing = this.#removing.then(() => stream.close())
      this.#remove(id)
    }
  }

  /** One after the other, so that a thousand deletions do not keep the disk from all else. */
  #remove(id: number): void {
    this.#removing = this.#removing
      .then(() => (this.#isClosing ? undefined : this.#options.logs.remove(id)))
      .catch((error: unknown) => {
        this.#options.logger.warn({ error, stream: id }, 'the log of a deleted stream could not be removed')
      })
  }

  #streamOf(queue: Queue): Stream | null {
    return queue.shard instanceof Stream ? queue.shard : null
  }

  statusNow(queue: Queue): QueueStatus {
    return this.#streamOf(queue)?.statusNow() ?? this.#options.queues.statusNow(queue)
  }

  settingsChanged(queue: Queue): void {
    const stream = this.#streamOf(queue)
    if (stream === null) this.#options.queues.settingsChanged(queue)
    else stream.settingsChanged()
  }

  redeclared(queue: Queue): void {
    if (this.#streamOf(queue) === null) this.#options.queues.redeclared(queue)
  }

  topologyCommitted(): void {
    for (const stream of this.#streams.values()) stream.topologyCommitted()
    for (const stream of this.#leaving.keys()) stream.topologyCommitted()
    if (this.#leaving.size > 0) this.#leave()
  }

  async close(): Promise<void> {
    this.#isClosing = true
    this.#idleTimer?.cancel()
    this.#lookTimer?.cancel()
    await this.#removing
    await Promise.all([...this.#streams.values(), ...this.#leaving.keys()].map((stream) => stream.close()))
  }
}

/** As declared, within bounds; without that, so small that a limit is kept to a quarter. */
export function segmentBytesOf({ settings }: QueueDefinition): number {
  const wanted = settings.segmentBytes ?? Math.min(segmentBytes.default, withinLimit(settings.maxLengthBytes))
  return Math.min(segmentBytes.most, Math.max(segmentBytes.least, wanted))
}

function withinLimit(maxLengthBytes: number | null): number {
  return maxLengthBytes === null ? segmentBytes.default : Math.floor(maxLengthBytes / segmentsWithinLimit)
}
