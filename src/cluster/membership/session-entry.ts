/** What stands under the key `node.NAME` while that node has a session. */
import type { Member } from '../members.ts'
import { fieldsOf, isCount } from './entry-fields.ts'

export interface SessionEntry extends Member {
  /** Its topology has caught up: it can take data shards. Stays true. */
  readonly isReady: boolean
  /** It has not come lately and gone again, or has stayed for long enough since. Shards are placed on others first. */
  readonly isSteady: boolean
  /** Incarnations of live nodes to which it has had no link for a while (`link-watch.ts`). */
  readonly unreached: readonly number[]
  /** Counts up with each write, so that no two writes are alike. */
  readonly renewal: number
}

export const sessionPrefix = 'node.'

export function sessionKey(name: string): string {
  return sessionPrefix + name
}

export function encodeSession(entry: SessionEntry): string {
  const { name: _inTheKey, ...fields } = entry
  return JSON.stringify(fields)
}

/** Null when it is no session entry. */
export function decodeSession(key: string, value: string): SessionEntry | null {
  const fields = fieldsOf(value)
  if (fields === null) return null
  const { incarnation, host, port, version, isDraining, isReady, startedAt, renewal } = fields
  if (!isCount(incarnation) || !isCount(port) || !isCount(renewal)) return null
  if (typeof host !== 'string' || typeof version !== 'string' || typeof startedAt !== 'number') return null
  if (typeof isDraining !== 'boolean' || typeof isReady !== 'boolean') return null
  const name = key.slice(sessionPrefix.length)
  // A node of an earlier version does not say these.
  const { unreached = [], isSteady = true } = fields
  if (typeof isSteady !== 'boolean') return null
  if (!Array.isArray(unreached) || !unreached.every(isCount)) return null
  return { name, incarnation, host, port, version, isDraining, isReady, isSteady, startedAt, unreached, renewal }
}

const namePattern = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const nameLengthMax = 64

/** Letters, digits, `-`, `_`, and dots between them; at most 64 characters. */
export function isNodeName(name: string): boolean {
  return name.length <= nameLengthMax && namePattern.test(name)
}
