import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import {
  bodySizeOf,
  checkContentHeader,
  decodeProperties,
  deliveryModeOf,
  expirationOf,
  flagsOf,
  headersOf,
  messageIdOf,
  type Properties,
  PropertyFlags,
  priorityOf,
  replyToOf,
  rewriteContentHeader,
  type SomeProperties,
  userIdOf,
} from '../../../src/amqp/content-header.ts'
import { emptyTable, type FieldValue, fieldTable, tableOf } from '../../../src/amqp/field-table.ts'
import { fieldItemsMax } from '../../../src/amqp/field-table-check.ts'
import { fieldName, headerBytes, someProperties, specification } from '../../support/amqp-arbitraries.ts'
import { foreignMethods } from '../../support/foreign-codec.ts'
import { amid, bytesOf, errorOf, plain, throwsProtocolError } from '../../support/protocol-error.ts'

describe('a content header', () => {
  it('gives back the properties it was made of', () => {
    fc.assert(
      fc.property(someProperties, fc.maxSafeNat(), (properties, bodySize) => {
        const { buffer, start, end } = amid(headerBytes(properties, bodySize))
        checkContentHeader(buffer, start, end)
        assert.deepEqual(decodeProperties(buffer, start, end), withNulls(properties))
        assert.equal(bodySizeOf(buffer, start, end), bodySize)
        assert.equal(flagsOf(buffer, start, end), flagsFor(properties))
        assert.equal(deliveryModeOf(buffer, start, end), properties.deliveryMode ?? 1)
        assert.equal(priorityOf(buffer, start, end), properties.priority ?? 0)
        assert.deepEqual(headersOf(buffer, start, end), properties.headers ?? emptyTable)
        assert.equal(expirationOf(buffer, start, end), properties.expiration ?? null)
        assert.equal(replyToOf(buffer, start, end), properties.replyTo ?? null)
        assert.equal(userIdOf(buffer, start, end), properties.userId ?? null)
        assert.equal(messageIdOf(buffer, start, end), properties.messageId ?? null)
      }),
      { numRuns: 300 },
    )
  })

  it('is, byte for byte, what a foreign client writes', () => {
    const foreign = {
      contentType: 'text/plain',
      contentEncoding: 'utf-8',
      headers: { a: 'b', flag: true },
      deliveryMode: 2,
      priority: 9,
      correlationId: 'c-1',
      replyTo: 'amq.rabbitmq.reply-to',
      expiration: '60000',
      messageId: 'm-1',
      timestamp: 1700000000,
      type: 'order',
      userId: 'guest',
      appId: 'test',
      clusterId: 'x',
    }
    const ours: SomeProperties = { ...foreign, headers: tableOf(foreign.headers) }
    for (const name of [null, ...Object.keys(foreign)]) {
      const one = name === null ? foreign : { [name]: Reflect.get(foreign, name) }
      const same = name === null ? ours : { [name]: Reflect.get(ours, name) }
      const frame = foreignMethods.encodeProperties(60, 1, 1234, one)
      assert.deepEqual(headerBytes(same, 1234), plain(frame.subarray(7, -1)), String(name))
    }
  })

  it('has flags that agree with the listing', () => {
    const listed = specification.basicProperties.map((property) => [fieldName(property.name), 1 << property.flagBit])
    assert.deepEqual(Object.entries(PropertyFlags), listed)
  })

  it('of a message without properties is fourteen bytes', () => {
    const bytes = bytesOf('003c 0000 0000000000000005 0000')
    assert.deepEqual(headerBytes({}, 5), plain(bytes))
    checkContentHeader(bytes, 0, 14)
    assert.equal(deliveryModeOf(bytes, 0, 14), 1)
  })

  it('of more than 2^53 bytes is of the largest size there is', () => {
    const bytes = bytesOf('003c 0000 ffffffffffffffff 0000')
    checkContentHeader(bytes, 0, 14)
    assert.equal(bodySizeOf(bytes, 0, 14), Number.MAX_SAFE_INTEGER)
  })

  it('can be rewritten in some properties, and keeps the others to the byte', () => {
    const oddTable = bytesOf('01', "'k", "'t", '02', '01', "'k", "'t", '00')
    const before: SomeProperties = {
      contentType: '\udcff',
      headers: { bytes: oddTable, fields: new Map() },
      deliveryMode: 2,
      expiration: '100',
      timestamp: 2n ** 64n - 1n,
    }
    const { buffer, start, end } = amid(headerBytes(before, 77))
    const writer = new ByteWriter(1)

    rewriteContentHeader(writer, buffer, start, end, { expiration: null, replyTo: 'r' })

    const { expiration: _, ...rest } = before
    assert.deepEqual(writer.copy(), headerBytes({ ...rest, replyTo: 'r' }, 77))
  })

  it('that came at the limit of its headers can still be read when the broker has added some', () => {
    const full = Object.fromEntries(Array.from({ length: fieldItemsMax }, (_, index) => [`k${index}`, index]))
    const came = headerBytes({ headers: tableOf(full) })
    checkContentHeader(came, 0, came.length)
    const one: FieldValue = { tag: 'S', value: 'expired' }
    const kept = headerBytes({ headers: fieldTable(new Map(tableOf(full).fields).set('x-first-death-reason', one)) })
    assert.equal(headersOf(kept, 0, kept.length).fields.size, fieldItemsMax + 1)
    throwsProtocolError(() => checkContentHeader(kept, 0, kept.length), 502, /too many items/)
  })
})

