/** The checker catches each fault it is there for, and is silent about what a broker may do. Histories are made by hand. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judge, type Rule, rules } from './checker.ts'

type Line = Readonly<Record<string, unknown>>

/** Writes histories: each method adds a line. Times count up by themselves. */
class History {
  readonly publishers: Line[] = []
  readonly consumers: Line[] = []
  #now = 0

  get now(): number {
    this.#now += 1
    return this.#now
  }

  publish(seq: number, more: Line = {}): this {
    const line = { publisher: 'p', seq, attempt: 1, sha256: `body ${seq}`, queues: ['q'], persistent: true }
    this.publishers.push({ event: 'publish', ...line, ...more })
    return this
  }

  answer(event: 'confirmed' | 'refused' | 'unknown', seq: number, more: Line = {}): this {
    this.publishers.push({ event, publisher: 'p', seq, attempt: 1, ...more })
    return this
  }

  /** Publishes from here on are another channel's. */
  connected(): this {
    this.publishers.push({ event: 'connected', publisher: 'p' })
    return this
  }

  /** Published and confirmed. */
  done(seq: number, more: Line = {}): this {
    return this.publish(seq, more).answer('confirmed', seq)
  }

  session(session: string): this {
    this.consumers.push({ event: 'session', session, at: this.now })
    return this
  }

  deliver(session: string, seq: number, tag: number, more: Line = {}): this {
    const line = { publisher: 'p', seq, attempt: 1, sha256: `body ${seq}`, queue: 'q', redelivered: false }
    this.consumers.push({ event: 'delivered', session, tag, at: this.now, ...line, ...more })
    return this
  }

  settle(event: 'acked' | 'requeued', session: string, tag: number): this {
    this.consumers.push({ event, session, tag })
    return this
  }

  synced(session: string, acks: number): this {
    const sent = this.now
    this.consumers.push({ event: 'synced', session, acks, sent, at: this.now })
    return this
  }

  faults(): Rule[] {
    const text = (lines: readonly Line[]): string[] => lines.map((line) => JSON.stringify(line))
    return judge(text(this.publishers), text(this.consumers)).faults.map(({ rule }) => rule)
  }
}

const again = { redelivered: true }

void describe('the checker is silent about', () => {
  const good: Readonly<Record<string, () => History>> = {
    'messages delivered and acked in order': () =>
      new History()
        .done(1)
        .done(2)
        .session('a')
        .deliver('a', 1, 1)
        .deliver('a', 2, 2)
        .settle('acked', 'a', 1)
        .settle('acked', 'a', 2),
    'messages of one channel that overtake those of an earlier one': () =>
      new History()
        .connected()
        .done(1)
        .connected()
        .done(2)
        .session('a')
        .deliver('a', 2, 1)
        .deliver('a', 1, 2)
        .settle('acked', 'a', 1)
        .settle('acked', 'a', 2),
    'a redelivery after the end of a session': () =>
      new History()
        .done(1)
        .session('a')
        .deliver('a', 1, 1)
        .session('b')
        .deliver('b', 1, 1, again)
        .settle('acked', 'b', 1),
    'redelivered=true without an earlier delivery': () =>
      new History().done(1).session('a').deliver('a', 1, 1, again).settle('acked', 'a', 1),
    'an acked message that comes back, marked, when its ack may not have been synced': () =>
      new History()
        .done(1)
        .session('a')
        .deliver('a', 1, 1)
        .settle('acked', 'a', 1)
        .session('b')
        .deliver('b', 1, 1, again)
        .settle('acked', 'b', 1),
    'an unconfirmed message that never comes': () => new History().publish(1).answer('unknown', 1),
    'an unconfirmed message that comes once': () =>
      new History().publish(1).answer('unknown', 1).session('a').deliver('a', 1, 1).settle('acked', 'a', 1),
    'a refused message that never comes': () => new History().publish(1).answer('refused', 1),
    'a transient message that is gone': () => new History().done(1, { persistent: false }),
    'a retry of a message of unknown fate, delivered as well': () =>
      new History()
        .publish(1)
        .answer('unknown', 1)
        .publish(1, { attempt: 2 })
        .answer('confirmed', 1, { attempt: 2 })
        .session('a')
        .deliver('a', 1, 1)
        .deliver('a', 1, 2, { attempt: 2 })
        .settle('acked', 'a', 1)
        .settle('acked', 'a', 2),
    'one message in each of two queues': () =>
      new History()
        .done(1, { queues: ['q', 'r'] })
        .session('a')
        .deliver('a', 1, 1)
        .deliver('a', 1, 2, { queue: 'r' })
        .settle('acked', 'a', 1)
        .settle('acked', 'a', 2),
    'a requeue that comes back to the same session, out of order': () =>
      new History()
        .done(1)
        .done(2)
        .session('a')
        .deliver('a', 1, 1)
        .deliver('a', 2, 2)
        .settle('requeued', 'a', 1)
        .deliver('a', 1, 3, again)
        .settle('acked', 'a', 2)
        .settle('acked', 'a', 3),
    'a delivery that a slow client reads after another session had it and acked it': () => {
      const history = new History().done(1).session('a').session('b')
      history.deliver('b', 1, 1, again).settle('acked', 'b', 1).synced('b', 1)
      return history.deliver('a', 1, 1)
    },
  }
  for (const [what, history] of Object.entries(good)) void test(what, () => assert.deepEqual(history().faults(), []))
})

