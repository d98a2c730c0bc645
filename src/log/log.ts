/**
 * The seam between the broker and what keeps its records: an append-only log of opaque records.
 *
 * Records are gathered into frames and one frame is one commit; while a frame is being stored, everything appended
 * meanwhile forms the next one (group commit, no timers, one frame in flight). New broker features add record
 * kinds, never methods here.
 *
 * Invariant: `trimmed ≤ committed ≤ appended`. What *committed* promises: file log, the frame is on stable storage;
 * memory and scratch log, nothing, it is reported at once.
 */

/** A record's place: ordered, at most 53 bits, fixed at append, meaningless to the broker. 0 is before all records. */
export type Position = number

/** No record is longer; larger bodies are split by the shard. */
export const recordBytesMax = 512 * 1024

/** Positions given to one `gather`. */
export const gatherRecordsMax = 4_096

/**
 * A run of the log that is freed as a whole. The last one is open, all others are sealed. Segments may be freed in any
 * order; `canFreeAnyOrder` of the log says whether the store then really gets the room back before its predecessors.
 */
export interface Segment {
  /** Counts up over the life of the log, never reused. */
  readonly id: number
  /** Position bounds: every record in it has `base <= position < end`; `end` grows while the segment is open. */
  readonly base: Position
  readonly end: Position
  readonly isSealed: boolean
}

/** Called by `replay` for each valid record in order. The bytes are `buffer[start..end)`, valid during the call only. */
export type RecordVisitor = (position: Position, buffer: Uint8Array, start: number, end: number) => void

export interface LogListener {
  /** Everything up to and including this position is committed. Called at most once per frame. */
  committed(position: Position): void
  /** The log cannot go on (failed write or sync, deposed). Nothing appended and not yet committed will ever be. Last call. */
  failed(error: Error): void
  /** No record will be added to this segment any more, and all of its records are committed. */
  sealed(segment: Segment): void
  /** `isFull` has changed. */
  roomChanged(): void
}

export interface Log {
  // ---- append

  /**
   * Makes room for one record of exactly `byteLength` bytes and returns the offset in `buffer` at which the caller
   * writes it, at once and in full, before any other call on this log. `position` is then the record's position.
   */
  reserve(byteLength: number): number
  /** Where the record that was just reserved is to be written; changes from one `reserve` to the next. */
  readonly buffer: Uint8Array
  /** Position of the record reserved last; 0 before the first. */
  readonly appended: Position
  readonly committed: Position
  /** Bytes appended and not yet committed: what back-pressure looks at. */
  readonly uncommittedBytes: number
  /**
   * True when the store has no room for new work. Appends are still accepted while the reserve lasts: settlements and
   * the shard's own records go on, publishes must be held back.
   */
  readonly isFull: boolean

  // ---- read

  /** If the record's bytes are in memory: sets `viewBuffer`, `viewStart`, `viewEnd` (until the next call on this log) and returns true. */
  view(position: Position): boolean
  readonly viewBuffer: Uint8Array
  readonly viewStart: number
  readonly viewEnd: number
  /**
   * Brings the record, and what follows it in the log (one large read), into memory and calls back, never
   * synchronously; a later `view` of it then succeeds at least until another `load`. The error is `LogDamaged` when
   * the bytes do not pass their checks. Loads of the same region share one read.
   */
  load(position: Position, loaded: (error: Error | null) => void): void
  /**
   * The same for records that are wanted next, in this order, wherever in the log they lie: at least one position, not more
   * than `gatherRecordsMax`. As many of them as there is room and time for are then in memory, without what follows each.
   * Only for the first one is what is said of `load` promised, and only of it does the error speak.
   */
  gather(positions: readonly Position[], loaded: (error: Error | null) => void): void

  // ---- segments

  /** Live segments, oldest first; the last one is open. */
  readonly segments: readonly Segment[]
  readonly canFreeAnyOrder: boolean
  /**
   * Visits every record of one segment, verified, in slices of at most 2 ms between which the event loop runs.
   * Rejects with `LogDamaged` where a frame does not pass its checks.
   */
  replay(segment: Segment, visit: RecordVisitor): Promise<void>
  /**
   * Keeps a digest beside a sealed segment: the shard's own summary, from which it opens without reading the segment.
   * Checksummed per 64 KiB by the log, never trusted when damaged, rebuilt by the shard when missing.
   */
  writeDigest(segment: Segment, digest: Uint8Array): Promise<void>
  /** Reads part of a digest; null when there is none, when it is damaged or when the range is beyond its end. */
  readDigest(segment: Segment, offset: number, byteLength: number): Promise<Uint8Array | null>
  /** Every record of this sealed segment is dead and needed by nobody: its room may be used again. */
  free(segment: Segment): void

  // ---- close

  /** Commits what has been appended, then closes. Use nothing afterwards. */
  close(): Promise<void>
}

/** A failed write or sync. Nothing is retried in place: the shard object is dropped and opened again. */
export class LogFailed extends Error {
  readonly code = 'LOG_FAILED'
}

/** Stored bytes that do not pass their checks. Names file, offset and range. */
export class LogDamaged extends Error {
  readonly code = 'LOG_DAMAGED'
}

/** Another owner writes this log now. Whatever was appended and is not committed never will be by this one. */
export class LogDeposed extends LogFailed {}

/** The log's store holds less than it had committed, or something else: a majority has lost what it promised to keep. */
export class LogWentBack extends Error {
  readonly code = 'LOG_WENT_BACK'
}
