/** Something that a sampler looks at: it stays the same object for as long as it lives. */
export interface Counted {
  recent: Recent | null
}

/** What a sampler keeps beside something that is counted: it goes when that goes. */
export interface Recent {
  /** At the last look that found something new; in the order of what is looked at. */
  readonly totals: Float64Array
  /** Per second, between the last two looks; null: nothing moved. */
  rates: Float64Array | null
  /** Of earlier looks; null when too many others have moved since. */
  history: History | null
}

/** Totals of the past, as far as they were kept. */
export interface History {
  /** As they were at a wall time in milliseconds; null: not known. */
  at(time: number): Float64Array | null
}
