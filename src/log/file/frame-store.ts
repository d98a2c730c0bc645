/**
 * Where the frames of a log are stored for good, when that is not its directory: each is stored there first, and written to the
 * directory only then. Such a directory can be had again from the store, so nothing in it is synced.
 */
export interface FrameStore {
  /**
   * Resolves once the frame is stored for good, never before those given earlier; at most one is given at a time. An
   * unknown outcome is resolved inside. The error is why the log cannot go on; a `LogFailed` is passed on as it is.
   */
  store(frame: Uint8Array, segment: StoredSegment): Promise<void>
  /** It is committed that this segment is not needed any more. */
  freed(segmentId: number): void
}

/** The segment that a frame is part of. */
export interface StoredSegment {
  readonly id: number
  readonly base: number
  readonly span: number
}
