/** What one connection may publish while the disk is behind, in bytes, each time that this happens. */
export const allowanceBytes = 16 * 1024

/** What all connections may publish by that, in bytes. */
const allowancesBytesMax = 4 * 1024 * 1024

/**
 * While more is appended than the disk has stored, publishers wait. But who publishes little need not wait for those who
 * publish much: each connection has a small allowance for each time of congestion, as long as not very many use theirs.
 */
export class Congestion {
  /** Counts the times. */
  period = 0
  #bytesLeft = 0

  begin(): void {
    this.period++
    this.#bytesLeft = allowancesBytesMax
  }

  /** Whether a connection gets its allowance; it asks once per period. */
  grant(): boolean {
    if (this.#bytesLeft < allowanceBytes) return false
    this.#bytesLeft -= allowanceBytes
    return true
  }
}
