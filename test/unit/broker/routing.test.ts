import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import * as fc from 'fast-check'
import {
  type FieldTable,
  type FieldValue,
  fieldTable,
  type PlainValue,
  tableOf,
} from '../../../src/amqp/field-table.ts'
import type { Message } from '../../../src/broker/message.ts'
import type { ConfirmSink } from '../../../src/broker/ports.ts'
import type { BrokerSession } from '../../../src/broker/session.ts'
import { HeadersCondition } from '../../../src/broker/topology/headers-matcher.ts'
import { type Router, routeStepsMax } from '../../../src/broker/topology/router.ts'
import { hashesIn } from '../../../src/broker/topology/topic-matcher.ts'
import {
  answer,
  BrokerHarness,
  bindArguments,
  exchangeArguments,
  inFrames,
  messageWith,
  newRoute,
  queueArguments,
  refusal,
  routed,
} from '../../support/broker-harness.ts'

type Table = { readonly [key: string]: PlainValue }

let harness: BrokerHarness
let session: BrokerSession

async function newVhost(): Promise<void> {
  harness = await BrokerHarness.open()
  session = harness.session()
}

function exchange(name: string, type: string, options: { isInternal?: boolean; alternate?: string } = {}): void {
  const { alternate, ...flags } = options
  const table: Table = alternate === undefined ? {} : { 'alternate-exchange': alternate }
  const args = exchangeArguments(name, type, { ...flags, arguments: table })
  answer<boolean>((reply) => session.vhost.declareExchange(session, args, reply))
}

function queue(name: string, isDurable = false): void {
  answer((reply) => session.vhost.declareQueue(session, queueArguments(name, { isDurable }), reply))
}

function bind(source: string, destination: string, key = '', table: Table = {}): void {
  answer<boolean>((reply) => session.vhost.bindQueue(session, bindArguments(source, destination, key, table), reply))
}

function unbind(source: string, destination: string, key = '', table: Table = {}): void {
  answer<boolean>((reply) => session.vhost.unbindQueue(session, bindArguments(source, destination, key, table), reply))
}

function bindExchange(source: string, destination: string, key = ''): void {
  answer<boolean>((reply) => session.vhost.bindExchange(session, bindArguments(source, destination, key), reply))
}

function goesTo(name: string, key = '', headers: Table = {}): string[] {
  return routed(session, name, key, headers)
}

describe('an exchange', () => {
  before(newVhost)

  it('of type direct goes by the exact key', () => {
    exchange('direct', 'direct')
    for (const name of ['d1', 'd2', 'd3']) queue(name)
    bind('direct', 'd1', 'red')
    bind('direct', 'd2', 'red')
    bind('direct', 'd3', 'blue')
    assert.deepEqual(goesTo('direct', 'red'), ['d1', 'd2'])
    assert.deepEqual(goesTo('direct', 'Red'), [])
    unbind('direct', 'd1', 'red')
    assert.deepEqual(goesTo('direct', 'red'), ['d2'])
  })

  it('of type fanout goes everywhere', () => {
    exchange('fanout', 'fanout')
    for (const name of ['f1', 'f2', 'f3']) queue(name)
    for (const name of ['f1', 'f2', 'f3']) bind('fanout', name, name)
    assert.deepEqual(goesTo('fanout', 'whatever'), ['f1', 'f2', 'f3'])
    unbind('fanout', 'f1', 'f1')
    assert.deepEqual(goesTo('fanout', 'f1'), ['f2', 'f3'])
  })

  it('gives a queue one copy however many bindings fit', () => {
    exchange('twice', 'topic')
    queue('t')
    for (const pattern of ['#', 'a.*', '*.b', 'a.b']) bind('twice', 't', pattern)
    assert.deepEqual(goesTo('twice', 'a.b'), ['t'])
  })

  it('that is internal takes no publish from clients, only from other exchanges', () => {
    exchange('inner', 'fanout', { isInternal: true })
    exchange('outer', 'fanout')
    queue('in')
    bind('inner', 'in')
    bindExchange('outer', 'inner')
    assert.deepEqual(goesTo('outer'), ['in'])
    const text = "cannot publish to internal exchange 'inner' in vhost '/'"
    assert.throws(() => goesTo('inner'), refusal('access-refused', text))
    assert.throws(() => goesTo('nowhere'), refusal('not-found', "no exchange 'nowhere' in vhost '/'"))
  })
})

