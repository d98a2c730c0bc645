import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { encodeContentHeader, type SomeProperties } from '../../../src/amqp/content-header.ts'
import type { PlainValue } from '../../../src/amqp/field-table.ts'
import { Message } from '../../../src/broker/message.ts'
import type { BrokerSession } from '../../../src/broker/session.ts'
import {
  answer,
  BrokerHarness,
  bindArguments,
  exchangeArguments,
  newRoute,
  queueArguments,
  refusal,
  routed,
} from '../../support/broker-harness.ts'

type Table = { readonly [key: string]: PlainValue }

const keys = Array.from({ length: 10_000 }, (_, index) => `order.${index}`)

/** An exchange of this type with queues `q0`, `q1` … bound by these keys. */
async function withQueues(
  type: string,
  bindingKeys: readonly string[],
  table: Table = {},
): Promise<{ harness: BrokerHarness; session: BrokerSession; add: (name: string, key: string) => void }> {
  const harness = await BrokerHarness.open()
  const session = harness.session()
  const options = { isDurable: true, arguments: table }
  answer<boolean>((reply) => session.vhost.declareExchange(session, exchangeArguments('x', type, options), reply))
  const add = (name: string, key: string): void => {
    answer((reply) => session.vhost.declareQueue(session, queueArguments(name, { isDurable: true }), reply))
    answer<boolean>((reply) => session.vhost.bindQueue(session, bindArguments('x', name, key), reply))
  }
  for (const [index, key] of bindingKeys.entries()) add(`q${index}`, key)
  return { harness, session, add }
}

/** Which queue each key goes to; exactly one. */
function placesOf(session: BrokerSession): string[] {
  return keys.map((key) => {
    const [only, ...more] = routed(session, 'x', key)
    assert.ok(only !== undefined && more.length === 0)
    return only
  })
}

function countOf(places: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const place of places) counts[place] = (counts[place] ?? 0) + 1
  return counts
}

function isAbout(count: number | undefined, expected: number): void {
  assert.ok(count !== undefined && Math.abs(count - expected) < expected * 0.15, `${count}, not some ${expected}`)
}

function messageOf(properties: SomeProperties): Message {
  const writer = new ByteWriter(256)
  encodeContentHeader(writer, 0, properties)
  const payload = writer.copy()
  const message = new Message()
  const length = Buffer.alloc(4)
  length.writeUInt32BE(payload.length)
  message.buffer = Buffer.concat([length, payload])
  message.contentEnd = message.buffer.length
  return message
}

