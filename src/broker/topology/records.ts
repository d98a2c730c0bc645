import { decodeFieldTable, type FieldTable } from '../../amqp/field-table.ts'
import { type ExchangeType, isExchangeType } from './exchange.ts'
import type { GlobalParameterRecord } from './global-parameter.ts'
import type { ApplyTo } from './policy.ts'
import type { PolicyKind, PolicyValue } from './policy-keys.ts'
import type { QueueType } from './queue-arguments.ts'
import type { WebhookRecord } from './webhook.ts'

/**
 * The durable schema of topology: JSON, one object per record, with the schema's version and the record's kind.
 * `docs/formats/topology-records.md` lists the fields. Argument tables are base64 of their bytes on the wire, so that
 * every value keeps its type.
 *
 * Everything that exists has an id, given once for ever: the number of the opening it was made in × 2^32 + a count.
 * Records refer to one another by ids only, so a record may be written again (to free its segment) at any later place.
 * Writing one again changes nothing. `removed` takes with it what cannot be without the removed: a queue its bindings,
 * an exchange those from and to it, a vhost all in it, a user their permissions.
 *
 * Checklist when a kind is added: type and codec here, `apply` and `recordOf` in `topology.ts`, what it needs in
 * `needsOf`, the document, a saved data directory in `test/formats`.
 */
export type TopologyRecord = DefinitionRecord | { readonly kind: 'removed'; readonly ids: readonly number[] }

export type DefinitionRecord =
  | TermRecord
  | VhostRecord
  | ExchangeRecord
  | QueueRecord
  | BindingRecord
  | UserRecord
  | PermissionRecord
  | TopicPermissionRecord
  | PolicyRecord
  | VhostLimitsRecord
  | VhostMetadataRecord
  | UserLimitsRecord
  | WebhookRecord
  | NodeRecord
  | GlobalParameterRecord

/** Of what stands beside vhosts and users, or by itself: said again with the same id, it is as it says then. */
export type RowRecord =
  | PolicyRecord
  | VhostLimitsRecord
  | VhostMetadataRecord
  | UserLimitsRecord
  | WebhookRecord
  | GlobalParameterRecord

/** The log has been opened for the `term`-th time. */
export interface TermRecord {
  readonly kind: 'term'
  readonly id: number
  readonly term: number
}

/** Brings its predeclared exchanges with it, whose ids are those that follow its own. */
export interface VhostRecord {
  readonly kind: 'vhost'
  readonly id: number
  readonly name: string
}

export interface ExchangeRecord {
  readonly kind: 'exchange'
  readonly id: number
  readonly vhost: number
  readonly name: string
  readonly type: ExchangeType
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly isInternal: boolean
  readonly arguments: FieldTable
}

export interface QueueRecord {
  readonly kind: 'queue'
  readonly id: number
  readonly vhost: number
  readonly name: string
  readonly isDurable: boolean
  readonly isAutoDelete: boolean
  readonly exclusiveOwner: number | null
  readonly arguments: FieldTable
  /** Missing: 0. Written only where there are several shards. */
  readonly shardId?: number
}

export interface BindingRecord {
  readonly kind: 'binding'
  readonly id: number
  readonly source: number
  readonly destination: number
  readonly key: string
  readonly arguments: FieldTable
}

/** With an id that exists: the user's new password hash and tags. */
export interface UserRecord {
  readonly kind: 'user'
  readonly id: number
  readonly name: string
  readonly passwordHash: string
  readonly tags: readonly string[]
  /** The hash of the same password that this one replaces; only in a cluster, whose other nodes may be checking it. */
  readonly upgradedFrom?: string
}

export interface PermissionRecord {
  readonly kind: 'permission'
  readonly id: number
  readonly vhost: number
  readonly user: number
  readonly configure: string
  readonly write: string
  readonly read: string
}

export interface TopicPermissionRecord {
  readonly kind: 'topic-permission'
  readonly id: number
  readonly vhost: number
  readonly user: number
  readonly exchange: string
  readonly write: string
  readonly read: string
}

