import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeProperties, type SomeProperties } from '../../../src/amqp/content-header.ts'
import { type FieldValue, fieldTable, tableOf } from '../../../src/amqp/field-table.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { delayMsMax, MessageTraits } from '../../../src/broker/message-traits.ts'
import { basicGet, confirmSelect, type MemoryClient, turns, txCommit, txSelect } from '../../support/memory-client.ts'
import { fakeHarness, type ServerHarness } from '../../support/server-harness.ts'

const now = new ManualClock().now()
/** One body for each way a message can take. */
const sizes = [1, 5_000, 100_000]

async function withQueue(): Promise<{ harness: ServerHarness; client: MemoryClient }> {
  const harness = fakeHarness()
  const client = await harness.channel()
  await client.declare(1, 'q')
  return { harness, client }
}

/** What the broker is told of a message with these properties, in whatever form it comes. */
async function traitsOf(properties: SomeProperties): Promise<MessageTraits | null> {
  const { harness, client } = await withQueue()
  for (const size of sizes) client.publish(1, { routingKey: 'q', properties }, Buffer.alloc(size))
  await turns()
  const [first, ...others] = harness.broker.vhost.queue('q').entries.map(({ message }) => message.traits)
  assert.equal(others.length, sizes.length - 1, 'all have come')
  for (const other of others) assert.deepEqual(other, first)
  return first ?? null
}

function traits(values: Partial<MessageTraits>): MessageTraits {
  return Object.assign(new MessageTraits(), values)
}

function header(name: string, value: FieldValue): SomeProperties {
  return {
    headers: fieldTable(
      new Map<string, FieldValue>([
        ['before', { tag: 't', value: true }],
        [name, value],
      ]),
    ),
  }
}

