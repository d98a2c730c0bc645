/** How far a shard's log is known to have been committed. A log that ends before that, or reads otherwise there, lost a tail. */
export interface LogMark {
  /** Of the last committed frame: frames of the log before it. */
  readonly ordinal: number
  /** Of that frame: CRC-32 over it and all before it. */
  readonly chain: number
}
