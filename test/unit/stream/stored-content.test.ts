import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { SomeProperties } from '../../../src/amqp/content-header.ts'
import type { FieldValue } from '../../../src/amqp/field-table.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { framesBytesMax, Message } from '../../../src/broker/message.ts'
import { StoredContent } from '../../../src/broker/stream/stored-content.ts'
import { messageFixedBytes } from '../../../src/broker/stream/stream-records.ts'
import { contentOf, type MessageOptions, messageOf } from './stream-harness.ts'

const content = new StoredContent()

/** Stores a message's content and returns what a consumer would see of it. */
function stored(body: string, options: MessageOptions = {}, offset = 7) {
  const message = messageOf(body, options)
  content.measure(message)
  const bytes = new Uint8Array(content.bytes + 20)
  const end = content.write(bytes, 10, offset)
  assert.equal(end, 10 + content.bytes, 'as long as it was measured')
  assert.deepEqual([...bytes.subarray(end)], Array(10).fill(0), 'nothing is written behind it')
  const view = new Message()
  view.buffer = bytes
  view.contentStart = 10
  view.contentEnd = end
  view.isFrames = content.isFrames
  const { properties, body: storedBody } = contentOf(view)
  const fields = new Map(properties.headers?.fields)
  const value = content.filterAt - messageFixedBytes - (message.routeEnd - message.routeStart) + 10
  const filter = content.filterAt === 0 ? null : Buffer.from(bytes.subarray(value, value + content.filterBytes))
  return { properties, fields, body: storedBody, isFrames: content.isFrames, filter: filter?.toString() ?? null }
}

const long = (value: number): FieldValue => ({ tag: 'l', value })

describe('content stored in a stream', () => {
  test('gets the header x-stream-offset where there were no headers', () => {
    for (const isFrames of [false, true]) {
      const { fields, body, properties } = stored('hello', {
        isFrames,
        properties: { contentType: 'text/plain', priority: 3 },
      })
      assert.deepEqual([...fields], [['x-stream-offset', long(7)]])
      assert.equal(body, 'hello')
      assert.equal(properties.contentType, 'text/plain')
      assert.equal(properties.priority, 3)
    }
  })

  test('gets it behind the headers that there were', () => {
    const { fields } = stored('x', { headers: { a: 1, b: 'two', c: [1, { d: true }] } })
    assert.deepEqual([...fields.keys()], ['a', 'b', 'c', 'x-stream-offset'])
  })

  test('holds one such header only, whatever the publisher put there', () => {
    const { fields } = stored('x', { headers: { 'x-stream-offset': 99, a: 'b', 'x-stream-filter-value': 'v' } }, 3)
    assert.deepEqual([...fields.keys()], ['a', 'x-stream-filter-value', 'x-stream-offset'])
    assert.deepEqual(fields.get('x-stream-offset'), long(3))
  })

  test('writes offsets beyond 32 bits', () => {
    const offset = 2 ** 52 + 12345
    assert.deepEqual(stored('x', {}, offset).fields.get('x-stream-offset'), long(offset))
  })

  test('knows where the filter value is, before and behind a header that is left out', () => {
    assert.equal(stored('x', { headers: { 'x-stream-filter-value': 'émil' } }).filter, 'émil')
    assert.equal(
      stored('x', { isFrames: true, headers: { 'x-stream-offset': 1, 'x-stream-filter-value': 'a' } }).filter,
      'a',
    )
    assert.equal(stored('x', { headers: { 'x-stream-filter-value': 'b', 'x-stream-offset': 1 } }).filter, 'b')
    assert.equal(stored('x', { headers: { 'x-stream-filter-value': 5 } }).filter, null, 'only a string is one')
    assert.equal(stored('x').filter, null)
  })

  test('goes as parts when its frames have become too long', () => {
    const body = 'b'.repeat(4088)
    const headers = { h: 'x'.repeat(framesBytesMax - 4088 - 8 - 8 - 14 - 4 - 7 - 5) }
    const { isFrames, body: storedBody, fields } = stored(body, { isFrames: true, headers })
    assert.equal(isFrames, false)
    assert.equal(storedBody, body)
    assert.deepEqual([...fields.keys()], ['h', 'x-stream-offset'])
    assert.equal(stored(body, { isFrames: true }).isFrames, true)
  })

  test('keeps an empty body, in frames as well', () => {
    const message = messageOf('', { isFrames: true })
    message.contentEnd -= 8
    content.measure(message)
    const bytes = new Uint8Array(content.bytes)
    assert.equal(content.write(bytes, 0, 1), content.bytes)
    assert.equal(content.isFrames, true)
    assert.equal(bytes.at(-1), 0xce)
  })

  test('keeps all other properties, for any of them', () => {
    const random = new SeededRandom(11)
    const some = <T>(value: T): T | null => (random.below(2) === 0 ? value : null)
    for (let round = 0; round < 500; round++) {
      const properties: SomeProperties = {
        contentType: some('t'.repeat(random.below(200))),
        contentEncoding: some('gzip'),
        deliveryMode: some(2),
        priority: some(random.below(256)),
        correlationId: some(`c${round}`),
        replyTo: some('r'),
        expiration: some('1000'),
        messageId: some(''),
        timestamp: some(round),
        appId: some('app'),
      }
      const headers: { [key: string]: string | number | boolean | null } = {}
      for (let count = random.below(5); count > 0; count--)
        headers[`k${random.below(9)}`] = [1, 'text', true, null, 2 ** 40][random.below(5)] ?? null
      if (random.below(3) === 0) headers['x-stream-offset'] = random.below(1000)
      const body = 'b'.repeat(random.below(50))
      const result = stored(body, { isFrames: random.below(2) === 0, headers, properties }, round)
      assert.equal(result.body, body)
      for (const [name, value] of Object.entries(properties))
        assert.deepEqual(result.properties[name as keyof SomeProperties], value, name)
      delete headers['x-stream-offset']
      assert.deepEqual([...result.fields.keys()], [...Object.keys(headers), 'x-stream-offset'])
      assert.deepEqual(result.fields.get('x-stream-offset'), long(round))
    }
  })
})
