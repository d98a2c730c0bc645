import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { tableOf } from '../../../src/amqp/field-table.ts'
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
import { fieldName, methods, specification } from '../../support/amqp-arbitraries.ts'
import { foreignMethods } from '../../support/foreign-codec.ts'
import { projectRoot } from '../../support/project-root.ts'
import { amid, bytesOf, plain, throwsProtocolError } from '../../support/protocol-error.ts'

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
          const frame = foreignMethods.encodeMethod(ours.id, 258, theirs)
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

function encode(method: Method): Uint8Array {
  const writer = new ByteWriter(16)
  encodeMethod(writer, method)
  return writer.copy()
}

function decode(payload: Uint8Array): Method {
  const { buffer, start, end } = amid(payload)
  return decodeMethod(buffer, start, end)
}

/** The same method for both codecs. Bits differ in turn, so that each has been set without its neighbours. */
function sameMethod(
  classId: number,
  className: string,
  method: SpecifiedMethod,
  variant: number,
): { ours: Method; theirs: object } {
  const id = (classId << 16) | method.id
  const info = foreignMethods.info(id)
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
