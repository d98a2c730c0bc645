import type { MessageProperty } from './load/message-property.ts'
import type { Held, Row } from './row.ts'

/** Time from a message's publishing to the first that falls due or expires: long enough to fill, kill and open again. */
const holdMs = 30_000
/** Over how long they then do. */
const spreadMs = 4_000

const plain: Held = {
  property: null,
  queueArguments: {},
  isFull: false,
  hasDeadLetters: false,
  turn: 'none',
  isInOrder: true,
}

const delay: MessageProperty = { kind: 'delay', low: holdMs, high: holdMs + spreadMs, isRandom: true }
const expiration: MessageProperty = { ...delay, kind: 'expiration' }
const priority: MessageProperty = { kind: 'priority', low: 0, high: 9, isRandom: true }
const id: MessageProperty = { kind: 'id', low: 0, high: 1e9, isRandom: false }

function groups(count: number): MessageProperty {
  return { kind: 'group', low: 0, high: count - 1, isRandom: false }
}

/** Backlogs of messages that ask for more than to wait, or in queues that do, and a plain one to compare them with. */
export function heldRows(base: Row): Row[] {
  const timeToLive = { 'x-message-ttl': holdMs }
  const deduplication = { 'x-message-deduplication': true, 'x-deduplication-size': 2e6 }
  const dead = { hasDeadLetters: true }
  const kinds: Readonly<Record<string, Partial<Held>>> = {
    plain: {},
    priority: { property: priority, queueArguments: { 'x-max-priority': 10 }, isInOrder: false },
    delay: { property: delay, turn: 'due', isInOrder: false },
    'groups-10k': { property: groups(1e4), isInOrder: false },
    'groups-1M': { property: groups(1e6), isInOrder: false },
    expiration: { property: expiration, turn: 'expired' },
    'expiration-dead': { property: expiration, turn: 'expired', ...dead },
    ttl: { queueArguments: timeToLive, turn: 'expired' },
    'ttl-dead': { queueArguments: timeToLive, turn: 'expired', ...dead },
    'max-length': { isFull: true, turn: 'again' },
    ids: { property: id, queueArguments: deduplication, turn: 'again' },
  }
  return Object.entries(kinds).map(([name, held]) => ({ ...base, name: `held-${name}`, held: { ...plain, ...held } }))
}
