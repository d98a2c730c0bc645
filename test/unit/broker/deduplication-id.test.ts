import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { encodeContentHeader, type SomeProperties } from '../../../src/amqp/content-header.ts'
import { type FieldValue, fieldTable, tableOf } from '../../../src/amqp/field-table.ts'
import { encodeHeaderFrame } from '../../../src/amqp/frame-encoder.ts'
import { deduplicationIdOf } from '../../../src/broker/deduplication-id.ts'
import { Message } from '../../../src/broker/message.ts'

/** The same content in frames and in parts, with something in front of it. */
function messages(properties: SomeProperties): Message[] {
  const header = new ByteWriter()
  encodeContentHeader(header, 0, properties)
  return [true, false].map((isFrames) => {
    const writer = new ByteWriter()
    writer.bytes(new Uint8Array(9))
    if (isFrames) encodeHeaderFrame(writer, 1, header.buffer, 0, header.length)
    else {
      writer.uint32(header.length)
      writer.bytes(header.buffer, 0, header.length)
    }
    const message = new Message()
    message.buffer = writer.copy()
    message.contentStart = 9
    message.contentEnd = writer.length
    message.isFrames = isFrames
    return message
  })
}

describe('deduplication id', () => {
  const header = (value: FieldValue): SomeProperties => ({
    headers: fieldTable(
      new Map<string, FieldValue>([
        ['other', { tag: 'I', value: 1 }],
        ['x-deduplication-header', value],
      ]),
    ),
    messageId: 'm',
  })
  const cases: [string, SomeProperties, string | null][] = [
    ['nothing', {}, null],
    ['a message id', { messageId: 'm' }, 'm'],
    ['an empty message id', { messageId: '' }, null],
    ['other headers and a message id', { messageId: 'm', headers: tableOf({ a: 1 }) }, 'm'],
    ['a header, which counts before the message id', header({ tag: 'S', value: 'h' }), 'h'],
    ['a whole number, by its digits', header({ tag: 'l', value: 42 }), '42'],
    ['a 64-bit number', header({ tag: 'l', value: 2n ** 62n }), String(2n ** 62n)],
    ['an empty header', header({ tag: 'S', value: '' }), null],
    ['a header of a type that is no id', header({ tag: 't', value: true }), null],
  ]
  for (const [what, properties, id] of cases) {
    it(`of ${what} is ${id ?? 'none'}`, () => {
      for (const message of messages(properties)) assert.equal(deduplicationIdOf(message), id)
    })
  }
})