describe('traits of a message', () => {
  const none: [string, SomeProperties][] = [
    ['no properties', {}],
    ['properties that concern nobody', { contentType: 'x', messageId: 'm', correlationId: 'c', replyTo: 'elsewhere' }],
    ['ordinary headers', { headers: tableOf({ a: 1, b: 'two', 'x-other': [1, 2], cc: 'CC' }) }],
    ['a priority of 0', { priority: 0 }],
    ['the right user id', { userId: 'guest' }],
    ['no delay', header('x-delay', { tag: 'I', value: 0 })],
    ['a delay below 0, as the delayed-message plugin leaves it behind', header('x-delay', { tag: 'I', value: -5_000 })],
    ['a time that is past', header('x-deliver-at', { tag: 'l', value: now - 1 })],
    ['an id for deduplication', header('x-deduplication-header', { tag: 'S', value: 'x'.repeat(255) })],
    ['a number for deduplication', header('x-deduplication-header', { tag: 'l', value: 5 })],
  ]
  for (const [what, properties] of none) {
    it(`are none with ${what}`, async () => assert.equal(await traitsOf(properties), null))
  }

  const some: [string, SomeProperties, Partial<MessageTraits>][] = [
    ['a priority', { priority: 200 }, { priority: 200 }],
    ['an expiration', { expiration: '60000' }, { expirationMs: 60_000 }],
    ['an expiration of 0', { expiration: '0' }, { expirationMs: 0 }],
    ['an expiration of -0', { expiration: '-0' }, { expirationMs: 0 }],
    ['a delay', header('x-delay', { tag: 'I', value: 5_000 }), { dueAt: now + 5_000 }],
    ['a delay of 8 bits', header('x-delay', { tag: 'b', value: 100 }), { dueAt: now + 100 }],
    ['the longest delay', header('x-delay', { tag: 'l', value: delayMsMax }), { dueAt: now + delayMsMax }],
    ['a delay with a fraction', header('x-delay', { tag: 'd', value: 1_500.9 }), { dueAt: now + 1_500 }],
    ['a delay in digits', header('x-delay', { tag: 'S', value: '250' }), { dueAt: now + 250 }],
    ['a time in milliseconds', header('x-deliver-at', { tag: 'l', value: now + 7 }), { dueAt: now + 7 }],
    ['a timestamp', header('x-deliver-at', { tag: 'T', value: now / 1_000 + 60 }), { dueAt: now + 60_000 }],
    [
      'an ISO time',
      header('x-deliver-at', { tag: 'S', value: '2030-01-02T03:04:05.678Z' }),
      { dueAt: Date.UTC(2030, 0, 2, 3, 4, 5, 678) },
    ],
    [
      'an ISO time elsewhere',
      header('x-deliver-at', { tag: 'S', value: '2030-01-02T03:04+0230' }),
      { dueAt: Date.UTC(2030, 0, 2, 0, 34) },
    ],
    ['an ISO date', header('x-deliver-at', { tag: 'S', value: '2030-01-02' }), { dueAt: Date.UTC(2030, 0, 2) }],
    ['a group', header('x-group', { tag: 'S', value: 'é'.repeat(127) }), { group: 'é'.repeat(127) }],
    [
      'several at once',
      { expiration: '5', priority: 3, headers: tableOf({ 'x-delay': 10, 'x-group': 'g', other: 'x' }) },
      { expirationMs: 5, priority: 3, dueAt: now + 10, group: 'g' },
    ],
    [
      'a time and a delay, of which the time counts',
      { headers: tableOf({ 'x-delay': 10, 'x-deliver-at': now + 99 }) },
      { dueAt: now + 99 },
    ],
  ]
  for (const [what, properties, expected] of some) {
    it(`say ${what}`, async () => assert.deepEqual(await traitsOf(properties), traits(expected)))
  }

  const tooFar = String(delayMsMax + 1)
  const refused: [SomeProperties, string][] = [
    [header('x-delay', { tag: 'S', value: 'soon' }), "invalid header 'x-delay': 'soon'"],
    [header('x-delay', { tag: 'S', value: '' }), "invalid header 'x-delay': ''"],
    [header('x-delay', { tag: 't', value: true }), "invalid header 'x-delay': {unacceptable_type,bool}"],
    [header('x-delay', { tag: 'V', value: null }), "invalid header 'x-delay': {unacceptable_type,void}"],
    [
      header('x-delay', { tag: 'd', value: Number.POSITIVE_INFINITY }),
      "invalid header 'x-delay': {unacceptable_type,double}",
    ],
    [
      header('x-delay', { tag: 'l', value: delayMsMax + 1 }),
      `invalid header 'x-delay': {value_too_large,${tooFar}}, at most ${delayMsMax} ms from now are possible`,
    ],
    [
      header('x-deliver-at', { tag: 'l', value: now + delayMsMax + 1 }),
      `invalid header 'x-deliver-at': {value_too_large,${tooFar}}, at most ${delayMsMax} ms from now are possible`,
    ],
    [
      header('x-deliver-at', { tag: 'S', value: '2030-01-02T03:04:05' }),
      "invalid header 'x-deliver-at': '2030-01-02T03:04:05'",
    ],
    [header('x-deliver-at', { tag: 'S', value: '2030-13-02' }), "invalid header 'x-deliver-at': '2030-13-02'"],
    [header('x-deliver-at', { tag: 'S', value: String(now) }), `invalid header 'x-deliver-at': '${now}'`],
    [header('x-deliver-at', { tag: 'A', value: [] }), "invalid header 'x-deliver-at': {unacceptable_type,array}"],
    [header('x-group', { tag: 'S', value: '' }), "invalid header 'x-group': 0 bytes, 1 to 255 are possible"],
    [
      header('x-group', { tag: 'S', value: 'é'.repeat(128) }),
      "invalid header 'x-group': 256 bytes, 1 to 255 are possible",
    ],
    [header('x-group', { tag: 'S', value: '\udcff' }), "invalid header 'x-group': not UTF-8"],
    [header('x-group', { tag: 'I', value: 1 }), "invalid header 'x-group': {unacceptable_type,signedint}"],
    [
      header('x-deduplication-header', { tag: 'S', value: 'x'.repeat(256) }),
      "invalid header 'x-deduplication-header': 256 bytes, at most 255 are possible",
    ],
    [
      header('x-deduplication-header', { tag: 't', value: true }),
      "invalid header 'x-deduplication-header': {unacceptable_type,bool}",
    ],
  ]
  for (const [properties, text] of refused) {
    it(`are refused: ${text}`, async () => {
      for (const size of sizes) {
        const { client } = await withQueue()
        client.publish(1, { routingKey: 'q', properties }, Buffer.alloc(size))
        await client.closesChannel(406, `PRECONDITION_FAILED - ${text}`)
      }
    })
  }

  it('are those of each publish, also in a transaction', async () => {
    for (const isTransaction of [false, true]) {
      const { harness, client } = await withQueue()
      if (isTransaction) {
        client.methods(1, txSelect)
        await client.next('tx.select-ok')
      }
      const publishes: SomeProperties[] = [
        { priority: 1 },
        {},
        { expiration: '9' },
        header('x-group', { tag: 'S', value: 'g' }),
        { messageId: 'm' },
      ]
      for (const properties of publishes) client.publish(1, { routingKey: 'q', properties }, 'x')
      client.publish(1, { routingKey: 'q', properties: { priority: 2 } }, Buffer.alloc(100_000))
      if (isTransaction) {
        client.methods(1, txCommit)
        await client.next('tx.commit-ok')
      }
      await turns()
      const seen = harness.broker.vhost.queue('q').entries.map(({ message }) => message.traits)
      const expected = [{ priority: 1 }, null, { expirationMs: 9 }, { group: 'g' }, null, { priority: 2 }]
      assert.deepEqual(
        seen,
        expected.map((values) => (values === null ? null : traits(values))),
      )
    }
  })

  it('are read from input that was parked', async () => {
    const { harness, client } = await withQueue()
    harness.broker.holdsResults = true
    client.methods(1, basicGet('q', true))
    client.publish(1, { routingKey: 'q', properties: { priority: 4 } }, 'x')
    client.publish(1, { routingKey: 'q' }, 'x')
    await turns()
    assert.equal(harness.broker.vhost.queue('q').entries.length, 0)
    harness.broker.releaseResults()
    await turns()
    const seen = harness.broker.vhost.queue('q').entries.map(({ message }) => message.traits)
    assert.deepEqual(seen, [traits({ priority: 4 }), null])
  })
})

