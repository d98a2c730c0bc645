import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
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
import {
  decodeMethod,
  encodeBasicDeliver,
  encodeMethod,
  hasContent,
  type Method,
  Methods,
} from '../../../src/amqp/methods.generated.ts'
import type { ProtocolError } from '../../../src/amqp/reply-codes.ts'
import {
  generateMethods,
  type SpecifiedArgument,
  type SpecifiedMethod,
} from '../../../src/amqp/spec/generate-methods.ts'
import { fieldName, headerBytes, methods, someProperties, specification } from '../../support/amqp-arbitraries.ts'
import { projectRoot } from '../../support/project-root.ts'
import { amid, bytesOf, errorOf, plain, throwsProtocolError } from '../../support/protocol-error.ts'

/** A foreign codec for methods and properties; there are no types for this part of amqplib. */
interface ForeignCodec {
  readonly [name: string]: unknown
  encodeMethod(id: number, channel: number, fields: object): Buffer
  encodeProperties(classId: number, channel: number, size: number, fields: object): Buffer
  info(id: number): { args: { name: string; type: string }[] }
}
const require = createRequire(import.meta.url)
const amqplib = require(join(dirname(require.resolve('amqplib')), 'lib/defs.js')) as ForeignCodec

describe('the methods', () => {
  it('are generated from the listing as it is now', () => {
    const generated = readFileSync(join(projectRoot, 'src/amqp/methods.generated.ts'), 'utf8')
    assert.equal(generateMethods(specification), generated, 'generate methods.generated.ts again')
  })

  it('decode to what was encoded', () => {
    fc.assert(
      fc.property(methods, (method) => {
        assert.deepEqual(decode(encode(method)), method)
      }),
      { numRuns: 500 },
    )
  })

  for (const owner of specification.classes) {
    it(`of class ${owner.name} are, byte for byte, what a foreign client writes`, () => {
      for (const method of owner.methods) {
        for (const variant of [0, 1, 2]) {
          const { ours, theirs } = sameMethod(owner.id, owner.name, method, variant)
          const frame = amqplib.encodeMethod(ours.id, 258, theirs)
          const payload = frame.subarray(7, -1)
          assert.deepEqual(encode(ours), plain(payload), `${owner.name}.${method.name}`)
          assert.deepEqual(decode(payload), ours, `${owner.name}.${method.name}`)
        }
      }
    })
  }

  it('have unique ids, answers that exist, and content only where class basic has it', () => {
    const ids = Object.values(Methods)
    assert.equal(new Set(ids).size, ids.length)
    for (const owner of specification.classes) {
      const known = new Set(owner.methods.map((method) => method.name))
      for (const method of owner.methods) {
        assert.ok(
          (method.answers ?? []).every((answer) => known.has(answer)),
          method.name,
        )
        assert.equal(hasContent((owner.id << 16) | method.id), method.content === true)
      }
    }
    const withContent = ids.filter(hasContent)
    assert.deepEqual(withContent, [Methods.BasicPublish, Methods.BasicReturn, Methods.BasicDeliver, Methods.BasicGetOk])
  })

  it('ignore what stands in reserved arguments', () => {
    const publish = bytesOf('003c 0028 ffff 01', "'x", '02', "'rk", 'ff')
    assert.deepEqual(decode(publish), {
      id: Methods.BasicPublish,
      name: 'basic.publish',
      exchange: 'x',
      routingKey: 'rk',
      mandatory: true,
      immediate: true,
    })
    assert.deepEqual(decode(bytesOf('000a 0028 01', "'/", '03', "'abc", '01')), {
      id: Methods.ConnectionOpen,
      name: 'connection.open',
      virtualHost: '/',
    })
  })

  it('cut off anywhere are refused with 501 that names the method', () => {
    fc.assert(
      fc.property(methods, fc.nat(), (method, place) => {
        const payload = encode(method)
        const cut = place % payload.length
        const error = throwsProtocolError(() => decode(payload.subarray(0, cut)), 501)
        if (cut >= 4) assert.deepEqual([error.classId, error.methodId], [method.id >>> 16, method.id & 0xffff])
      }),
      { numRuns: 300 },
    )
  })

  it('followed by more bytes are refused with 501', () => {
    fc.assert(
      fc.property(methods, (method) => {
        throwsProtocolError(() => decode(bytesOf(encode(method), '00')), 501, /1 bytes too many/)
      }),
    )
  })

  it('that do not exist are refused with 503', () => {
    for (const id of ['0000 0000', '000a 0000', '003c 00ff', 'ffff ffff', '0055 000c', 'ff3c 0028']) {
      const error = throwsProtocolError(() => decode(bytesOf(id)), 503, /unknown method/)
      assert.equal(error.scope, 'connection')
    }
  })

  it('with a bad table are refused with the method named', () => {
    const declare = bytesOf('0032 000a 0000 01', "'q", '00', '00000003', '01', "'k?")
    const error: ProtocolError = throwsProtocolError(() => decode(declare), 502, /unknown type 63/)
    assert.deepEqual([error.classId, error.methodId], [50, 10])
  })

  it('take a delivery tag beyond all that there are as the largest number', () => {
    const ack = decode(bytesOf('003c 0050 ffffffffffffffff 00'))
    assert.ok(ack.id === Methods.BasicAck)
    assert.equal(ack.deliveryTag, Number.MAX_SAFE_INTEGER)
  })

  it('do not point into the buffer they came from', () => {
    const startOk: Method = {
      id: Methods.ConnectionStartOk,
      name: 'connection.start-ok',
      clientProperties: tableOf({ product: 'test', blob: new Uint8Array([1]) }),
      mechanism: 'PLAIN',
      response: bytesOf('00', "'user", '00', "'secret"),
      locale: 'en_US',
    }
    const { buffer, start, end } = amid(encode(startOk))
    const decoded = decodeMethod(buffer, start, end)
    buffer.fill(0)
    assert.deepEqual(decoded, { ...startOk, response: plain(startOk.response) })
  })

  it('have an encoder each, which writes the same', () => {
    const fields = {
      consumerTag: 'c',
      deliveryTag: 7,
      redelivered: true,
      exchange: '',
      routingKey: 'q',
    }
    const writer = new ByteWriter(1)
    encodeBasicDeliver(writer, fields)
    assert.deepEqual(writer.copy(), encode({ id: Methods.BasicDeliver, name: 'basic.deliver', ...fields }))
  })
})

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
      const frame = amqplib.encodeProperties(60, 1, 1234, one)
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

