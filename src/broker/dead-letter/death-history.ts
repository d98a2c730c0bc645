import { changeFields, type FieldTable, type FieldValue, fieldTable } from '../../amqp/field-table.ts'
import { encodedBytes, shortStringBytesMax } from '../../amqp/short-string.ts'

/**
 * The headers that say where a message has died: `x-death`, `x-first-death-*` and `x-last-death-*`, as RabbitMQ writes
 * them.
 *
 * `x-death` is an array of tables, the latest death first, one for each (queue, reason). Its fields, in this order:
 *
 *     original-expiration  S   the `expiration` of the message, only if it had one
 *     count                l   how often it died there for that reason
 *     reason               S
 *     queue                S
 *     time                 T   of the first such death, in seconds
 *     exchange             S   to which it had been published, the first time
 *     routing-keys         A   of S: its routing key, then those of CC
 *
 * A message carries its history in its headers and nowhere else, so what a publisher puts there cannot be told from what
 * a broker wrote. It is read if it has this form, whatever wrote it: a client that consumes a message and publishes it
 * again with its headers goes on with the same history, as in RabbitMQ before 4.0. Entries of another form are dropped,
 * and no value whatever makes these functions throw.
 */
export interface Death {
  readonly queue: string
  readonly reason: DeathReason
  /** Whole seconds since 1970. */
  readonly seconds: number
  /** To which the message was published, and with which keys: first its routing key, then those of CC. */
  readonly exchange: string
  readonly routingKeys: readonly string[]
  /** The property of the message. */
  readonly expiration: string | null
}

export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit'

/** Entries of `x-death`; the oldest go first. */
export const deathsMax = 128
/** Routing keys of one entry; further ones of CC are not in the history. */
export const deathKeysMax = 16
/** All entries of `x-death`, about, in bytes; the oldest go first. It travels in one frame, which may be 128 KiB. */
export const deathBytesMax = 64 * 1024

/** What an entry takes besides its strings, at most; with them, an entry is at most 5.5 KB. */
const deathFixedBytes = 160
const deathBytesLargest = deathFixedBytes + (deathKeysMax + 4) * (shortStringBytesMax + 5)

/** One entry of `x-death`, with what a repetition changes taken out of its fields. */
interface Entry {
  readonly queue: string
  readonly reason: string
  readonly count: number
  readonly time: number | bigint
  readonly exchange: string
  readonly routingKeys: readonly string[]
  readonly expiration: string | null
}

/**
 * The headers of a message that has died once more. `isRerouted`: it goes on with another routing key, so CC, whose keys
 * must not route it any more, is taken out. All other headers stay as they are, to the byte.
 */
export function recordDeath(headers: FieldTable, death: Death, isRerouted: boolean): FieldTable {
  const before = readHistory(headers)
  const changes = new Map<string, FieldValue | null>()
  if (isRerouted) changes.set('CC', null)
  changes.set('x-death', {
    tag: 'A',
    value: fitting([latest(before, death), ...others(before, death)]).map(entryField),
  })
  if (before.length === 0) nameDeath(changes, 'x-first-death', death)
  nameDeath(changes, 'x-last-death', death)
  return changeFields(headers, changes)
}

/**
 * Whether a message with these headers, which has just died for `reason` and has that in its history, must not go to
 * `targetQueue`: it has died there before, and since then no client has rejected it anywhere, so that it would go round
 * for ever by itself. A message whose history has no room left for another death, and no rejection in it, counts as
 * going round.
 */
export function isCycle(headers: FieldTable, targetQueue: string, reason: DeathReason): boolean {
  if (reason === 'rejected') return false
  const history = readHistory(headers)
  for (const entry of history) {
    if (entry.reason === 'rejected') return false
    if (entry.queue === targetQueue) return true
  }
  return history.length >= deathsMax || bytesOf(history) > deathBytesMax - deathBytesLargest
}

// ---------------------------------------------------------------- the newest entry

function latest(before: readonly Entry[], death: Death): Entry {
  const same = before.find((entry) => isSame(entry, death))
  if (same !== undefined) return { ...same, count: Math.min(same.count + 1, Number.MAX_SAFE_INTEGER) }
  return {
    queue: death.queue,
    reason: death.reason,
    count: 1,
    time: death.seconds,
    exchange: death.exchange,
    routingKeys: death.routingKeys.slice(0, deathKeysMax),
    expiration: death.expiration,
  }
}

