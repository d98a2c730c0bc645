/**
 * Judges what clients saw of a broker that was killed again and again. A separate program in spirit: it reads the
 * histories that the clients wrote (JSON lines) and shares no code with the broker or with the clients.
 *
 * One publish is named by (publisher, seq, attempt); a retry counts as another one. One line is one event:
 *
 *   publish    publisher seq attempt sha256 queues persistent    written before it is sent; `queues` are those it must reach
 *   connected  publisher                                         publishes from here on are another channel's; written only
 *                                                                where nothing is promised about the order of channels
 *   confirmed  publisher seq attempt                             the broker acked it
 *   refused    publisher seq attempt                             the broker nacked it
 *   unknown    publisher seq attempt                             the connection broke before any answer
 *   session    session at                                        a consumer has connected; `at` is one clock for all processes, ms
 *   delivered  session queue publisher seq attempt sha256 redelivered tag at
 *   acked      session tag                                       the ack was sent
 *   requeued   session tag                                       it was given back
 *   synced     session sent acks                                 the first `acks` acks of the session are on disk, and whatever
 *                                                                comes later in it was sent by the broker after `sent`
 *
 * Deliveries of different sessions are compared only where their order is certain: a client may read late what was sent
 * early. So there is no false alarm, at the price of a blind spot as long as a round trip.
 */

export const rules = [
  'lost', // confirmed, persistent, and in the end neither acknowledged by anybody nor drained
  'phantom', // delivered, never published
  'altered', // delivered with another body than was published
  'misplaced', // delivered from a queue that it was not routed to
  'order', // first deliveries of one publisher's channel to one session out of the order of publishing
  'false-fresh', // redelivered=false after an earlier delivery
  'resurrected', // delivered after its ack was on disk
  'double-copy', // twice in a queue, though published once
  'both-answers', // acked and nacked, or answered twice
  'unasked', // an answer to something that was never published, or an ack of something never delivered
] as const
export type Rule = (typeof rules)[number]

export interface Fault {
  readonly rule: Rule
  readonly text: string
}

export interface CheckerOptions {
  /**
   * Queues may go to another owner under a session that lives on. Then what it acked, and nobody knows to be on disk, may
   * come to it again, marked as redelivered. Default: false.
   */
  readonly ownersMove?: boolean
  /**
   * Whether the histories of a publisher are among those that are read. What others have published, and nobody confirmed, may
   * still come: it is counted as a stranger and not judged. Default: all are.
   */
  readonly isOurs?: (publisher: string) => boolean
}

export interface Verdict {
  readonly faults: readonly Fault[]
  readonly published: number
  readonly confirmed: number
  /** Confirmed and persistent: what must not be lost. */
  readonly promised: number
  readonly delivered: number
  readonly redelivered: number
  /** Deliveries of what was published by others. */
  readonly strangers: number
}

interface Published {
  readonly name: string
  /** Publisher and the number of its connection. */
  readonly channel: string
  readonly order: number
  readonly sha256: string
  readonly queues: readonly string[]
  readonly persistent: boolean
  answer: 'none' | 'confirmed' | 'refused' | 'unknown'
}

interface Delivery {
  readonly session: Session
  readonly redelivered: boolean
  /** When it was read; it was sent earlier. */
  readonly at: number
  /** The broker sent it after this time. */
  readonly sentAfter: number
  acked: boolean
  requeued: boolean
}

/** What happened to one publish in one queue. */
interface Copy {
  readonly name: string
  readonly queue: string
  readonly deliveries: Delivery[]
  /** When its ack was known to be on disk. */
  ackSyncedAt: number
}

interface Session {
  readonly name: string
  sentAfter: number
  readonly byTag: Map<number, { copy: Copy; delivery: Delivery }>
  /** Tags of what was published by others. */
  readonly strangers: Set<number>
  /** What was acked, in order, until it is known to be synced. */
  readonly acks: Copy[]
  synced: number
  /** The last order number of a first delivery, per queue and publisher's channel. */
  readonly lastFirst: Map<string, number>
}

const stranger: Copy = { name: 'a stranger', queue: '', deliveries: [], ackSyncedAt: Number.POSITIVE_INFINITY }

type Fields = Readonly<Record<string, unknown>>

export class Checker {
  readonly #published = new Map<string, Published>()
  readonly #orders = new Map<string, number>()
  readonly #connections = new Map<string, number>()
  readonly #copies = new Map<string, Copy>()
  readonly #sessions = new Map<string, Session>()
  readonly #faults: Fault[] = []
  readonly #ownersMove: boolean
  readonly #isOurs: (publisher: string) => boolean
  #confirmed = 0
  #delivered = 0
  #redelivered = 0
  #strangers = 0

