/** What nodes tell one another each second, as JSON: small, and read by people who watch the wire. */
import type { AlarmReason } from '../../broker/commands.ts'
import { type Fields, fieldsOf, isCount } from './entry-fields.ts'
import type { LogMark } from './log-mark.ts'

/** What blocks publishers on every node. That a node cannot reach a majority is its own affair. */
export type SharedAlarm = Exclude<AlarmReason, 'cluster'>

export interface GossipMessage {
  /** That are on at the sender. */
  readonly alarms: readonly SharedAlarm[]
  /** Position up to which the sender has applied the topology. */
  readonly topologyPosition: number
  /** Of the shards whose logs the sender writes or follows: how far its copy has come. */
  readonly copies: ReadonlyMap<string, LogMark>
  /** Of all shards: the highest that it knows of any node's. */
  readonly known: ReadonlyMap<string, LogMark>
}

/** A longer one is not read: some hundred shards fit. */
export const gossipBytesMax = 64 * 1024

export function encodeGossip({ alarms, topologyPosition, copies, known }: GossipMessage): Uint8Array {
  const fields = { alarms, topologyPosition, copies: listed(copies), known: listed(known) }
  return new TextEncoder().encode(JSON.stringify(fields))
}

/** Null when it is none. Alarms that this version does not know are left out. */
export function decodeGossip(bytes: Uint8Array): GossipMessage | null {
  const fields = bytes.length > gossipBytesMax ? null : fieldsOf(new TextDecoder().decode(bytes))
  if (fields === null) return null
  const { alarms, topologyPosition } = fields
  const copies = marksOf(fields, 'copies')
  const known = marksOf(fields, 'known')
  if (!Array.isArray(alarms) || !isCount(topologyPosition) || copies === null || known === null) return null
  return { alarms: alarms.filter(isAlarm), topologyPosition, copies, known }
}

function listed(marks: ReadonlyMap<string, LogMark>): Record<string, readonly [number, number]> {
  return Object.fromEntries([...marks].map(([shard, { ordinal, chain }]) => [shard, [ordinal, chain]]))
}

function marksOf(fields: Fields, name: string): Map<string, LogMark> | null {
  const listed = fields[name]
  if (typeof listed !== 'object' || listed === null) return null
  const marks = new Map<string, LogMark>()
  for (const [shard, mark] of Object.entries(listed)) {
    if (!Array.isArray(mark)) return null
    const [ordinal, chain] = mark
    if (!isCount(ordinal) || !isCount(chain)) return null
    marks.set(shard, { ordinal, chain })
  }
  return marks
}

const alarmReasons: Readonly<Record<SharedAlarm, true>> = { memory: true, disk: true }

function isAlarm(value: unknown): value is SharedAlarm {
  return typeof value === 'string' && Object.hasOwn(alarmReasons, value)
}
