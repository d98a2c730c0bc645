/**
 * The small things that nodes agree on: who is there, who tries to own which shard. A key-value store with
 * compare-and-set; only the acknowledgement of a write counts, whatever is read may be old.
 */
export interface CoordinationEntry {
  readonly key: string
  /** JSON, at most 4 KiB. */
  readonly value: string
  /** Grows with each change of any key. */
  readonly revision: number
}

export interface CoordinationWatch {
  entry(entry: CoordinationEntry): void
  removed(key: string, revision: number): void
  /**
   * What was there when the watch began has been told, in one turn. Called again after the watch was broken and begun
   * anew; what was changed or removed meanwhile has then been told.
   */
  current(): void
}

export interface Coordination {
  /** May be answered by a store that lags behind. Rejects when nobody answers. */
  get(key: string): Promise<CoordinationEntry | null>
  /**
   * Writes if the key still has this revision (0: if it is not there). The new revision, or null when somebody else was
   * first. Rejects when the outcome is not known: read again, the value may be there now or later.
   */
  put(key: string, value: string, revision: number): Promise<number | null>
  /** Removes the key if it still has this revision; false when it has not. Rejects as `put`. */
  remove(key: string, revision: number): Promise<boolean>
  /**
   * Tells all keys that begin with `prefix`, then changes in order; values that were overwritten soon may be left out. At
   * the end of each turn what has been told is a state that the store was in. The result ends the watch.
   */
  watch(prefix: string, watch: CoordinationWatch): () => void
}
