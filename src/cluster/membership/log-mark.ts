/** How far a shard's log is known to have been confirmed. A log that ends before that, or reads otherwise there, lost a tail. */
export interface LogMark {
  /** Of the log, in hexadecimal: a log that was made anew is another. */
  readonly logId: string
  /** Of the last confirmed frame. */
  readonly ordinal: number
  /** Of that frame: CRC-32 over it and all before it. */
  readonly chain: number
}
