/**
 * The seam between a replicated log and what replicates it: a sequence of frames, each stored by a majority or not at all.
 *
 * The frames are those of the file log, byte for byte (`docs/formats/replicated-log.md`). What the stream promises is
 * little: an acknowledged append is stored at that sequence for good, and a frame that was read is stored. All else
 * proves nothing: a refused or timed-out append may be stored now or later, and a sequence that is "not there" may be
 * there for others.
 */

/** Where a frame belongs in a log's files; stands in the headers of each message. */
export interface SegmentPlace {
  readonly id: number
  /** Position of the segment's first byte. */
  readonly base: number
  /** Bytes that the segment's positions cover. */
  readonly span: number
  readonly pageBytes: number
}

/** One stored message. */
export interface StreamFrame {
  /** Counts up from 1, without gaps, in the order in which frames were stored. */
  readonly sequence: number
  readonly segment: SegmentPlace
  readonly bytes: Uint8Array
}

export type AppendOutcome =
  | { readonly kind: 'stored'; readonly sequence: number }
  /** May be stored now or later, whatever the reason says. `isFull`: the stream said that it has no room. */
  | { readonly kind: 'unknown'; readonly reason: string; readonly isFull: boolean }

/** A hint: whoever answered may lag behind. */
export interface StreamState {
  /** Sequence of the oldest frame; one more than `last` when there is none. */
  readonly first: number
  /** 0 when nothing was ever stored. */
  readonly last: number
  readonly bytes: number
}

export interface FollowListener {
  /** In order of sequence; a gap shows in the sequence alone. The next one is told when what this returns has resolved. */
  frame(frame: StreamFrame): Promise<void>
  /** All frames that have come in so far have been told. */
  idle(): Promise<void>
  /** Following has ended and does not begin again by itself: the stream is gone, or holds what is no frame. Last call. */
  ended(error: Error): void
}

export interface Following {
  /** Nothing more is told once it has been called; resolves when the last telling has ended. */
  stop(): Promise<void>
}

export interface FrameStream {
  /** Unique in the cluster; what messages call it. */
  readonly name: string
  /** 16 bytes, given when the stream was made: a stream that was deleted and made again has another. */
  readonly logId: Uint8Array
  /** The stream refuses appends beyond it, in bytes with headers. */
  readonly bytesMax: number
  /** A frame with its headers is not larger than the servers take: 1 MiB unless they say otherwise. */
  readonly frameBytesMax: number
  /** Digests of the log's sealed segments. */
  readonly digests: DigestStream

  /** Stores a frame right behind sequence `expectedLast`. Never rejects. The bytes stay as they are until it resolves. */
  append(expectedLast: number, segment: SegmentPlace, frame: Uint8Array): Promise<AppendOutcome>
  /** The frame at a sequence; null when whoever answered has none there. Rejects when nobody answers. */
  read(sequence: number): Promise<StreamFrame | null>
  /** Tells all frames from `from` on, as they are stored; goes on over reconnects. A bounded number of bytes is under way. */
  follow(from: number, listener: FollowListener): Following
  /** Rejects when nobody answers. */
  state(): Promise<StreamState>
  /** Removes all frames before a sequence, for good. Rejects when nobody answers; may be asked again. */
  purge(below: number): Promise<void>
}

/** One part of a segment's digest. Only a set of parts of the same version is a digest. */
export interface DigestPart {
  readonly segmentId: number
  readonly part: number
  readonly parts: number
  /** The same in all parts of one digest and no other. */
  readonly version: string
  readonly bytes: Uint8Array
}

/** The last digest of each sealed segment of one log. Nothing depends on it but how fast a shard opens. */
export interface DigestStream {
  /** Largest `bytes` of a part. */
  readonly partBytesMax: number
  /** Replaces what there is. Rejects when it is not known to be stored. */
  put(part: DigestPart): Promise<void>
  /** Null when there is none. */
  get(segmentId: number, part: number): Promise<DigestPart | null>
  /** Forgets the digest of a segment. */
  remove(segmentId: number): Promise<void>
}

export interface StreamSettings {
  /** Copies: 3 in a cluster; 1 for tests and single servers. */
  readonly replicas: 1 | 3 | 5
  /** Bytes that the stream may hold, with headers. */
  readonly bytesMax: number
  /** How long frames may wait until who follows is told of them, together with those behind, in milliseconds. Default 0. */
  readonly followMs?: number
}

/** The streams of one cluster. Names are letters, digits, `-` and `_`, at most 64. */
export interface FrameStreams {
  /**
   * Opens a log's stream, or makes it. Rejects with `StreamUnfit` when one is there whose settings do not keep what we
   * promise, and with whatever hinders the asking.
   */
  open(name: string, settings: StreamSettings): Promise<FrameStream>
  /** Names of the streams that begin with `prefix`. */
  list(prefix: string): Promise<string[]>
  /** Removes a log's stream and its digests; no error when there is none. */
  remove(name: string): Promise<void>
}

/** A stream that is there and must not be used as it is; says which setting is wrong and what it has to be. */
export class StreamUnfit extends Error {
  readonly code = 'STREAM_UNFIT'
}