/** Each rule, caught by the smallest history that breaks it. */
const planted: Readonly<Record<Rule, Readonly<Record<string, () => History>>>> = {
  lost: {
    'a confirmed message that is never delivered': () => new History().done(1),
    'a confirmed message that was delivered, not acked, and then gone': () =>
      new History().done(1).session('a').deliver('a', 1, 1),
    'a confirmed message that reached one of its two queues': () =>
      new History()
        .done(1, { queues: ['q', 'r'] })
        .session('a')
        .deliver('a', 1, 1)
        .settle('acked', 'a', 1),
    'a confirmed retry, though the first attempt came': () =>
      new History()
        .publish(1)
        .answer('unknown', 1)
        .publish(1, { attempt: 2 })
        .answer('confirmed', 1, { attempt: 2 })
        .session('a')
        .deliver('a', 1, 1)
        .settle('acked', 'a', 1),
  },
  phantom: {
    'a message nobody published': () => new History().session('a').deliver('a', 9, 1),
    'an attempt nobody made': () => new History().publish(1).session('a').deliver('a', 1, 1, { attempt: 2 }),
  },
  altered: {
    'another body': () =>
      new History().done(1).session('a').deliver('a', 1, 1, { sha256: 'other' }).settle('acked', 'a', 1),
  },
  misplaced: {
    'a queue it was not routed to': () =>
      new History()
        .done(1)
        .session('a')
        .deliver('a', 1, 1)
        .settle('acked', 'a', 1)
        .deliver('a', 1, 2, { queue: 'elsewhere' }),
  },
  order: {
    'a first delivery of an older message after a newer one': () =>
      new History()
        .done(1)
        .done(2)
        .session('a')
        .deliver('a', 2, 1)
        .deliver('a', 1, 2)
        .settle('acked', 'a', 1)
        .settle('acked', 'a', 2),
  },
  'false-fresh': {
    'redelivered=false in two sessions': () =>
      new History().done(1).session('a').deliver('a', 1, 1).session('b').deliver('b', 1, 1).settle('acked', 'b', 1),
    'redelivered=false after a requeue by the same session': () =>
      new History()
        .done(1)
        .session('a')
        .deliver('a', 1, 1, again)
        .settle('requeued', 'a', 1)
        .deliver('a', 1, 2)
        .settle('acked', 'a', 2),
    'redelivered=false in a session that began after another had it': () =>
      new History()
        .done(1)
        .session('a')
        .deliver('a', 1, 1, again)
        .session('b')
        .deliver('b', 1, 1)
        .settle('acked', 'b', 1),
  },
  resurrected: {
    'a message whose ack was on disk, in a later session': () =>
      new History()
        .done(1)
        .session('a')
        .deliver('a', 1, 1)
        .settle('acked', 'a', 1)
        .synced('a', 1)
        .session('b')
        .deliver('b', 1, 1, again),
    'a message whose ack was on disk, in a session that was there all the time': () =>
      new History()
        .done(1)
        .session('b')
        .session('a')
        .deliver('a', 1, 1)
        .settle('acked', 'a', 1)
        .synced('a', 1)
        .synced('b', 0)
        .deliver('b', 1, 1, again),
  },
  'double-copy': {
    'the same message twice in one session, nothing given back': () =>
      new History()
        .publish(1)
        .answer('unknown', 1)
        .session('a')
        .deliver('a', 1, 1, again)
        .deliver('a', 1, 2, again)
        .settle('acked', 'a', 1)
        .settle('acked', 'a', 2),
    'the same message as new to two sessions, both acked': () =>
      new History()
        .done(1)
        .session('a')
        .deliver('a', 1, 1)
        .settle('acked', 'a', 1)
        .session('b')
        .deliver('b', 1, 1)
        .settle('acked', 'b', 1),
  },
  'both-answers': {
    'a confirm, then a nack': () =>
      new History().done(1).answer('refused', 1).session('a').deliver('a', 1, 1).settle('acked', 'a', 1),
    'a nack, then a confirm': () => new History().publish(1).answer('refused', 1).answer('confirmed', 1),
  },
  unasked: {
    'a confirm of nothing': () => new History().answer('confirmed', 7),
    'an ack of a tag that was not delivered': () => new History().session('a').settle('acked', 'a', 3),
  },
}

