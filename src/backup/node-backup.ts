/**
 * A backup of a running node: all of its logs as they are committed at one moment, which is what a crash at that moment
 * would leave. Nothing waits for it; files of segments that are freed meanwhile are used again when it is over.
 *
 * Bounded: one at a time, at most `backupMsMax`, at most `stallMsMax` from one part to the next, and never longer than the
 * disk has room. What is cut off so is no whole archive, and whoever reads it knows.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Clock, Timer } from '../base/clock.ts'
import type { File, Files } from '../base/files.ts'
import type { Logger } from '../base/logger.ts'
import { tarEnd, tarHeader, tarPadding } from '../base/tar.ts'
import type { StreamLogs, Streams } from '../broker/stream/streams.ts'
import type { Topology } from '../broker/topology/topology.ts'
import { logNames, streamsName } from '../data-directory.ts'
import type { HeldLogs, LogHold } from '../log/file/held-logs.ts'
import type { LogSnapshot, SnapshotFile } from '../log/file/log-snapshot.ts'
import { type BackupNode, BackupRefused } from '../management/backup.ts'
import { type BackupFacts, backupFormat, countsName, factsName, type Sum, sumsName, sumsOf } from './archive.ts'
import { countQueues } from './queue-counts.ts'

export interface NodeBackupOptions {
  readonly held: HeldLogs
  readonly topology: Topology
  readonly streams: Streams
  readonly streamLogs: StreamLogs
  readonly files: Files
  readonly clock: Clock
  readonly logger: Logger
  readonly version: string
  /** There is no room for new messages. */
  isFull(): boolean
}

/** From the first part to the last, in milliseconds. */
export const backupMsMax = 6 * 60 * 60 * 1_000
/** Until the next part is asked for, in milliseconds. */
export const stallMsMax = 60_000
/** Read, summed up and sent at one time, in bytes: well below a millisecond of work. */
const partBytes = 256 * 1024

/** Only to open the log of a stream that is being deleted: nothing is appended to it. */
const leastSegmentBytes = 1024 * 1024

export class NodeBackup implements BackupNode {
  /** Null where nothing is stored in files. */
  static of({ held, ...rest }: Omit<NodeBackupOptions, 'held'> & { held: HeldLogs | null }): NodeBackup | null {
    return held === null ? null : new NodeBackup({ held, ...rest })
  }

  readonly #options: NodeBackupOptions

  constructor(options: NodeBackupOptions) {
    this.#options = options
  }

  begin(): AsyncIterable<Uint8Array> {
    const { held, streams, clock, isFull } = this.#options
    if (isFull()) throw new BackupRefused('the disk has no room for new messages; make room first')
    const names = [...streams.ids].map((id) => `${streamsName}/${id}`)
    const hold = held.begin(logNames, names)
    if (hold === null) throw new BackupRefused('a backup is under way, or a log is being opened anew; try again later')
    return new Archive(this.#options, hold, names, clock.now()).parts()
  }
}

class Archive {
  readonly #options: NodeBackupOptions
  readonly #hold: LogHold
  readonly #streamNames: readonly string[]
  readonly #facts: BackupFacts
  readonly #sums: Sum[] = []
  readonly #overdue: Timer
  #stalled: Timer

  constructor(options: NodeBackupOptions, hold: LogHold, streamNames: readonly string[], at: number) {
    this.#options = options
    this.#hold = hold
    this.#streamNames = streamNames
    this.#facts = { format: backupFormat, version: options.version, at }
    this.#overdue = options.clock.after(backupMsMax, () => hold.end('it took more than six hours'))
    this.#stalled = this.#watch()
  }

  #watch(): Timer {
    return this.#options.clock.after(stallMsMax, () => this.#hold.end('nobody took more of it for a minute'))
  }

