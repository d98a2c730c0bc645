/**
 * Dead letters that are sent back and brought back again are what they were: any properties and headers, to the byte of
 * their values; no copy more, no message less. The broker's own view of its queues is compared, not what JSON has of it.
 */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeProperties, type Properties, type SomeProperties } from '../../src/amqp/content-header.ts'
import { changeFields, emptyTable, type FieldValue } from '../../src/amqp/field-table.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { routeOfBytes } from '../../src/broker/dead-letter/message-copy.ts'
import type { BrowsedMessage } from '../../src/broker/ports.ts'
import { RawClient } from '../support/amqp/raw-client.ts'
import { method } from '../support/amqp/wire.ts'
import { fieldTables, headerBytes, names } from '../support/amqp-arbitraries.ts'
import { eventually } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'

interface Sent {
  readonly routingKey: string
  readonly properties: SomeProperties
  readonly body: Uint8Array
}

/** What a queue holds of one message. */
interface Held {
  readonly exchange: string
  readonly routingKey: string
  readonly properties: Properties
  readonly blindKeys: readonly string[]
  readonly body: Buffer
}

const runs = 25

const text = fc.string({ minLength: 1, maxLength: 20 })
const keys: fc.Arbitrary<FieldValue> = fc
  .array(fc.constantFrom('copied', 'nowhere', 'ключ'), { maxLength: 3 })
  .map((all) => ({ tag: 'A', value: all.map((value) => ({ tag: 'S', value })) }))

/** Names whose values concern the broker are given values that it takes. */
const ownHeaders = fc.record(
  {
    CC: keys,
    BCC: keys,
    'x-group': fc.constant<FieldValue>({ tag: 'S', value: 'one' }),
    'x-delay': fc.constant<FieldValue>({ tag: 'I', value: 1 }),
    'x-deduplication-header': text.map((value): FieldValue => ({ tag: 'S', value })),
    'x-retries': fc.integer().map((value): FieldValue => ({ tag: 'I', value })),
    traceparent: fc.constant<FieldValue>({ tag: 'S', value: `00-${'a1'.repeat(16)}-${'b2'.repeat(8)}-01` }),
  },
  { requiredKeys: [], noNullPrototype: true },
)

