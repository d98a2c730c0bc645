import { fromRabbitHash, nobodysPasswordHash, type RabbitAlgorithm, toRabbitHash } from '../access/password-hash.ts'
import type { User } from '../access/user.ts'
import type { Entry, JsonObject } from './entry.ts'

/** A user in RabbitMQ's definitions, with whichever of its ways to say a password. */
export interface UserEntry {
  readonly entry: Entry
  readonly name: string
  readonly tags: readonly string[]
  readonly limits: JsonObject
  /** What is to be kept; null when there is a password that has yet to be hashed. */
  readonly passwordHash: string | null
  readonly password: string | null
}

export function readUser(entry: Entry, rabbitVersion: string): UserEntry {
  const own = entry.has(ownHashKey) ? entry.text(ownHashKey) : null
  const password = own === null && entry.has('password') && !entry.has('password_hash') ? entry.text('password') : null
  return {
    entry,
    name: entry.text('name'),
    tags: entry.words('tags'),
    limits: entry.object('limits'),
    passwordHash: password === null ? (own ?? hashOf(entry, rabbitVersion)) : null,
    password: password === '' ? null : password,
  }
}

/** RabbitMQ does not know it and passes it over; nor does it know scrypt. */
const ownHashKey = 'warren_password_hash'

const algorithms: Readonly<Record<string, RabbitAlgorithm>> = {
  rabbit_password_hashing_sha256: 'sha256',
  rabbit_password_hashing_sha512: 'sha512',
  rabbit_password_hashing_md5: 'md5',
}

/** Nothing, or an empty hash: a user who cannot log in with a password. */
function hashOf(entry: Entry, rabbitVersion: string): string {
  const written = entry.textOr('password_hash', '')
  if (written === '') return nobodysPasswordHash
  const byDefault = /^[0-2]\.|^3\.[0-5]\./.test(rabbitVersion) ? 'rabbit_password_hashing_md5' : sha256
  const name = entry.textOr('hashing_algorithm', byDefault)
  const algorithm = algorithms[name]
  if (algorithm === undefined) throw entry.wrong(`hashing_algorithm '${name}' is not known`)
  const stored = fromRabbitHash(algorithm, written)
  if (stored === null) throw entry.wrong(`password_hash is no hash of ${name}`)
  return stored
}

const sha256 = 'rabbit_password_hashing_sha256'

/** A scrypt hash goes under a name of ours; RabbitMQ makes a user of it who has no password. */
export function userJson({ name, tags, passwordHash, limits }: User): JsonObject {
  const rabbits = toRabbitHash(passwordHash)
  const own = rabbits === null && passwordHash !== nobodysPasswordHash ? { [ownHashKey]: passwordHash } : {}
  return {
    name,
    password_hash: rabbits?.hash ?? '',
    hashing_algorithm: `rabbit_password_hashing_${rabbits?.algorithm ?? 'sha256'}`,
    ...own,
    tags: [...tags],
    limits: limitsJson({ 'max-connections': limits?.maxConnections, 'max-channels': limits?.maxChannels }),
  }
}

/** Those that are set. */
export function limitsJson(limits: Readonly<Record<string, number | null | undefined>>): JsonObject {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => typeof value === 'number'))
}