  readonly #takers: Readonly<Record<string, (fields: Fields) => void>> = {
    connected: (fields) => this.#connect(fields),
    publish: (fields) => this.#publish(fields),
    confirmed: (fields) => this.#answer(fields, 'confirmed'),
    refused: (fields) => this.#answer(fields, 'refused'),
    unknown: (fields) => this.#answer(fields, 'unknown'),
    session: (fields) => this.#session(fields),
    delivered: (fields) => this.#deliver(fields),
    acked: (fields) => this.#settle(fields, 'acked'),
    requeued: (fields) => this.#settle(fields, 'requeued'),
    synced: (fields) => this.#sync(fields),
  }

  constructor({ ownersMove = false, isOurs = () => true }: CheckerOptions = {}) {
    this.#ownersMove = ownersMove
    this.#isOurs = isOurs
  }

  /** Takes one line. All lines of the publishers come before those of the consumers; each history in its own order. */
  read(line: string): void {
    const fields: Fields = JSON.parse(line)
    const take = this.#takers[text(fields, 'event')]
    if (take === undefined) throw new Error(`no such event in a history: ${line}`)
    take(fields)
  }

  /** What is left to judge when every history has been read. */
  verdict(): Verdict {
    for (const copy of this.#copies.values()) this.#judgeCopy(copy)
    let promised = 0
    for (const published of this.#published.values()) {
      if (published.answer !== 'confirmed' || !published.persistent) continue
      promised += 1
      for (const queue of published.queues) this.#judgeLoss(published, queue)
    }
    return {
      faults: this.#faults,
      published: this.#published.size,
      confirmed: this.#confirmed,
      promised,
      delivered: this.#delivered,
      redelivered: this.#redelivered,
      strangers: this.#strangers,
    }
  }

  // ---------------------------------------------------------------- publishers

  #connect(fields: Fields): void {
    const publisher = text(fields, 'publisher')
    this.#connections.set(publisher, (this.#connections.get(publisher) ?? 0) + 1)
  }

  #publish(fields: Fields): void {
    const name = nameOf(fields)
    const publisher = text(fields, 'publisher')
    const order = (this.#orders.get(publisher) ?? 0) + 1
    this.#orders.set(publisher, order)
    if (this.#published.has(name)) throw new Error(`${name} was published twice; a retry needs another attempt`)
    this.#published.set(name, {
      name,
      channel: `${publisher} ${this.#connections.get(publisher) ?? 0}`,
      order,
      sha256: text(fields, 'sha256'),
      queues: fields['queues'] as string[],
      persistent: fields['persistent'] === true,
      answer: 'none',
    })
  }

  #answer(fields: Fields, answer: 'confirmed' | 'refused' | 'unknown'): void {
    const published = this.#published.get(nameOf(fields))
    if (published === undefined) {
      this.#fault('unasked', `${nameOf(fields)} was ${answer}, never published`)
    } else if (published.answer !== 'none') {
      this.#fault('both-answers', `${published.name} was ${published.answer}, then ${answer}`)
    } else {
      published.answer = answer
      if (answer === 'confirmed') this.#confirmed += 1
    }
  }

  // ---------------------------------------------------------------- consumers

  #session(fields: Fields): void {
    const name = text(fields, 'session')
    this.#sessions.set(name, {
      name,
      sentAfter: number(fields, 'at'),
      byTag: new Map(),
      strangers: new Set(),
      acks: [],
      synced: 0,
      lastFirst: new Map(),
    })
  }

  #deliver(fields: Fields): void {
    const name = nameOf(fields)
    const queue = text(fields, 'queue')
    const session = this.#sessionOf(fields)
    const where = `${name} from ${queue} to ${session.name}`
    if (!this.#isOurs(text(fields, 'publisher'))) {
      this.#strangers += 1
      session.strangers.add(number(fields, 'tag'))
      return
    }
    this.#delivered += 1
    const redelivered = fields['redelivered'] === true
    if (redelivered) this.#redelivered += 1
    const published = this.#published.get(name)
    if (published === undefined) {
      this.#fault('phantom', `${where}: never published`)
      return
    }
    if (published.sha256 !== text(fields, 'sha256')) this.#fault('altered', `${where}: another body`)
    if (!published.queues.includes(queue))
      this.#fault('misplaced', `${where}: routed to ${published.queues.join(', ')}`)
    const copy = this.#copyOf(name, queue)
    const delivery: Delivery = {
      session,
      redelivered,
      at: number(fields, 'at'),
      sentAfter: session.sentAfter,
      acked: false,
      requeued: false,
    }
    this.#judgeSameSession(copy, delivery, where)
    copy.deliveries.push(delivery)
    session.byTag.set(number(fields, 'tag'), { copy, delivery })
    if (!redelivered) this.#judgeOrder(session, queue, published, where)
  }

  #settle(fields: Fields, how: 'acked' | 'requeued'): void {
    const session = this.#sessionOf(fields)
    const tag = number(fields, 'tag')
    const held = session.byTag.get(tag)
    if (session.strangers.has(tag)) {
      // Counted among the acks of which the later ones are known to be synced.
      if (how === 'acked') session.acks.push(stranger)
      return
    }
    if (held === undefined) {
      this.#fault('unasked', `${session.name} ${how} tag ${tag}, which it did not get`)
      return
    }
    held.delivery[how] = true
    if (how === 'acked') session.acks.push(held.copy)
  }

  #sync(fields: Fields): void {
    const session = this.#sessionOf(fields)
    const sent = number(fields, 'sent')
    for (const acks = number(fields, 'acks'); session.synced < acks; session.synced += 1) {
      const copy = session.acks[session.synced]
      if (copy === undefined) throw new Error(`${session.name} calls more acks synced than it sent`)
      copy.ackSyncedAt = Math.min(copy.ackSyncedAt, number(fields, 'at'))
    }
    session.sentAfter = Math.max(session.sentAfter, sent)
  }

  // ---------------------------------------------------------------- judgement

  #judgeSameSession(copy: Copy, { session, redelivered }: Delivery, where: string): void {
    const earlier = copy.deliveries.findLast((one) => one.session === session)
    // An ack that is on disk is the business of another rule.
    if (this.#ownersMove && redelivered && earlier?.acked === true) return
    if (earlier !== undefined && !earlier.requeued)
      this.#fault('double-copy', `${where}: delivered twice, not requeued between`)
  }

  #judgeOrder(session: Session, queue: string, published: Published, where: string): void {
    const key = `${queue} ${published.channel}`
    const last = session.lastFirst.get(key) ?? 0
    if (published.order < last)
      this.#fault('order', `${where}: number ${published.order} of its publisher after ${last}`)
    session.lastFirst.set(key, Math.max(last, published.order))
  }

  #judgeCopy(copy: Copy): void {
    const where = `${copy.name} from ${copy.queue}`
    const fresh = copy.deliveries.filter((one) => !one.redelivered)
    if (fresh.length > 1) {
      const sessions = fresh.map((one) => one.session.name).join(' and ')
      this.#fault('false-fresh', `${where}: redelivered=false ${fresh.length} times, to ${sessions}`)
      if (fresh.filter((one) => one.acked).length > 1)
        this.#fault('double-copy', `${where}: acked as new by ${sessions}`)
    }
    const [first] = fresh
    const before = first && copy.deliveries.find((one) => one !== first && one.at < first.sentAfter)
    if (fresh.length === 1 && first !== undefined && before !== undefined) {
      this.#fault(
        'false-fresh',
        `${where}: redelivered=false to ${first.session.name} after ${before.session.name} had it`,
      )
    }
    this.#judgeWithin(copy, where)
  }

  #judgeWithin(copy: Copy, where: string): void {
    copy.deliveries.forEach((one, index) => {
      if (one.sentAfter > copy.ackSyncedAt) {
        const times = `its ack was on disk at ${copy.ackSyncedAt}, it was sent after ${one.sentAfter}`
        this.#fault('resurrected', `${where} to ${one.session.name}: ${times}`)
      }
      // Within one session the order is certain.
      const isAgain = copy.deliveries.findIndex((other) => other.session === one.session) < index
      if (isAgain && !one.redelivered && copy.deliveries.filter((other) => !other.redelivered).length === 1) {
        this.#fault('false-fresh', `${where}: redelivered=false the second time to ${one.session.name}`)
      }
    })
  }

  #judgeLoss(published: Published, queue: string): void {
    const copy = this.#copies.get(`${queue} ${published.name}`)
    if (copy?.deliveries.some((one) => one.acked) === true) return
    const seen = copy === undefined ? 'never delivered' : `delivered ${copy.deliveries.length} times, acked never`
    this.#fault('lost', `${published.name} in ${queue}: confirmed, then ${seen}`)
  }

  #fault(rule: Rule, text: string): void {
    this.#faults.push({ rule, text })
  }

  #copyOf(name: string, queue: string): Copy {
    const key = `${queue} ${name}`
    let copy = this.#copies.get(key)
    if (copy === undefined) {
      copy = { name, queue, deliveries: [], ackSyncedAt: Number.POSITIVE_INFINITY }
      this.#copies.set(key, copy)
    }
    return copy
  }

  #sessionOf(fields: Fields): Session {
    const session = this.#sessions.get(text(fields, 'session'))
    if (session === undefined) throw new Error(`no session '${text(fields, 'session')}' in this history`)
    return session
  }
}

/** Judges whole histories; those of publishers are given first. */
export function judge(
  publishers: Iterable<string>,
  consumers: Iterable<string>,
  options: CheckerOptions = {},
): Verdict {
  const checker = new Checker(options)
  for (const line of publishers) checker.read(line)
  for (const line of consumers) checker.read(line)
  return checker.verdict()
}

function nameOf(fields: Fields): string {
  return `${text(fields, 'publisher')}/${number(fields, 'seq')}/${number(fields, 'attempt')}`
}

function text(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw new Error(`a history line without '${name}': ${JSON.stringify(fields)}`)
  return value
}

function number(fields: Fields, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number') throw new Error(`a history line without '${name}': ${JSON.stringify(fields)}`)
  return value
}
