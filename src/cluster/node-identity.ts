/** A node of a cluster, from one start of its session to the end of it. */
export interface NodeIdentity {
  /** Chosen by the operator; letters, digits, `-`, `_` and `.`, at most 64. */
  readonly name: string
  /** Counts up over all nodes of the cluster, never given twice: 1 … 2^20. A node that lost its session gets another. */
  readonly incarnation: number
}

/** Ids that a node gives out (sessions, its own shard) are its incarnation × this + a count: unique in the cluster. */
export const idsPerIncarnation = 2 ** 32

/** The incarnation behind an id that a node gave out. */
export function incarnationOf(id: number): number {
  return Math.floor(id / idsPerIncarnation)
}