describe('a consistent-hash exchange', () => {
  it('gives each queue its weight’s share of the keys', async () => {
    const { session } = await withQueues('x-consistent-hash', ['1', '1', '3'])
    const counts = countOf(placesOf(session))
    isAbout(counts['q0'], 2_000)
    isAbout(counts['q1'], 2_000)
    isAbout(counts['q2'], 6_000)
  })

  it('moves to a new queue its share, and nothing between the others', async () => {
    const { session, add } = await withQueues('x-consistent-hash', ['1', '1', '1', '1'])
    const before = placesOf(session)
    add('new', '1')
    const after = placesOf(session)
    const moved = after.filter((place, index) => place !== before[index])
    isAbout(moved.length, 2_000)
    assert.deepEqual([...new Set(moved)], ['new'])
  })

  it('gives the share of a queue that goes to the others, and back to it when it comes again', async () => {
    const { harness, session, add } = await withQueues('x-consistent-hash', ['1', '1', '1', '1'])
    const before = placesOf(session)
    const queue = harness.topology.vhosts.get('/')?.queues.get('q1')
    assert.ok(queue !== undefined)
    harness.topology.remove(queue)
    const without = placesOf(session)
    assert.ok(before.every((place, index) => place === 'q1' || place === without[index]))
    add('q1', '1')
    assert.deepEqual(placesOf(session), before)
  })

  it('sends every key after a restart where it went before', async () => {
    const { harness, session } = await withQueues('x-consistent-hash', ['2', '5', '1'])
    const before = placesOf(session)
    const again = await BrokerHarness.open(harness.log.afterCrash())
    assert.deepEqual(placesOf(again.session()), before)
  })

  it('hashes a header, and sends all messages without it to one queue', async () => {
    const { session } = await withQueues('x-consistent-hash', ['1', '1', '1'], { 'hash-header': 'tenant' })
    const placeOf = (headers: Table, key: string): string => routed(session, 'x', key, headers).join()
    assert.equal(placeOf({ tenant: 'a' }, '1'), placeOf({ tenant: 'a' }, '2'))
    assert.equal(new Set(keys.map((tenant) => placeOf({ tenant }, 'same'))).size, 3)
    assert.equal(new Set(keys.map((key) => placeOf({}, key))).size, 1)
    const route = newRoute()
    session.vhost.resolve(session, 'x', 'k', messageOf({}), route)
    assert.equal(route.isCacheable, false)
  })

  const properties: [string, (index: number) => SomeProperties][] = [
    ['message_id', (index) => ({ messageId: `m${index}` })],
    ['correlation_id', (index) => ({ correlationId: `c${index}` })],
    ['timestamp', (index) => ({ timestamp: 1_700_000_000 + index })],
  ]
  for (const [property, of] of properties) {
    it(`hashes ${property}`, async () => {
      const { session } = await withQueues('x-consistent-hash', ['1', '1', '1'], { 'hash-property': property })
      const route = newRoute()
      const placeOf = (index: number, key: string): string | undefined => {
        session.vhost.resolve(session, 'x', key, messageOf(of(index)), route)
        assert.equal(route.count, 1)
        return route.queues[0]?.definition.name
      }
      assert.equal(new Set(Array.from({ length: 50 }, (_, index) => placeOf(index, 'same'))).size, 3)
      assert.equal(placeOf(7, 'a'), placeOf(7, 'b'))
    })
  }

  it('counts several bindings to one queue as the heaviest', async () => {
    const { session, add } = await withQueues('x-consistent-hash', ['1', '1'])
    add('q0', '3')
    const counts = countOf(placesOf(session))
    isAbout(counts['q0'], 7_500)
    isAbout(counts['q1'], 2_500)
  })

  const weights: [string, string][] = [
    ['0', 'The binding key must be greater than 0'],
    ['-1', 'The binding key must be greater than 0'],
    ['', 'The binding key must be an integer: <<"">>'],
    ['a.b', 'The binding key must be an integer: <<"a.b">>'],
    ['1.5', 'The binding key must be an integer: <<"1.5">>'],
    ['1e9', 'The binding key must be an integer: <<"1e9">>'],
    ['99999999999', 'The binding key must be an integer: <<"99999999999">>'],
  ]
  for (const [weight, text] of weights) {
    it(`has no binding of weight ${JSON.stringify(weight)}`, async () => {
      const { add } = await withQueues('x-consistent-hash', [])
      assert.throws(() => add('q', weight), refusal('precondition-failed', text))
    })
  }

  const tables: [Table, string][] = [
    [{ 'hash-header': 'h', 'hash-property': 'message_id' }, 'hash-header and hash-property are mutually exclusive'],
    [{ 'hash-property': 'user_id' }, 'Unsupported property: user_id'],
    [{ 'hash-header': 5 }, 'hash-header has to be a long string'],
  ]
  for (const [table, text] of tables) {
    it(`is refused with ${JSON.stringify(table)}`, async () => {
      await assert.rejects(withQueues('x-consistent-hash', [], table), refusal('precondition-failed', text))
    })
  }
})