const properties: fc.Arbitrary<SomeProperties> = fc
  .record(
    {
      contentType: names,
      contentEncoding: names,
      headers: fc.tuple(fieldTables, ownHeaders).map(([free, own]) => {
        const known = /^(CC|BCC|x-.*|traceparent)$/
        const taken = [...free.fields.keys()].filter((name) => known.test(name))
        const without = changeFields(free, new Map(taken.map((name) => [name, null])))
        return changeFields(without, new Map(Object.entries(own)))
      }),
      deliveryMode: fc.constantFrom(1, 2),
      priority: fc.integer({ min: 0, max: 255 }),
      correlationId: names,
      replyTo: text,
      expiration: fc.integer({ min: 1_000_000, max: 9_000_000 }).map(String),
      timestamp: fc.oneof(fc.nat(), fc.bigInt({ min: 2n ** 60n, max: 2n ** 64n - 1n })),
      type: names,
      userId: fc.constant('anna'),
      appId: names,
      clusterId: names,
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .filter(({ replyTo }) => replyTo?.startsWith('amq.') !== true)

const messages: fc.Arbitrary<readonly Sent[]> = fc.array(
  fc.record({ routingKey: text, properties, body: fc.uint8Array({ maxLength: 40 }) }, { noNullPrototype: true }),
  { minLength: 1, maxLength: 6 },
)

let node: NodeInProcess
let broker: Broker
let client: RawClient

before(async () => {
  node = await NodeInProcess.start(
    {},
    {
      opened: async (opened) => {
        broker = opened
        await opened.putUser('anna', 'secret', ['administrator'])
        await opened.putUser('olga', 'secret', ['administrator'])
        for (const user of ['anna', 'olga']) {
          await opened.putPermission(user, '/', { configure: '.*', write: '.*', read: '.*' })
        }
      },
    },
  )
  client = await RawClient.withChannel({
    ...{ host: '127.0.0.1', port: node.port('amqp') },
    ...{ user: 'anna', password: 'secret' },
  })
  await client.call(1, 'exchange.declare', { exchange: 'in', type: 'topic' })
  await client.call(1, 'exchange.declare', { exchange: 'dying', type: 'fanout' })
  await client.call(1, 'exchange.declare', { exchange: 'again', type: 'direct' })
  await declare('work', { 'x-dead-letter-exchange': 'dying', 'x-max-priority': 5 })
  // Its letters go by the keys that a message has left: routing key, CC and BCC.
  await declare('dead', { 'x-dead-letter-exchange': 'again' })
  await declare('copied')
  await client.call(1, 'queue.bind', { queue: 'work', exchange: 'in', routingKey: '#' })
  await client.call(1, 'queue.bind', { queue: 'dead', exchange: 'dying' })
  await client.call(1, 'confirm.select')
})
after(async () => {
  await client.close()
  await node.stop()
})

beforeEach(async () => {
  for (const queue of ['work', 'dead', 'copied']) await client.call(1, 'queue.purge', { queue })
})

async function declare(queue: string, args = {}): Promise<void> {
  await client.call(1, 'queue.declare', { queue, durable: true, arguments: args })
}

async function publish(exchange: string, { routingKey, properties: sent, body }: Sent): Promise<void> {
  client.sendBytes(method(1, 'basic.publish', { exchange, routingKey }))
  client.sendFrame(2, 1, Buffer.from(headerBytes(sent, body.length)))
  if (body.length > 0) client.sendFrame(3, 1, Buffer.from(body))
  await client.expect(1, 'basic.ack')
}

async function reject(queue: string, count: number): Promise<void> {
  for (let left = count; left > 0; left--) {
    let message = await client.get(1, queue, { noAck: false })
    // It may be delayed for a moment.
    while (message === null) message = await client.get(1, queue, { noAck: false })
    client.send(1, 'basic.reject', { deliveryTag: message.args['deliveryTag'] ?? 0, requeue: false })
  }
}

async function held(queue: string): Promise<Held[]> {
  const session = broker.openSession({ username: 'anna', tags: ['administrator'] }, '/')
  try {
    const found = session.vhost.readableQueue(session, queue)
    const page = { after: 0, limit: 1_000, bodyBytesMax: 1_000 }
    const all = await new Promise<readonly BrowsedMessage[]>((done, failed) => {
      found.shard.browse(found, page, { done, failed })
    })
    return all.map(heldOf)
  } finally {
    broker.closeSession(session, () => {})
  }
}

function heldOf({ content, routeBytes, headerBytes: length, blindKeys }: BrowsedMessage): Held {
  return {
    ...routeOfBytes(content, 0),
    properties: decodeProperties(content, routeBytes, routeBytes + length),
    blindKeys,
    body: Buffer.from(content.subarray(routeBytes + length)),
  }
}

async function untilThere(queue: string, count: number): Promise<Held[]> {
  await eventually(`${count} in ${queue}`, async () => (await held(queue)).length === count)
  return await held(queue)
}

/** In an order that says nothing: several move at one time. */
function sorted(all: readonly Held[]): Held[] {
  return all
    .map((one) => ({ one, key: one.properties.messageId ?? '' }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ one }) => one)
}

/** Without the mark of the run that it bears afterwards. */
function unmarked({ properties: { headers, ...rest }, ...facts }: Held): Held {
  const kept = changeFields(headers ?? emptyTable, new Map([['x-redrive', null]]))
  return { ...facts, properties: { ...rest, headers: kept } }
}

interface Run {
  readonly state: string
  readonly moved: number
  readonly skipped: number
  readonly undo: { readonly state: string; readonly undone: number } | null
}

async function run(path: '/redrive' | '/redrive/undo', queue = 'dead'): Promise<Run> {
  const [status, answer] = await node.ask('POST', `/queues/%2F/${queue}${path}`, { rate: 10_000 }, 'olga')
  assert.equal(status, 202, JSON.stringify(answer))
  for (;;) {
    const now = (await node.request('GET', `/queues/%2F/${queue}/redrive`)) as Run
    if (now.state !== 'running' && now.undo?.state !== 'running') return now
  }
}

describe('dead letters that are sent back and brought back', () => {
  it('are what they were, whatever they hold', async () => {
    await fc.assert(
      fc.asyncProperty(messages, async (all) => {
        for (const queue of ['work', 'dead', 'copied']) await client.call(1, 'queue.purge', { queue })
        for (const [index, message] of all.entries()) {
          await publish('in', { ...message, properties: { ...message.properties, messageId: `m${index}` } })
        }
        await reject('work', all.length)
        const before = sorted(await untilThere('dead', all.length))
        const copies = (await held('copied')).length
        assert.deepEqual([(await run('/redrive')).moved, (await held('dead')).length], [all.length, 0])
        const away = sorted(await held('work'))
        assert.deepEqual(away.map(contentOf), before.map(contentOf))
        assert.equal((await held('copied')).length, copies, 'CC and BCC route nothing a second time')
        const { undo } = await run('/redrive/undo')
        assert.deepEqual([undo?.state, undo?.undone], ['done', all.length])
        assert.deepEqual(sorted(await held('dead')).map(unmarked), before.map(unmarked))
        assert.deepEqual([(await held('work')).length, (await held('copied')).length], [0, copies])
      }),
      { numRuns: runs, endOnFailure: true },
    )
  })

  /** All but route and marks. */
  function contentOf(one: Held): unknown {
    const { properties: rest, body, blindKeys } = unmarked(one)
    const headers = changeFields(rest.headers ?? emptyTable, new Map([['x-redrive-origin', null]]))
    return { rest: { ...rest, headers }, body, blindKeys }
  }

  it('go by their keys of BCC when they die once more, as if nothing had been', async () => {
    const blind: FieldValue = { tag: 'A', value: [{ tag: 'S', value: 'blind' }] }
    await declare('blinded')
    await client.call(1, 'queue.bind', { queue: 'blinded', exchange: 'again', routingKey: 'blind' })
    const headers = changeFields(emptyTable, new Map([['BCC', blind]]))
    await publish('in', { routingKey: 'k', properties: { headers }, body: Buffer.from('x') })
    await reject('work', 1)
    await untilThere('dead', 1)
    await run('/redrive')
    await run('/redrive/undo')
    await reject('dead', 1)
    const [letter] = await untilThere('blinded', 1)
    assert.equal(letter?.properties.headers?.fields.has('BCC'), false, 'nobody is told')
  })

  it('come back as they were edited in between', async () => {
    const cc: FieldValue = { tag: 'A', value: [{ tag: 'S', value: 'copied' }] }
    const headers = changeFields(emptyTable, new Map([['CC', cc]]))
    await publish('in', {
      routingKey: 'k',
      properties: { headers, messageId: 'm', userId: 'anna' },
      body: Buffer.from('x'),
    })
    await reject('work', 1)
    await untilThere('dead', 1)
    const list = async (): Promise<{ sequence: number; properties: object; routing_key: string; exchange: string }[]> =>
      (await node.request('GET', '/queues/%2F/dead/messages')) as never
    const [shown] = await list()
    assert.ok(shown)
    const changed = {
      ...shown.properties,
      priority: 4,
      timestamp: 1_700_000_000,
      expiration: '5000000',
      user_id: 'olga',
    }
    const edit = { properties: changed, payload: 'mended', payload_encoding: 'string' }
    const [status, answer] = await node.ask('PUT', `/queues/%2F/dead/messages/${shown.sequence}`, edit, 'olga')
    assert.equal(status, 204, JSON.stringify(answer))
    const before = await untilThere('dead', 1)
    const [edited] = before
    assert.deepEqual([edited?.exchange, edited?.routingKey, edited?.body.toString()], ['dying', 'k', 'mended'])
    const { priority, timestamp, expiration, userId } = edited?.properties ?? {}
    assert.deepEqual([priority, timestamp, expiration, userId], [4, 1_700_000_000, '5000000', 'olga'])
    assert.ok(edited?.properties.headers?.fields.has('CC') && edited.properties.headers.fields.has('x-death'))
    assert.equal((await held('copied')).length, 0, 'what is edited is in its queue alone')
    await run('/redrive')
    assert.equal((await held('work'))[0]?.body.toString(), 'mended')
    await run('/redrive/undo')
    assert.deepEqual((await held('dead')).map(unmarked), before.map(unmarked))
    const forged = { properties: { ...changed, user_id: 'anna' } }
    const [now] = await list()
    assert.equal((await node.ask('PUT', `/queues/%2F/dead/messages/${now?.sequence}`, forged, 'olga'))[0], 400)
    assert.equal((await held('dead')).length, 1)
  })
})

describe('a queue to which dead letters go back', () => {
  it('does not take them for duplicates of themselves', async () => {
    const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
    await declare('once', { ...dead, 'x-message-deduplication': true, 'x-deduplication-window': 600_000 })
    const id: FieldValue = { tag: 'S', value: 'only once' }
    const headers = changeFields(emptyTable, new Map([['x-deduplication-header', id]]))
    const message = { routingKey: 'once', properties: { headers }, body: Buffer.from('x') }
    await publish('', message)
    await publish('', message)
    assert.equal((await held('once')).length, 1, 'the window is there')
    await reject('once', 1)
    await untilThere('dead', 1)
    await run('/redrive')
    assert.deepEqual([(await held('once')).length, (await held('dead')).length], [1, 0])
    await run('/redrive/undo')
    assert.deepEqual([(await held('once')).length, (await held('dead')).length], [0, 1])
  })

  it('takes an edited message in its own place, too', async () => {
    await declare('edited', { 'x-message-deduplication': true, 'x-deduplication-window': 600_000 })
    await publish('', { routingKey: 'edited', properties: { messageId: 'same' }, body: Buffer.from('x') })
    const [{ sequence }] = (await node.request('GET', '/queues/%2F/edited/messages')) as [{ sequence: number }]
    await node.request('PUT', `/queues/%2F/edited/messages/${sequence}`, { payload: 'y', payload_encoding: 'string' })
    assert.deepEqual(
      (await held('edited')).map(({ body }) => body.toString()),
      ['y'],
    )
  })

  it('that is full leaves them where they are, once', async () => {
    const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
    await declare('full', { ...dead, 'x-max-length': 1, 'x-overflow': 'reject-publish-dlx' })
    await publish('', { routingKey: 'full', properties: {}, body: Buffer.from('dies') })
    await reject('full', 1)
    await untilThere('dead', 1)
    await publish('', { routingKey: 'full', properties: {}, body: Buffer.from('fills') })
    const { moved, skipped } = await run('/redrive')
    assert.deepEqual([moved, skipped], [0, 1])
    assert.deepEqual([(await held('full')).length, (await held('dead')).length], [1, 1])
  })
})