describe('a hostile content header', () => {
  const good = headerBytes({
    contentType: 'text/plain',
    headers: tableOf({ a: 1, b: ['x', { c: 'd' }] }),
    deliveryMode: 2,
    correlationId: 'c',
    timestamp: 5,
    clusterId: 'z',
  })

  it('may be cut off anywhere and is refused with 501', () => {
    for (let end = 0; end < good.length; end++) {
      throwsProtocolError(() => checkContentHeader(good, 0, end), 501)
    }
  })

  it('never makes a reader throw anything but a ProtocolError, or look beyond its end', () => {
    const readers = [
      decodeProperties,
      deliveryModeOf,
      priorityOf,
      headersOf,
      expirationOf,
      userIdOf,
      bodySizeOf,
      flagsOf,
    ]
    for (let end = 0; end < good.length; end++) {
      const { buffer, start } = amid(good.subarray(0, end))
      for (const read of readers) {
        const error = errorOf(() => read(buffer, start, start + end))
        assert.ok(error === undefined || (error instanceof Error && 'replyCode' in error), `${read.name} at ${end}`)
      }
    }
    throwsProtocolError(() => decodeProperties(good, 0, good.length - 1), 501)
  })

  it('followed by more bytes is refused with 501', () => {
    throwsProtocolError(() => checkContentHeader(bytesOf(good, '00'), 0, good.length + 1), 501, /1 bytes after/)
  })

  const wrong: readonly (readonly [string, string, number])[] = [
    ['of another class', '0032 0000 0000000000000000 0000', 502],
    ['with a weight', '003c 0001 0000000000000000 0000', 502],
    ['with the flag that has no property', '003c 0000 0000000000000000 0002', 502],
    ['with more flags to follow', '003c 0000 0000000000000000 0001 0000', 502],
    ['with a short string beyond the end', '003c 0000 0000000000000000 8000 ff 61', 501],
    ['with headers of 4 GiB', '003c 0000 0000000000000000 2000 ffffffff', 501],
    ['with headers of an unknown type', '003c 0000 0000000000000000 2000 00000003 01 6b 00', 502],
    ['with headers that end inside a field', '003c 0000 0000000000000000 2000 00000002 01 6b', 501],
    ['with headers cut off in their length', '003c 0000 0000000000000000 2000 000000', 501],
    ['with a timestamp cut off', '003c 0000 0000000000000000 0040 00000000000000', 501],
    ['with a priority that is missing', '003c 0000 0000000000000000 0800', 501],
  ]
  for (const [what, hex, code] of wrong) {
    it(`${what} is refused with ${code}`, () => {
      const { buffer, start, end } = amid(bytesOf(hex))
      throwsProtocolError(() => checkContentHeader(buffer, start, end), code)
    })
  }
})

function withNulls(properties: SomeProperties): Properties {
  const all = Object.keys(PropertyFlags).map((name) => [name, Reflect.get(properties, name) ?? null])
  return Object.fromEntries(all) as Properties
}

function flagsFor(properties: SomeProperties): number {
  return Object.entries(PropertyFlags).reduce((sum, [name, flag]) => sum + (name in properties ? flag : 0), 0)
}
