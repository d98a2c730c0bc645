/**
 * What a node may do with a replicated log: have a copy, a local directory kept level with the log's stream (`Replica`), and
 * own it (`ReplicatedLog`).
 */
import type { Clock } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { Log, LogListener, Position } from '../log.ts'
import type { FrameStream } from './frame-stream.ts'

export { openReplica } from './following-replica.ts'

/** A frame that a majority has stored. Who knows one knows the log up to it: the chain binds all frames before. */
export interface FrameMark {
  /** Frames of the log before this one; -1: none was ever stored. */
  readonly ordinal: number
  readonly chain: number
}

export interface ReplicaListener {
  /**
   * Each record of the log from the first live one on, in order, once it is committed; those of the local directory before
   * `openReplica` resolves, in slices of 2 ms. The bytes are valid during the call only. Without it records are not looked at.
   */
  record?(position: Position, buffer: Uint8Array, start: number, end: number): void
  /** Everything up to this position is committed and has been told. */
  advanced?(position: Position): void
  /** The copy cannot go on: `LogDamaged`, `LogWentBack` or a failed write. Last call. Close it and open another. */
  failed(error: Error): void
}

export interface ReplicaOptions {
  readonly stream: FrameStream
  readonly files: Files
  /** Belongs to this replica alone, and holds nothing that the stream has not. */
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  readonly logger?: Logger
  /** What messages call the log. */
  readonly name?: string
  readonly listener?: ReplicaListener
  /** Sizes of segments that this node begins as the owner, in bytes. */
  readonly segmentBytes?: number
  readonly firstSegmentBytes?: number
  /** Pages kept in memory for readers, in bytes. */
  readonly cacheBytes?: number
  /** Bytes of the local file system below which the log says that it is full. */
  readonly roomBytesMin?: number
  /** How long an owner's small frame waits behind the one before it for more, in milliseconds. Default 0. */
  readonly gatherMs?: number
  /** Only for a new log: a power of two, at most 512 KiB, so that a frame fits into a message. A record is at most three quarters of a page long, and a segment at least two pages. */
  readonly pageBytes?: number
}

/** The log of an owner. `committed` promises that a majority has stored and synced it. */
export interface ReplicatedLog extends Log {
  listener: LogListener | null
  /** Above the terms of all owners before. */
  readonly term: number
  readonly lastCommitted: FrameMark
  /**
   * Rejects with `LogWentBack` when the log does not hold this frame, which was known to be committed before this owner took
   * over; with `LogDeposed` when another owner has written since.
   */
  verify(mark: FrameMark): Promise<void>
  /**
   * Gives up: what is not committed is not waited for any more and may be stored or not; an append that is under way or
   * comes later fails the log. While an append's outcome is unknown, the log otherwise waits for as long as it takes,
   * but for `close`, which gives up after 15 s.
   */
  abandon(reason: string): void
  /** True while the outcome of an append is unknown, or the stream has no room for it: for alarms. */
  readonly isStalled: boolean
}

export interface Replica {
  /** Of the last record that is committed and has been told; 0 before the first. */
  readonly position: Position
  readonly lastCommitted: FrameMark
  /**
   * Resolves when everything that the stream held at the call has been told; while nobody answers, it is asked again. Rejects
   * when the replica has failed or is closed.
   */
  caughtUp(): Promise<void>
  /** Waits for the frame if need be. Rejects with `LogWentBack`, and fails, when the stream does not hold it. */
  verify(mark: FrameMark): Promise<void>
  /**
   * Stops following and becomes the owner, with a term of at least `term`. When it resolves, its epoch is committed and read
   * back and all records before it have been told; while nobody answers, it goes on trying, until `signal` aborts. Rejects with
   * `LogDeposed` when another owner was faster, with `LogOutrun` when the stream was trimmed beyond what the replica has
   * read; it is closed then, and another one may be opened. Of the replica only `close` may be used from now on, which gives
   * up a take-over that is under way; the directory belongs to the log.
   */
  takeOver(term: number, signal?: AbortSignal): Promise<ReplicatedLog>
  /** Use nothing afterwards. */
  close(): Promise<void>
}