function others(before: readonly Entry[], death: Death): Entry[] {
  return before.filter((entry) => !isSame(entry, death))
}

function isSame(entry: Entry, death: Death): boolean {
  return entry.queue === death.queue && entry.reason === death.reason
}

/** The newest entries, as many as may be kept. */
function fitting(entries: readonly Entry[]): readonly Entry[] {
  let bytes = 0
  let count = 0
  for (const entry of entries) {
    bytes += entryBytes(entry)
    if (count === deathsMax || bytes > deathBytesMax) break
    count++
  }
  return entries.slice(0, count)
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + entryBytes(entry), 0)
}

function entryBytes({ queue, reason, exchange, routingKeys, expiration }: Entry): number {
  const keys = routingKeys.reduce((sum, key) => sum + 5 + encodedBytes(key), 0)
  const strings = [queue, reason, exchange, expiration ?? '']
  return strings.reduce((sum, text) => sum + encodedBytes(text), deathFixedBytes + keys)
}

// ---------------------------------------------------------------- write

function nameDeath(changes: Map<string, FieldValue | null>, prefix: string, death: Death): void {
  changes.set(`${prefix}-reason`, { tag: 'S', value: death.reason })
  changes.set(`${prefix}-queue`, { tag: 'S', value: death.queue })
  changes.set(`${prefix}-exchange`, { tag: 'S', value: death.exchange })
}

function entryField(entry: Entry): FieldValue {
  const fields = new Map<string, FieldValue>()
  if (entry.expiration !== null) fields.set('original-expiration', { tag: 'S', value: entry.expiration })
  fields.set('count', { tag: 'l', value: entry.count })
  fields.set('reason', { tag: 'S', value: entry.reason })
  fields.set('queue', { tag: 'S', value: entry.queue })
  fields.set('time', { tag: 'T', value: entry.time })
  fields.set('exchange', { tag: 'S', value: entry.exchange })
  fields.set('routing-keys', { tag: 'A', value: entry.routingKeys.map((value) => ({ tag: 'S', value })) })
  return { tag: 'F', value: fieldTable(fields) }
}

// ---------------------------------------------------------------- read

/** The entries that have our form, newest first, at most `deathsMax`. */
function readHistory(headers: FieldTable): Entry[] {
  const field = headers.fields.get('x-death')
  if (field?.tag !== 'A') return []
  const entries: Entry[] = []
  for (const item of field.value) {
    const entry = item.tag === 'F' ? readEntry(item.value) : null
    if (entry !== null) entries.push(entry)
    if (entries.length === deathsMax) break
  }
  return entries
}

function readEntry({ fields }: FieldTable): Entry | null {
  const queue = readName(fields.get('queue'))
  const reason = readName(fields.get('reason'))
  const exchange = readName(fields.get('exchange'))
  const count = readCount(fields.get('count'))
  const time = readTime(fields.get('time'))
  const routingKeys = readKeys(fields.get('routing-keys'))
  if (queue === null || reason === null || exchange === null) return null
  if (count === null || time === null || routingKeys === null) return null
  return { queue, reason, count, time, exchange, routingKeys, expiration: readName(fields.get('original-expiration')) }
}

function readName(field: FieldValue | undefined): string | null {
  return field?.tag === 'S' && encodedBytes(field.value) <= shortStringBytesMax ? field.value : null
}

/** Clients that pass headers on write whole numbers in whatever width they fit. */
function readCount(field: FieldValue | undefined): number | null {
  if (field === undefined || typeof field.value !== 'number') return null
  return Number.isSafeInteger(field.value) && field.value > 0 ? field.value : null
}

function readTime(field: FieldValue | undefined): number | bigint | null {
  return field?.tag === 'T' ? field.value : null
}

function readKeys(field: FieldValue | undefined): string[] | null {
  if (field?.tag !== 'A') return null
  const keys: string[] = []
  for (const item of field.value.slice(0, deathKeysMax)) {
    const key = readName(item)
    if (key === null) return null
    keys.push(key)
  }
  return keys
}