  async *parts(): AsyncGenerator<Uint8Array> {
    const { logger } = this.#options
    let bytes = 0
    try {
      for await (const part of this.#all()) {
        this.#stalled.cancel()
        this.#stalled = this.#watch()
        bytes += part.length
        yield part
        this.#check()
      }
      logger.info({ bytes, files: this.#sums.length }, 'a backup has been taken')
    } catch (error) {
      logger.warn({ error, bytes }, 'a backup has failed')
      throw error
    } finally {
      this.#overdue.cancel()
      this.#stalled.cancel()
      this.#hold.end()
    }
  }

  /** What was read since the last look is good only if this passes. */
  #check(): void {
    if (this.#hold.failure === null && this.#options.isFull()) this.#hold.end('the disk has no room left')
    if (this.#hold.failure !== null) throw new Error(`the backup has failed: ${this.#hold.failure}`)
  }

  async *#all(): AsyncGenerator<Uint8Array> {
    // A moment later than the logs are held, so that many queues hold nothing up.
    const counts = await countQueues(this.#options.topology, this.#options.clock)
    yield* this.#json(factsName, this.#facts)
    for (const name of logNames) yield* this.#log(name, this.#hold.snapshot(name))
    for (const name of this.#streamNames) yield* this.#stream(name)
    yield* this.#json(countsName, counts)
    yield* this.#json(sumsName, sumsOf(this.#sums))
    yield tarEnd
  }

  // ---------------------------------------------------------------- logs

  async *#stream(name: string): AsyncGenerator<Uint8Array> {
    const { streams, streamLogs } = this.#options
    if (this.#hold.snapshot(name) !== null) return yield* this.#log(name, this.#hold.snapshot(name))
    const id = Number(name.slice(streamsName.length + 1))
    // A stream that has never been used has no log.
    if (!(await streamLogs.list()).includes(id)) return this.#hold.release(name)
    if (await streams.wake(id)) {
      yield* this.#log(name, this.#hold.snapshot(name))
      streams.rest(id)
      return
    }
    // It was deleted meanwhile; its log stays as long as it is held here.
    const log = await streamLogs.open(id, leastSegmentBytes)
    try {
      yield* this.#log(name, this.#hold.snapshot(name))
    } finally {
      await log.close()
    }
  }

  async *#log(name: string, snapshot: LogSnapshot | null): AsyncGenerator<Uint8Array> {
    if (snapshot === null) throw new Error(`the log ${name} cannot be opened; the log of the broker says why`)
    for (const file of snapshot.files) yield* this.#file(name, snapshot.directory, file)
    this.#hold.release(name)
  }

  async *#file(log: string, directory: string, file: SnapshotFile): AsyncGenerator<Uint8Array> {
    const { name, content, storedBytes: bytes } = file
    const entry = { name: `${log}/${name}`, bytes }
    yield tarHeader(entry, this.#facts.at)
    const hash = createHash('sha256')
    if (content !== null) yield summed(hash, content)
    else yield* this.#read(`${directory}/${name}`, bytes, hash)
    yield tarPadding(bytes)
    this.#sums.push({ ...entry, fill: file.bytes, sha256: hash.digest('hex') })
  }

  async *#read(path: string, bytes: number, hash: Hash): AsyncGenerator<Uint8Array> {
    const opened: File = await this.#options.files.open(path, 'read')
    try {
      for (let at = 0; at < bytes; at += partBytes) {
        const part = new Uint8Array(Math.min(partBytes, bytes - at))
        if ((await opened.read(part, 0, part.length, at)) < part.length) throw new Error(`${path} is too short`)
        this.#check()
        yield summed(hash, part)
      }
    } finally {
      await opened.close()
    }
  }

  *#json(name: string, value: unknown): Generator<Uint8Array> {
    const content = Buffer.from(JSON.stringify(value))
    const entry = { name, bytes: content.length }
    yield tarHeader(entry, this.#facts.at)
    yield content
    yield tarPadding(content.length)
    this.#sums.push({ ...entry, fill: content.length, sha256: createHash('sha256').update(content).digest('hex') })
  }
}

function summed(hash: Hash, bytes: Uint8Array): Uint8Array {
  hash.update(bytes)
  return bytes
}