describe('a modulus-hash exchange', () => {
  it('sends each key to one queue, each queue about as many, and after a restart the same', async () => {
    const { harness, session } = await withQueues('x-modulus-hash', ['', 'k', '', ''])
    const places = placesOf(session)
    for (const count of Object.values(countOf(places))) isAbout(count, 2_500)
    const again = await BrokerHarness.open(harness.log.afterCrash())
    assert.deepEqual(placesOf(again.session()), places)
  })

  it('with no bindings routes nowhere', async () => {
    const { session } = await withQueues('x-modulus-hash', [])
    assert.deepEqual(routed(session, 'x', 'k'), [])
  })
})

describe('a random exchange', () => {
  for (const type of ['x-random', 'x-local-random']) {
    it(`${type} sends each message to one queue, whichever`, async () => {
      const { session } = await withQueues(type, ['', '', '', ''])
      const counts = countOf(placesOf(session))
      assert.equal(Object.keys(counts).length, 4)
      for (const count of Object.values(counts)) isAbout(count, 2_500)
      const places = Array.from({ length: 100 }, () => routed(session, 'x', 'same').join())
      assert.ok(new Set(places).size > 1)
    })
  }

  it('with no bindings routes nowhere', async () => {
    const { session } = await withQueues('x-random', [])
    assert.deepEqual(routed(session, 'x', 'k'), [])
  })

  it('x-local-random takes no binding keys', async () => {
    const { add } = await withQueues('x-local-random', [])
    const text = "Non empty binding 'k' key not permitted"
    assert.throws(() => add('q', 'k'), refusal('precondition-failed', text))
  })
})

describe('an exchange for delayed messages', () => {
  it('routes like the type it names, after a restart too', async () => {
    const { harness, session } = await withQueues('x-delayed-message', ['a.*', 'b.#'], { 'x-delayed-type': 'topic' })
    assert.deepEqual(routed(session, 'x', 'a.1'), ['q0'])
    assert.deepEqual(routed(session, 'x', 'b.1.2'), ['q1'])
    const again = await BrokerHarness.open(harness.log.afterCrash())
    assert.deepEqual(routed(again.session(), 'x', 'a.1'), ['q0'])
    assert.deepEqual(routed(again.session(), 'x', 'a.1.2'), [])
    assert.equal(again.topology.vhosts.get('/')?.exchanges.get('x')?.type, 'x-delayed-message')
  })

  it('holds its bindings to the rules of that type, and its keys to topic rights', async () => {
    const { harness, add } = await withQueues('x-delayed-message', ['a.*'], { 'x-delayed-type': 'topic' })
    const text = "Topic binding key '#.#.#' uses 3 '#' wildcards, at most 2 are allowed"
    assert.throws(() => add('q', '#.#.#'), refusal('precondition-failed', text))
    await harness.broker.putTopicPermission('guest', '/', { exchange: 'x', write: '^b', read: '.*' })
    const refused = "write access to topic 'a.1' in exchange 'x' in vhost '/' refused for user 'guest'"
    assert.throws(() => routed(harness.session(), 'x', 'a.1'), refusal('access-refused', refused))
  })

  const wrong: [Table, 'precondition-failed' | 'command-invalid', string][] = [
    [{}, 'precondition-failed', "Invalid argument, 'x-delayed-type' must be an existing exchange type"],
    [
      { 'x-delayed-type': 1 },
      'precondition-failed',
      "Invalid argument, 'x-delayed-type' must be an existing exchange type",
    ],
    [{ 'x-delayed-type': 'post' }, 'command-invalid', "unknown exchange type 'post'"],
    [{ 'x-delayed-type': 'x-delayed-message' }, 'command-invalid', "unknown exchange type 'x-delayed-message'"],
    [{ 'x-delayed-type': 'x-consistent-hash', 'hash-property': 'x' }, 'precondition-failed', 'Unsupported property: x'],
  ]
  for (const [table, kind, text] of wrong) {
    it(`is refused with ${JSON.stringify(table)}`, async () => {
      await assert.rejects(withQueues('x-delayed-message', [], table), refusal(kind, text))
    })
  }
})
