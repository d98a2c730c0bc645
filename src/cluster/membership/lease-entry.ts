/**
 * What stands under the key `lease.SHARD`, from its first owner on. It is never removed, so that epochs only grow; what
 * somebody removes or overwrites by hand is no lease, and the shard is taken anew beyond all epochs that are known of it.
 */
import type { NodeIdentity } from '../node-identity.ts'
import { fieldsOf, isCount } from './entry-fields.ts'

export interface LeaseEntry {
  /** Null when the lease is free. */
  readonly holder: NodeIdentity | null
  /** One more for each time that a holder is about to open the shard. */
  readonly epoch: number
  /** Wall time of the holder, in milliseconds, at which it took or freed the lease. For people. */
  readonly since: number
  /** Incarnations that could not open the shard, several times over: others go first. */
  readonly avoid: readonly number[]
}

/** No cluster comes so far by itself: a higher one was written by hand, and leaves no room to count on. */
export const epochMax = 2 ** 48

export const leasePrefix = 'lease.'

export function leaseKey(shard: string): string {
  return leasePrefix + shard
}

/** Before anybody has owned the shard. */
export const noLease: LeaseEntry = { holder: null, epoch: 0, since: 0, avoid: [] }

export function encodeLease({ holder, epoch, since, avoid }: LeaseEntry): string {
  return JSON.stringify({ node: holder?.name ?? null, incarnation: holder?.incarnation ?? 0, epoch, since, avoid })
}

/** Null when it is no lease entry. */
export function decodeLease(value: string): LeaseEntry | null {
  const fields = fieldsOf(value)
  if (fields === null) return null
  const { node, incarnation, epoch, since, avoid } = fields
  if (!isCount(incarnation) || !isCount(epoch) || epoch > epochMax || typeof since !== 'number') return null
  if (node !== null && typeof node !== 'string') return null
  if (!Array.isArray(avoid) || !avoid.every(isCount)) return null
  return { holder: node === null ? null : { name: node, incarnation }, epoch, since, avoid }
}

export function isSameNode(one: NodeIdentity | null, other: NodeIdentity | null): boolean {
  return one?.name === other?.name && one?.incarnation === other?.incarnation
}