void describe('the checker catches', () => {
  for (const rule of rules) {
    for (const [what, history] of Object.entries(planted[rule])) {
      void test(`${rule}: ${what}`, () => {
        const faults = history().faults()
        assert.ok(faults.includes(rule), `it found ${faults.join(', ') || 'nothing'}`)
      })
    }
  }

  void test('and names the message, the queue and the session', () => {
    const lines = new History().done(1).session('a').deliver('a', 1, 1)
    const verdict = judge(
      lines.publishers.map((line) => JSON.stringify(line)),
      lines.consumers.map((line) => JSON.stringify(line)),
    )
    assert.deepEqual(verdict.faults, [
      { rule: 'lost', text: 'p/1/1 in q: confirmed, then delivered 1 times, acked never' },
    ])
    assert.deepEqual([verdict.published, verdict.confirmed, verdict.promised, verdict.delivered], [1, 1, 1, 1])
  })
})

void test('an owner of a cluster that goes may let what a session acked come to it again, marked and not on disk', () => {
  const judged = (more: Line, options = { ownersMove: true }, settled = true): string[] => {
    const history = new History().done(1).session('a').deliver('a', 1, 1)
    if (settled) history.settle('acked', 'a', 1)
    history.deliver('a', 1, 2, more).settle('acked', 'a', 2)
    const [publishers = [], consumers = []] = [history.publishers, history.consumers].map((lines) =>
      lines.map((line) => JSON.stringify(line)),
    )
    return judge(publishers, consumers, options).faults.map(({ rule }) => rule)
  }
  assert.deepEqual(judged(again), [])
  assert.ok(judged({}).includes('double-copy'), 'not unmarked')
  assert.ok(judged(again, { ownersMove: true }, false).includes('double-copy'), 'nor what it holds')
  assert.ok(judged(again, { ownersMove: false }).includes('double-copy'), 'nor where there is one owner')
})

void test('a history that makes no sense is an error, not a verdict', () => {
  assert.throws(() => judge(['{"event":"what"}'], []), /no such event/)
  assert.throws(
    () => judge([], ['{"event":"delivered","session":"x","publisher":"p","seq":1,"attempt":1,"queue":"q"}']),
    /no session 'x'/,
  )
  assert.throws(() => judge(['{"event":"publish","publisher":"p","seq":1,"attempt":1}'], []), /without 'sha256'/)
})

void test('what was published by others is counted, and judged by nobody', () => {
  const lines = (all: readonly Line[]): string[] => all.map((line) => JSON.stringify(line))
  const history = new History()
    .done(1)
    .session('c.1')
    .deliver('c.1', 7, 1, { publisher: 'before' })
    .settle('acked', 'c.1', 1)
    .deliver('c.1', 1, 2)
    .settle('acked', 'c.1', 2)
    .synced('c.1', 2)
    .session('c.2')
    .deliver('c.2', 7, 1, { publisher: 'before', ...again })
    .settle('requeued', 'c.2', 1)
  const { faults, delivered, strangers } = judge(lines(history.publishers), lines(history.consumers), {
    isOurs: (publisher) => publisher === 'p',
  })
  assert.deepEqual(faults, [])
  assert.deepEqual({ delivered, strangers }, { delivered: 1, strangers: 2 })
  assert.deepEqual(new History().session('c.1').deliver('c.1', 7, 1, { publisher: 'before' }).faults(), ['phantom'])
})
