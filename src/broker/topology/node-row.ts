import type { StoredRecord } from './live-records.ts'

/** A node of the cluster that counts: it has what is answered, and may have queues of its own. */
export interface ClusterNode {
  readonly kind: 'node'
  readonly id: number
  /** Never given twice. */
  readonly incarnation: number
  readonly name: string
  stored: StoredRecord | null
}
