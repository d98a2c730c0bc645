import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../../src/amqp/byte-writer.ts'
import { encodeContentHeader, type SomeProperties } from '../../../../src/amqp/content-header.ts'
import { type FieldValue, tableOf } from '../../../../src/amqp/field-table.ts'
import { encodeShortString } from '../../../../src/amqp/short-string.ts'
import { DeadLetterWriter } from '../../../../src/broker/dead-letter/dead-letter.ts'
import { DeliveryHeaders } from '../../../../src/broker/dead-letter/delivery-headers.ts'
import { propertiesOf, routeOf } from '../../../../src/broker/dead-letter/message-copy.ts'
import { type Chunks, Message } from '../../../../src/broker/message.ts'
import { MessageTraits } from '../../../../src/broker/message-traits.ts'
import { fieldTables, names } from '../../../support/amqp-arbitraries.ts'

type Form = 'frames' | 'parts' | 'chunked'

const chunks: Chunks = { count: 2, bodyBytes: 100_000, read: () => {}, release: () => {} }

/** A message as the server or the log would show it, somewhere within a larger buffer. */
function viewOf(form: Form, properties: SomeProperties, body: string, exchange = 'shop', key = 'order.new'): Message {
  const header = new ByteWriter()
  const bytes = Buffer.from(form === 'chunked' ? '' : body)
  const bodyBytes = form === 'chunked' ? chunks.bodyBytes : bytes.length
  encodeContentHeader(header, bodyBytes, properties)
  const writer = new ByteWriter()
  writer.bytes(Buffer.from('before'))
  const message = new Message()
  message.routeStart = writer.length
  encodeShortString(writer, exchange)
  encodeShortString(writer, key)
  message.routeEnd = writer.length
  message.contentStart = writer.length
  if (form === 'frames') {
    writeFrame(writer, 2, header.copy())
    if (bytes.length > 0) writeFrame(writer, 3, bytes)
  } else {
    writer.uint32(header.length)
    writer.bytes(header.copy())
    writer.bytes(bytes)
  }
  message.contentEnd = writer.length
  writer.bytes(Buffer.from('behind'))
  message.buffer = writer.copy()
  message.isFrames = form === 'frames'
  message.isPersistent = true
  message.bodyBytes = bodyBytes
  message.chunks = form === 'chunked' ? chunks : null
  return message
}

function writeFrame(writer: ByteWriter, type: number, payload: Uint8Array): void {
  writer.uint8(type)
  writer.uint16(7)
  writer.uint32(payload.length)
  writer.bytes(payload)
  writer.uint8(0xce)
}

/** The body of a message in parts, whose header payload and body must fill its content. */
function bodyOf(message: Message): string {
  assert.equal(message.isFrames, false)
  const view = new DataView(message.buffer.buffer, message.buffer.byteOffset)
  const bodyAt = message.contentStart + 4 + view.getUint32(message.contentStart)
  return Buffer.from(message.buffer.subarray(bodyAt, message.contentEnd)).toString()
}

const to = { exchange: 'dlx', routingKey: null, queue: 'orders', reason: 'expired', timeMs: 1_700_000_000_999 } as const
const headers = tableOf({ CC: ['copy', 'more'], other: 1 })
const properties: SomeProperties = {
  headers,
  expiration: '500',
  priority: 3,
  messageId: 'm',
  contentType: 'text/plain',
}

