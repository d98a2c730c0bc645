import type { StoredRecord } from './live-records.ts'

/** A JSON value that belongs to the whole broker, under a name. The broker itself reads `cluster_name` only. */
export interface GlobalParameter {
  readonly kind: 'global-parameter'
  readonly id: number
  readonly name: string
  /** The value as `JSON.stringify` writes it. */
  readonly json: string
  stored: StoredRecord | null
}

/** With an id that exists: the parameter's new value; its name stays. The value is text, so that no key in it is ours. */
export interface GlobalParameterRecord {
  readonly kind: 'global-parameter'
  readonly id: number
  readonly name: string
  readonly json: string
}

/** What the broker, or the cluster, is called to its clients. */
export const clusterNameParameter = 'cluster_name'