/** With an id that exists: the policy's new properties; its name stays. */
export interface PolicyRecord {
  readonly kind: PolicyKind
  readonly id: number
  readonly vhost: number
  readonly name: string
  readonly pattern: string
  readonly applyTo: ApplyTo
  readonly priority: number
  readonly definition: Readonly<Record<string, PolicyValue>>
}

/** Null: no limit. */
export interface VhostLimitsRecord {
  readonly kind: 'vhost-limits'
  readonly id: number
  readonly vhost: number
  readonly maxConnections: number | null
  readonly maxQueues: number | null
}

export interface VhostMetadataRecord {
  readonly kind: 'vhost-metadata'
  readonly id: number
  readonly vhost: number
  readonly description: string
  readonly tags: readonly string[]
  readonly defaultQueueType: QueueType | null
}

export interface UserLimitsRecord {
  readonly kind: 'user-limits'
  readonly id: number
  readonly user: number
  readonly maxConnections: number | null
  readonly maxChannels: number | null
}

/**
 * A node counts as part of the cluster from here on, until this is removed: then all it alone had has been removed before.
 * Only in a cluster.
 */
export interface NodeRecord {
  readonly kind: 'node'
  readonly id: number
  readonly incarnation: number
  readonly name: string
}

/** What must exist for this to exist. */
export function needsOf(record: DefinitionRecord): readonly number[] {
  switch (record.kind) {
    case 'term':
    case 'vhost':
    case 'user':
    case 'node':
    case 'global-parameter':
      return []
    case 'exchange':
    case 'queue':
    case 'policy':
    case 'operator-policy':
    case 'vhost-limits':
    case 'vhost-metadata':
    case 'webhook':
      return [record.vhost]
    case 'user-limits':
      return [record.user]
    case 'binding':
      return [record.source, record.destination]
    case 'permission':
    case 'topic-permission':
      return [record.vhost, record.user]
  }
}

// ---------------------------------------------------------------- codec

export const schemaVersion = 1

/** A record that this version cannot read. Nothing is skipped: the node does not start. */
export class UnknownRecord extends Error {
  readonly code = 'UNKNOWN_TOPOLOGY_RECORD'
}

export function encodeRecord(record: TopologyRecord): Uint8Array {
  return Buffer.from(JSON.stringify({ v: schemaVersion, ...record }, tableAsText))
}

function tableAsText(key: string, value: unknown): unknown {
  if (key !== 'arguments') return value
  const { bytes } = value as FieldTable // only tables are called so in a record
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** Records are ours, and the log has verified their bytes: what does not read as one was written by another version. */
export function decodeRecord(buffer: Uint8Array, start: number, end: number): TopologyRecord {
  const text = Buffer.from(buffer.buffer, buffer.byteOffset + start, end - start).toString()
  const fields = parse(text)
  if (typeof fields !== 'object' || fields === null || !('v' in fields) || !('kind' in fields)) throw unknown(text)
  if (fields.v !== schemaVersion || !isKnownKind(fields.kind)) throw unknown(text)
  if (fields.kind === 'exchange' && !('type' in fields && isExchangeType(String(fields.type)))) throw unknown(text)
  if ('arguments' in fields && typeof fields.arguments === 'string') {
    const bytes = Buffer.from(fields.arguments, 'base64')
    fields.arguments = decodeFieldTable(bytes, 0, bytes.length)
  }
  return fields as unknown as TopologyRecord
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw unknown(text)
  }
}

const kinds = [
  'term',
  'vhost',
  'exchange',
  'queue',
  'binding',
  'user',
  'permission',
  'topic-permission',
  'policy',
  'operator-policy',
  'vhost-limits',
  'vhost-metadata',
  'user-limits',
  'webhook',
  'node',
  'global-parameter',
  'removed',
]

function isKnownKind(kind: unknown): boolean {
  return typeof kind === 'string' && kinds.includes(kind)
}

function unknown(text: string): UnknownRecord {
  return new UnknownRecord(`the topology log has a record that this version cannot read: ${text.slice(0, 200)}`)
}