describe('a dead letter', () => {
  for (const form of ['frames', 'parts', 'chunked'] as const) {
    it(`goes to the dead-letter exchange with its body and properties, but for expiration (${form})`, () => {
      const original = viewOf(form, properties, 'the body')
      const letter = new DeadLetterWriter().rewrite(original, to)
      assert.deepEqual(routeOf(letter.message), { exchange: 'dlx', routingKey: 'order.new' })
      assert.equal(bodyOf(letter.message), form === 'chunked' ? '' : 'the body')
      assert.equal(letter.message.chunks, original.chunks)
      assert.equal(letter.message.bodyBytes, original.bodyBytes)
      assert.equal(letter.message.isPersistent, true)
      const after = propertiesOf(letter.message)
      assert.deepEqual(after, { ...propertiesOf(original), headers: letter.headers, expiration: null })
    })
  }

  it('goes on with its own keys, CC among them, which the history names', () => {
    const { keys, headers: after } = new DeadLetterWriter().rewrite(viewOf('parts', properties, 'x'), to)
    assert.deepEqual(keys, ['order.new', 'copy', 'more'])
    assert.deepEqual(after.fields.get('CC'), headers.fields.get('CC'))
    const history = after.fields.get('x-death')
    const entry = history?.tag === 'A' ? history.value[0] : undefined
    const field = (key: string): FieldValue | undefined =>
      entry?.tag === 'F' ? entry.value.fields.get(key) : undefined
    assert.deepEqual(field('routing-keys'), { tag: 'A', value: keys.map((value) => ({ tag: 'S', value })) })
    assert.deepEqual(field('exchange'), { tag: 'S', value: 'shop' })
    assert.deepEqual(field('queue'), { tag: 'S', value: 'orders' })
    assert.deepEqual(field('time'), { tag: 'T', value: 1_700_000_000 })
    assert.deepEqual(field('original-expiration'), { tag: 'S', value: '500' })
  })

  it('goes on with the dead-letter routing key alone, and then without CC', () => {
    const original = viewOf('frames', properties, 'x')
    const { message, keys, headers: after } = new DeadLetterWriter().rewrite(original, { ...to, routingKey: '' })
    assert.deepEqual(routeOf(message), { exchange: 'dlx', routingKey: '' })
    assert.deepEqual(keys, [''])
    assert.equal(after.fields.has('CC'), false)
  })

  it('has only the priority and the group of what the publisher asked for', () => {
    const original = viewOf('parts', {}, '')
    const writer = new DeadLetterWriter()
    assert.equal(writer.rewrite(original, to).message.traits, null)
    const traits = new MessageTraits()
    traits.dueAt = 5
    traits.expirationMs = 6
    original.traits = traits
    assert.equal(writer.rewrite(original, to).message.traits, null)
    traits.priority = 7
    traits.group = 'g'
    const expected = new MessageTraits()
    expected.priority = 7
    expected.group = 'g'
    assert.deepEqual(writer.rewrite(original, to).message.traits, expected)
    assert.equal(traits.dueAt, 5)
  })

  it('can die again: the copy is a message like any other', () => {
    const writers = [new DeadLetterWriter(), new DeadLetterWriter()]
    let message = viewOf('frames', { expiration: '1' }, 'the body')
    for (let round = 0; round < 6; round++) {
      const writer = writers[round % 2] as DeadLetterWriter
      message = writer.rewrite(message, { ...to, queue: `q${round % 3}` }).message
    }
    assert.equal(bodyOf(message), 'the body')
    const history = propertiesOf(message).headers?.fields.get('x-death')
    const queues =
      history?.tag === 'A' ? history.value.map((one) => one.tag === 'F' && one.value.fields.get('queue')?.value) : []
    assert.deepEqual(queues, ['q2', 'q1', 'q0'])
  })

  it('keeps every property and the body of any message', () => {
    const property = fc.property(
      fc.constantFrom<Form>('frames', 'parts', 'chunked'),
      fc.record({ headers: fieldTables, replyTo: names, timestamp: fc.maxSafeNat() }, { requiredKeys: [] }),
      fc.string(),
      names,
      names,
      (form, some, body, exchange, key) => {
        const original = viewOf(form, some, body, exchange, key)
        assert.deepEqual(routeOf(original), { exchange, routingKey: key })
        const letter = new DeadLetterWriter().rewrite(original, to)
        assert.equal(routeOf(letter.message).routingKey, key)
        assert.equal(bodyOf(letter.message), form === 'chunked' ? '' : body)
        assert.deepEqual(propertiesOf(letter.message), { ...propertiesOf(original), headers: letter.headers })
      },
    )
    fc.assert(property, { seed: 2, numRuns: 300 })
  })
})

describe('delivery headers', () => {
  it('say how often a message has failed and was handed out, where that is not 0', () => {
    const writer = new DeliveryHeaders()
    for (const form of ['frames', 'parts', 'chunked'] as const) {
      const original = viewOf(form, properties, 'the body')
      original.traits = new MessageTraits()
      assert.equal(writer.withDeliveryHeaders(original, { deliveryCount: 0, acquiredCount: 0 }), original)
      const copy = writer.withDeliveryHeaders(original, { deliveryCount: 2, acquiredCount: 3 })
      assert.equal(bodyOf(copy), form === 'chunked' ? '' : 'the body')
      assert.deepEqual(routeOf(copy), routeOf(original))
      assert.equal(copy.traits, original.traits)
      assert.equal(copy.chunks, original.chunks)
      const fields = propertiesOf(copy).headers?.fields
      assert.deepEqual(fields?.get('x-delivery-count'), { tag: 'l', value: 2 })
      assert.deepEqual(fields?.get('x-acquired-count'), { tag: 'l', value: 3 })
      assert.deepEqual(fields?.get('CC'), headers.fields.get('CC'))
      assert.equal(propertiesOf(copy).expiration, '500')
      const once = writer.withDeliveryHeaders(original, { deliveryCount: 0, acquiredCount: 1 })
      assert.equal(propertiesOf(once).headers?.fields.has('x-delivery-count'), false)
    }
  })

  it('are the broker’s, whatever a publisher wrote there', () => {
    const original = viewOf('parts', { headers: tableOf({ 'x-delivery-count': 'many' }) }, 'x')
    const copy = new DeliveryHeaders().withDeliveryHeaders(original, { deliveryCount: 1, acquiredCount: 0 })
    assert.deepEqual(propertiesOf(copy).headers?.fields.get('x-delivery-count'), { tag: 'l', value: 1 })
  })
})