describe('the topic exchange', () => {
  before(newVhost)

  it('knows words, one word and any words', () => {
    queue('q')
    const fits = (pattern: string, key: string): boolean => {
      bind('amq.topic', 'q', pattern)
      const isFitting = goesTo('amq.topic', key).length === 1
      unbind('amq.topic', 'q', pattern)
      return isFitting
    }
    const cases: [string, string, boolean][] = [
      ['a.b', 'a.b', true],
      ['a.b', 'a.b.c', false],
      ['a.*', 'a.b', true],
      ['a.*', 'a', false],
      ['a.*', 'a.b.c', false],
      ['a.#', 'a', true],
      ['a.#', 'a.b.c', true],
      ['#', '', true],
      ['#', 'a.b', true],
      ['*', '', false],
      ['', '', true],
      ['', 'a', false],
      ['*', 'a', true],
      ['*.*', '.', true],
      ['a..b', 'a..b', true],
      ['a.*.b', 'a..b', true],
      ['a.b', 'a..b', false],
      ['a.', 'a.', true],
      ['a', 'a.', false],
      ['#.b', 'b', true],
      ['#.b', 'a.b.b', true],
      ['#.b.#', 'a.b.c', true],
      ['#.b.#', 'a.c', false],
      ['#.#', '', true],
      ['*.#', 'a', true],
      ['*.#', '', false],
      ['a*', 'ab', false],
      ['*', '#', true],
      ['a', '*', false],
    ]
    for (const [pattern, key, expected] of cases) {
      assert.equal(fits(pattern, key), expected, `pattern '${pattern}', key '${key}'`)
    }
  })

  it('agrees with a naive matcher, whatever is bound and unbound', () => {
    const word = fc.constantFrom('a', 'b', 'c', '', '*', '#')
    const pattern = fc
      .array(word, { maxLength: 5 })
      .map((words) => words.join('.'))
      .filter((text) => hashesIn(text) <= 2)
    const key = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 6 }).map((words) => words.join('.'))
    for (let index = 0; index < 8; index++) queue(`m${index}`)
    const step = fc.record({ pattern, queue: fc.nat(7), isBind: fc.boolean() })
    const property = fc.property(fc.array(step, { maxLength: 30 }), fc.array(key, { maxLength: 8 }), (steps, keys) => {
      const bound = new Map<string, { pattern: string; queue: string }>()
      for (const one of steps) {
        const name = `m${one.queue}`
        if (one.isBind) bind('amq.topic', name, one.pattern)
        else unbind('amq.topic', name, one.pattern)
        if (one.isBind) bound.set(`${name} ${one.pattern}`, { pattern: one.pattern, queue: name })
        else bound.delete(`${name} ${one.pattern}`)
      }
      for (const text of keys) {
        const expected = new Set([...bound.values()].filter((b) => fitsNaively(b.pattern, text)).map((b) => b.queue))
        assert.deepEqual(goesTo('amq.topic', text), [...expected].sort(), `key '${text}'`)
      }
      for (const b of bound.values()) unbind('amq.topic', b.queue, b.pattern)
      assert.deepEqual(goesTo('amq.topic', 'a.b'), [], 'nothing is left behind')
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('does not go through the combinations of a hostile set of patterns', () => {
    queue('hostile')
    for (let index = 0; index < 50; index++) bind('amq.topic', 'hostile', `#.a.#.b${index}`)
    // Longer than any on the wire, so that words × words alone would be refused as too much work.
    const key = Array.from({ length: 2_000 }, () => 'a').join('.')
    assert.deepEqual(goesTo('amq.topic', key), [])
  })
})

/** By going through all ways: the definition of a match, word by word. */
function fitsNaively(pattern: string, key: string): boolean {
  const words = (text: string): string[] => (text === '' ? [] : text.split('.'))
  const fitsWords = (p: string[], k: string[]): boolean => {
    const [first, ...rest] = p
    if (first === undefined) return k.length === 0
    if (first === '#') return fitsWords(rest, k) || (k.length > 0 && fitsWords(p, k.slice(1)))
    return k.length > 0 && (first === '*' || first === k[0]) && fitsWords(rest, k.slice(1))
  }
  return fitsWords(words(pattern), words(key))
}

describe('the headers exchange', () => {
  before(newVhost)

  const fits = (binding: FieldTable | Table, headers: FieldTable | Table): boolean => {
    const table = (values: FieldTable | Table): FieldTable => (isTable(values) ? values : tableOf(values))
    return new HeadersCondition(table(binding)).fits(table(headers))
  }

  it('wants all by default, any on demand, and leaves x- headers out of both', () => {
    assert.equal(fits({ a: 1, b: 2 }, { a: 1, b: 2, c: 3 }), true)
    assert.equal(fits({ a: 1, b: 2 }, { a: 1 }), false)
    assert.equal(fits({ 'x-match': 'all', a: 1, 'x-own': 1 }, { a: 1 }), true)
    assert.equal(fits({ 'x-match': 'any', a: 1, b: 2 }, { b: 2 }), true)
    assert.equal(fits({ 'x-match': 'any', a: 1, b: 2 }, { b: 3 }), false)
    assert.equal(fits({ 'x-match': 'any', a: 1, 'x-own': 1 }, { 'x-own': 1 }), false)
  })

  it('looks at x- headers where it is asked to', () => {
    assert.equal(fits({ 'x-match': 'all-with-x', a: 1, 'x-own': 1 }, { a: 1 }), false)
    assert.equal(fits({ 'x-match': 'all-with-x', a: 1, 'x-own': 1 }, { a: 1, 'x-own': 1 }), true)
    assert.equal(fits({ 'x-match': 'any-with-x', a: 1, 'x-own': 1 }, { 'x-own': 1 }), true)
  })

  it('matches everything with no arguments and all, nothing with any', () => {
    assert.equal(fits({}, {}), true)
    assert.equal(fits({ 'x-match': 'all' }, { a: 1 }), true)
    assert.equal(fits({ 'x-match': 'any' }, { a: 1 }), false)
  })

  it('takes a void argument for “is there”', () => {
    assert.equal(fits({ a: null }, { a: 'anything' }), true)
    assert.equal(fits({ a: null }, { a: null }), true)
    assert.equal(fits({ a: null }, { b: 1 }), false)
    assert.equal(fits({ a: 1 }, { a: null }), false)
  })

  it('compares values as AMQP values', () => {
    const values: [FieldValue, FieldValue, boolean][] = [
      [{ tag: 'I', value: 5 }, { tag: 'l', value: 5 }, true],
      [{ tag: 'b', value: 5 }, { tag: 'u', value: 5 }, true],
      [{ tag: 'I', value: 5 }, { tag: 'd', value: 5 }, false],
      [{ tag: 'f', value: 0.5 }, { tag: 'd', value: 0.5 }, true],
      [{ tag: 'I', value: 5 }, { tag: 'S', value: '5' }, false],
      [{ tag: 'T', value: 5 }, { tag: 'l', value: 5 }, false],
      [{ tag: 'l', value: 2n ** 62n }, { tag: 'l', value: 2n ** 62n }, true],
      [{ tag: 't', value: true }, { tag: 't', value: true }, true],
      [{ tag: 't', value: true }, { tag: 't', value: false }, false],
      [{ tag: 'x', value: Buffer.from('ab') }, { tag: 'x', value: Buffer.from('ab') }, true],
      [{ tag: 'A', value: [{ tag: 'I', value: 1 }] }, { tag: 'A', value: [{ tag: 'I', value: 1 }] }, true],
      [{ tag: 'A', value: [{ tag: 'I', value: 1 }] }, { tag: 'A', value: [{ tag: 'I', value: 2 }] }, false],
      [{ tag: 'F', value: tableOf({ a: 1, b: 2 }) }, { tag: 'F', value: tableOf({ b: 2, a: 1 }) }, true],
      [{ tag: 'D', value: { scale: 1, value: 5 } }, { tag: 'D', value: { scale: 1, value: 5 } }, true],
    ]
    for (const [wanted, given, expected] of values) {
      const [binding, headers] = [wanted, given].map((value) => fieldTable(new Map([['h', value]])))
      assert.ok(binding && headers)
      assert.equal(fits(binding, headers), expected, `${wanted.tag} ${given.tag}`)
    }
  })

  it('reads the headers of both forms of a message, and is never cached', () => {
    for (const name of ['h1', 'h2']) queue(name)
    bind('amq.headers', 'h1', '', { kind: 'report' })
    bind('amq.headers', 'h2', '', { 'x-match': 'any', kind: 'report', size: 3 })
    assert.deepEqual(goesTo('amq.headers', '', { kind: 'report' }), ['h1', 'h2'])
    const route = newRoute()
    const message: Message = inFrames(messageWith({ size: 3 }))
    session.vhost.resolve(session, 'amq.headers', '', message, route)
    assert.deepEqual(route.queues[0]?.definition.name, 'h2')
    assert.equal(route.count, 1)
    assert.equal(route.isCacheable, false)
    unbind('amq.headers', 'h1', '', { kind: 'report' })
    assert.deepEqual(goesTo('amq.headers', '', { kind: 'report' }), ['h2'])
  })
})

function isTable(values: FieldTable | Table): values is FieldTable {
  return values['fields'] instanceof Map
}

describe('exchanges bound to one another', () => {
  before(newVhost)

  it('pass a message on, each once, cycles or not', () => {
    for (const name of ['a', 'b', 'c']) exchange(name, 'fanout')
    for (const name of ['qa', 'qb', 'qc']) queue(name)
    for (const name of ['a', 'b', 'c']) bind(name, `q${name}`)
    bindExchange('a', 'b')
    bindExchange('b', 'c')
    bindExchange('c', 'a')
    for (const name of ['a', 'b', 'c']) assert.deepEqual(goesTo(name), ['qa', 'qb', 'qc'])
  })

  it('keep the routing key on the way', () => {
    exchange('first', 'topic')
    exchange('second', 'direct')
    queue('end')
    bindExchange('first', 'second', 'log.#')
    bind('second', 'end', 'log.error')
    assert.deepEqual(goesTo('first', 'log.error'), ['end'])
    assert.deepEqual(goesTo('first', 'log.info'), [])
  })

  it('try the alternate of each that led nowhere', () => {
    exchange('fallback', 'fanout')
    exchange('main', 'direct', { alternate: 'fallback' })
    exchange('entry', 'fanout')
    queue('rest')
    queue('right')
    bind('fallback', 'rest')
    bind('main', 'right', 'k')
    bindExchange('entry', 'main')
    assert.deepEqual(goesTo('main', 'k'), ['right'])
    assert.deepEqual(goesTo('main', 'other'), ['rest'])
    assert.deepEqual(goesTo('entry', 'other'), ['rest'])
    exchange('astray', 'direct', { alternate: 'not there' })
    assert.deepEqual(goesTo('astray', 'k'), [])
    exchange('loop', 'direct', { alternate: 'loop' })
    assert.deepEqual(goesTo('loop', 'k'), [])
  })
})

describe('a route', () => {
  before(newVhost)

  it('says whether it may be kept and what it leads to', () => {
    queue('durable', true)
    queue('transient')
    const route = newRoute()
    session.vhost.resolve(session, '', 'transient', messageWith({}), route)
    assert.deepEqual([route.count, route.hasDurable, route.isCacheable], [1, false, true])
    session.vhost.resolve(session, '', 'durable', messageWith({}), route)
    assert.deepEqual([route.count, route.hasDurable], [1, true])
    assert.equal(route.version, session.vhost.routingVersion)
  })

  it('is void after any change that could lead elsewhere', () => {
    const changes: [string, () => void][] = [
      ['exchange', () => exchange('new', 'fanout')],
      ['queue', () => queue('new')],
      ['binding', () => bind('new', 'new')],
      ['unbinding', () => unbind('new', 'new')],
      ['deleted queue', () => answer<number>((r) => session.vhost.deleteQueue(session, 'new', noConditions, r))],
      ['deleted exchange', () => answer<void>((r) => session.vhost.deleteExchange(session, 'new', false, r))],
      ['right', () => void harness.broker.putPermission('guest', '/', { configure: '.*', write: '.*', read: '.*' })],
      ['shard opened again', () => harness.broker.shardsReopened()],
    ]
    for (const [name, change] of changes) {
      const version = session.vhost.routingVersion
      change()
      assert.notEqual(session.vhost.routingVersion, version, name)
    }
  })

  it('is refused when finding it is too much work, and leaves no half of it', () => {
    exchange('heavy', 'fanout')
    for (const name of ['heavy1', 'heavy2']) queue(name)
    for (const name of ['heavy1', 'heavy2']) bind('heavy', name)
    const heavy = harness.topology.vhosts.get('/')?.exchanges.get('heavy')
    assert.ok(heavy)
    const match = (router: Router): void => {
      for (const binding of heavy.outgoing.values()) router.reach(binding.destination)
      router.spend(routeStepsMax - 1)
    }
    Object.assign(heavy, { matcher: { readsHeaders: false, add: () => {}, remove: () => {}, match } })
    const route = newRoute()
    const text = 'routing this message takes more than 500000 steps'
    const resolve = (): void => session.vhost.resolve(session, 'heavy', '', messageWith({}), route)
    assert.throws(resolve, refusal('precondition-failed', text))
    assert.equal(route.count, 0)
  })

  it('is found fast among 100,000 bindings of one exchange, which come and go fast too', () => {
    exchange('wide', 'direct')
    queue('one')
    const start = performance.now()
    for (let index = 0; index < 100_000; index++) bind('wide', 'one', `key.${index}`)
    const bound = performance.now()
    for (let index = 0; index < 100_000; index++) goesTo('wide', `key.${index}`)
    const found = performance.now()
    answer<number>((reply) => session.vhost.deleteQueue(session, 'one', noConditions, reply))
    const deleted = performance.now()
    assert.deepEqual(goesTo('wide', 'key.1'), [])
    // Some 20 µs each would already mean that something grows with the number of bindings.
    assert.ok(bound - start < 20_000, `binding took ${bound - start} ms`)
    assert.ok(found - bound < 20_000, `finding took ${found - bound} ms`)
    assert.ok(deleted - found < 10_000, `deleting took ${deleted - found} ms`)
  })
})

const noConditions = { ifUnused: false, ifEmpty: false }

describe('publishing', () => {
  const results = (): ConfirmSink & { seen: string[] } => {
    const seen: string[] = []
    return { seen, confirm: (sequence) => seen.push(`+${sequence}`), refuse: (sequence) => seen.push(`-${sequence}`) }
  }

  const publish = (sink: ConfirmSink | null, message = messageWith({})): void => {
    const route = newRoute()
    session.vhost.resolve(session, 'amq.fanout', '', message, route)
    session.vhost.publish(route, message, sink, 5)
  }

  async function withShards(count: number): Promise<void> {
    await newVhost()
    harness.shards.place = (definition) => Number(definition.name.slice(1)) % count
    for (let index = 0; index < 4; index++) {
      queue(`q${index}`)
      bind('amq.fanout', `q${index}`)
    }
  }

  it('hands one shard the route and the channel’s own sink', async () => {
    await withShards(1)
    const sink = results()
    publish(sink)
    const [published] = harness.shards.shards[0]?.published ?? []
    assert.deepEqual(published?.queues.sort(), ['q0', 'q1', 'q2', 'q3'])
    assert.equal(published?.confirms, sink)
    assert.equal(published?.sequence, 5)
  })

  it('confirms when all shards have', async () => {
    await withShards(2)
    const sink = results()
    publish(sink)
    const [first, second] = harness.shards.shards.map((shard) => shard.published[0])
    assert.deepEqual(
      [first?.queues.sort(), second?.queues.sort()],
      [
        ['q0', 'q2'],
        ['q1', 'q3'],
      ],
    )
    second?.confirms?.confirm(5)
    assert.deepEqual(sink.seen, [])
    first?.confirms?.confirm(5)
    assert.deepEqual(sink.seen, ['+5'])
  })

  it('refuses as soon as one shard does, once', async () => {
    await withShards(3)
    const sink = results()
    publish(sink)
    const published = harness.shards.shards.map((shard) => shard.published[0])
    published[0]?.confirms?.confirm(5)
    published[1]?.confirms?.refuse(5)
    assert.deepEqual(sink.seen, ['-5'])
    published[2]?.confirms?.refuse(5)
    assert.deepEqual(sink.seen, ['-5'])
  })

  it('writes a large body into each shard and names there what was written there', async () => {
    await withShards(2)
    const route = newRoute()
    const message = messageWith({})
    session.vhost.resolve(session, 'amq.fanout', '', message, route)
    const body = session.vhost.openBody(route, true, 100)
    body.append(new Uint8Array(100), 0, 100)
    message.chunks = body
    session.vhost.publish(route, message, null, 0)
    for (const shard of harness.shards.shards) {
      assert.equal(shard.bodies[0]?.appended, 100)
      assert.equal(shard.published[0]?.body, shard.bodies[0])
    }
    assert.equal(message.chunks, body)
    session.vhost.openBody(route, true, 100).abandon()
    for (const shard of harness.shards.shards) assert.equal(shard.bodies[1]?.isAbandoned, true)
  })
})