function encode(method: Method): Uint8Array {
  const writer = new ByteWriter(16)
  encodeMethod(writer, method)
  return writer.copy()
}

function decode(payload: Uint8Array): Method {
  const { buffer, start, end } = amid(payload)
  return decodeMethod(buffer, start, end)
}

function withNulls(properties: SomeProperties): Properties {
  const all = Object.keys(PropertyFlags).map((name) => [name, Reflect.get(properties, name) ?? null])
  return Object.fromEntries(all) as Properties
}

function flagsFor(properties: SomeProperties): number {
  return Object.entries(PropertyFlags).reduce((sum, [name, flag]) => sum + (name in properties ? flag : 0), 0)
}

/** The same method for both codecs. Bits differ in turn, so that each has been set without its neighbours. */
function sameMethod(
  classId: number,
  className: string,
  method: SpecifiedMethod,
  variant: number,
): { ours: Method; theirs: object } {
  const id = (classId << 16) | method.id
  const info = amqplib.info(id)
  assert.deepEqual(
    info.args.map((argument) => argument.type),
    method.arguments.map((argument) => argument.type),
    `argument types of ${className}.${method.name}`,
  )
  const ours: Record<string, unknown> = { id, name: `${className}.${method.name}` }
  const theirs: Record<string, unknown> = {}
  for (const [index, argument] of method.arguments.entries()) {
    const isReserved = argument.name.startsWith('reserved-')
    const value = isReserved ? reservedValue(argument) : sampleValue(argument, index, variant)
    theirs[info.args[index]?.name ?? ''] = value.theirs
    if (!isReserved) ours[fieldName(argument.name)] = value.ours
  }
  return { ours: ours as unknown as Method, theirs }
}

interface Sample {
  readonly ours: unknown
  readonly theirs: unknown
}

function sampleValue(argument: SpecifiedArgument, index: number, variant: number): Sample {
  const same = (value: unknown): Sample => ({ ours: value, theirs: value })
  switch (argument.type) {
    case 'bit':
      return same(variant === 2 || index % 2 === variant)
    case 'octet':
      return same(200 + variant)
    case 'short':
      return same(60_000 + index)
    case 'long':
      return same(4_000_000_000 + index)
    case 'longlong':
      return same(2 ** 40 + index)
    case 'shortstr':
      return same(`näme-${index}-${'x'.repeat(variant * 100)}`)
    case 'longstr': {
      const bytes = Buffer.from(`long ${index} ${'y'.repeat(variant * 300)}`)
      return { ours: argument.holds === 'bytes' ? plain(bytes) : bytes.toString(), theirs: bytes }
    }
    case 'table': {
      const values = { product: 'w', nested: { yes: true, text: 'é'.repeat(variant) } }
      return { ours: tableOf(values), theirs: values }
    }
    default:
      throw new Error(`no sample for ${argument.type}`)
  }
}

function reservedValue(argument: SpecifiedArgument): Sample {
  if (argument.type === 'shortstr') return { ours: null, theirs: '' }
  if (argument.type === 'longstr') return { ours: null, theirs: Buffer.alloc(0) }
  return { ours: null, theirs: argument.type === 'bit' ? false : 0 }
}