describe('the routes of a publisher', () => {
  it('are kept for messages with traits, and not mixed with those of CC', async () => {
    const { harness, client } = await withQueue()
    await client.declare(1, 'other')
    const { vhost } = harness.broker
    const before = vhost.resolves
    const forms: SomeProperties[] = [
      {},
      { priority: 1 },
      { headers: tableOf({ CC: ['other'] }) },
      { expiration: '1' },
      {},
    ]
    for (const properties of forms) client.publish(1, { routingKey: 'q', properties }, 'x')
    await turns()
    assert.equal(vhost.resolves - before, 2, 'once for the key, once for the message with CC')
    assert.deepEqual([vhost.queue('q').entries.length, vhost.queue('other').entries.length], [5, 1])
  })

  it('are checked before what a message says, and the user id after them', async () => {
    const wrong = { expiration: 'soon', userId: 'boss' }
    const missing = await fakeHarness().channel()
    missing.publish(1, { exchange: 'x', routingKey: 'k', properties: wrong }, 'a')
    await missing.closesChannel(404, "NOT_FOUND - no exchange 'x' in vhost '/'")
    const immediate = await fakeHarness().channel()
    immediate.publish(1, { exchange: 'x', routingKey: 'k', immediate: true, properties: wrong }, 'a')
    await immediate.closesConnection(540, 'NOT_IMPLEMENTED - immediate=true')
    const { client } = await withQueue()
    client.publish(1, { routingKey: 'q', properties: wrong }, 'a')
    await client.closesChannel(406, "PRECONDITION_FAILED - invalid expiration 'soon': no_integer")
  })
})

describe('CC and BCC', () => {
  it('come back with a returned message as they were', async () => {
    const { client } = await withQueue()
    const properties = { headers: tableOf({ CC: ['nobody'], BCC: ['nobody else'], a: 1 }), messageId: 'm' }
    for (const size of sizes) {
      client.publish(1, { routingKey: 'gone', mandatory: true, properties }, Buffer.alloc(size, 1))
      const { header: bytes, body } = await client.next('basic.return')
      assert.ok(bytes !== null && body?.length === size)
      const returned = decodeProperties(bytes, 0, bytes.length)
      assert.deepEqual(returned.headers?.bytes, properties.headers.bytes)
    }
  })

  it('leave their message’s other headers as they were, to the byte, and it is confirmed', async () => {
    const { client, harness } = await withQueue()
    await client.declare(1, 'blind')
    client.methods(1, confirmSelect)
    await client.next('confirm.select-ok')
    const others = { a: [1, 'two'], b: { c: null } }
    const headers = tableOf({ ...others, BCC: ['blind'], z: 'last' })
    for (const size of sizes)
      client.publish(1, { routingKey: 'q', properties: { headers, deliveryMode: 2 } }, Buffer.alloc(size, 7))
    assert.equal((await client.next('basic.ack')).method.deliveryTag, 3)
    for (const queue of ['q', 'blind']) {
      for (const size of sizes) {
        client.methods(1, basicGet(queue, true))
        const { header: bytes, body } = await client.next('basic.get-ok')
        assert.ok(bytes !== null && body !== null)
        assert.deepEqual(
          decodeProperties(bytes, 0, bytes.length).headers?.bytes,
          tableOf({ ...others, z: 'last' }).bytes,
        )
        assert.ok(Buffer.alloc(size, 7).equals(body))
      }
    }
    assert.ok(harness.broker.vhost.bodies.every(({ isAbandoned }) => !isAbandoned))
  })
})
