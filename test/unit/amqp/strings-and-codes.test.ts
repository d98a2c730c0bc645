import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteReader } from '../../../src/amqp/byte-reader.ts'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import {
  type ErrorCode,
  ProtocolError,
  ReplyCodes,
  replyCodes,
  replyName,
  replyText,
  scopeOf,
} from '../../../src/amqp/reply-codes.ts'
import {
  cutToBytes,
  decodeShortString,
  encodedBytes,
  encodeShortString,
  encodeText,
} from '../../../src/amqp/short-string.ts'
import { AssertionFailed } from '../../../src/base/assert.ts'
import { longTexts, specification } from '../../support/amqp-arbitraries.ts'
import { amid, bytesOf, errorOf, plain, throwsProtocolError } from '../../support/protocol-error.ts'

describe('a short string', () => {
  it('gives back the same bytes, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 255 }), (bytes) => {
        const text = decodeWithin(bytes)
        assert.deepEqual(encoded(text), plain(bytes))
        assert.equal(encodedBytes(text), bytes.length)
      }),
    )
  })

  it('decodes valid UTF-8 as text', () => {
    const text = 'zażółć gęślą jaźń, 日本語, 𝔘𝔫𝔦𝔠𝔬𝔡𝔢, \ufeffbom, \ufffd, \u0000'
    assert.equal(decodeWithin(Buffer.from(text)), text)
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (characters) => {
        assert.equal(decodeWithin(Buffer.from(characters)), characters)
        assert.deepEqual(encoded(characters), plain(Buffer.from(characters)))
      }),
    )
  })

  it('never decodes two different byte strings to one string', () => {
    const seen = new Map<string, string>()
    const hard = [0x41, 0x80, 0xbf, 0xc1, 0xc3, 0xa9, 0xe0, 0xed, 0xa0, 0xef, 0xbd, 0xf0, 0xf4, 0x90, 0xff]
    for (const a of hard) {
      for (const b of hard) {
        for (const c of hard) {
          for (const bytes of [[a], [a, b], [a, b, c], [a, b, c, 0x80]]) {
            const text = decodeWithin(Uint8Array.from(bytes))
            const other = seen.get(text) ?? String(bytes)
            if (other !== String(bytes)) assert.fail(`${other} and ${bytes} are one string`)
            seen.set(text, other)
          }
        }
      }
    }
  })

  const escaped: readonly (readonly [string, Uint8Array, string])[] = [
    ['a stray continuation byte', bytesOf('61 80 62'), 'a\udc80b'],
    ['a byte that is never in UTF-8', bytesOf('ff'), '\udcff'],
    ['a sequence cut off at the end', bytesOf('e2 82'), '\udce2\udc82'],
    ['a longer form than needed', bytesOf('c0 af'), '\udcc0\udcaf'],
    ['an encoded surrogate', bytesOf('ed a0 80'), '\udced\udca0\udc80'],
    ['a code point above U+10FFFF', bytesOf('f4 90 80 80'), '\udcf4\udc90\udc80\udc80'],
    ['valid text beside it', bytesOf('c3 a9 c3 28 e2 82 ac'), 'é\udcc3(€'],
  ]
  for (const [what, bytes, text] of escaped) {
    it(`keeps ${what} as escaped bytes`, () => {
      assert.equal(decodeWithin(bytes), text)
      assert.deepEqual(encoded(text), plain(bytes))
    })
  }

  it('encodes surrogates that stand for no byte as U+FFFD, like other encoders', () => {
    for (const text of ['\ud800', 'a\udbff', '\udc00', '\udc7f', '\udd00', '\ud800x']) {
      assert.deepEqual(encoded(text), plain(Buffer.from(text)), JSON.stringify(text))
      assert.equal(encodedBytes(text), Buffer.byteLength(text))
    }
  })

  it('has its length in one octet, so 255 bytes are the most', () => {
    const writer = new ByteWriter(4)
    encodeShortString(writer, 'é'.repeat(127))
    assert.deepEqual(writer.copy().subarray(0, 3), plain(bytesOf('fe c3 a9')))
    encodeShortString(writer, 'x'.repeat(255))
    const before = writer.length

    const error = errorOf(() => encodeShortString(writer, 'é'.repeat(128)))

    assert.ok(error instanceof Error && 'code' in error && error.code === 'STRING_TOO_LONG')
    assert.match(error.message, /256 bytes/)
    assert.equal(writer.length, before)
  })

  it('is cut to a number of bytes without cutting a character', () => {
    assert.equal(cutToBytes('abc', 3), 'abc')
    assert.equal(cutToBytes('abcd', 3), 'abc')
    assert.equal(cutToBytes('ab€', 4), 'ab')
    assert.equal(cutToBytes('ab€', 5), 'ab€')
    assert.equal(cutToBytes('a𝔘b', 4), 'a')
    assert.equal(cutToBytes('a𝔘b', 5), 'a𝔘')
    assert.equal(cutToBytes('\udcff\udcfe', 1), '\udcff')
    fc.assert(
      fc.property(longTexts, fc.nat(400), (text, bytesMax) => {
        const cut = cutToBytes(text, bytesMax)
        assert.ok(text.startsWith(cut) && encodedBytes(cut) <= bytesMax)
        const next = text.codePointAt(cut.length)
        const longer = next === undefined ? '' : cut + String.fromCodePoint(next)
        assert.ok(cut === text || encodedBytes(longer) > bytesMax)
      }),
    )
  })
})

describe('the byte reader and writer', () => {
  it('agree on every type at its limits', () => {
    const writer = new ByteWriter(1)
    for (const value of [0, 255]) writer.uint8(value)
    for (const value of [0, 0x8001, 65535]) writer.uint16(value)
    for (const value of [0, 0x80000001, 2 ** 32 - 1]) writer.uint32(value)
    for (const value of [0, 2 ** 32, 2 ** 53 - 1]) writer.uint64(value)
    for (const value of [-1, -(2 ** 53) + 1, -(2n ** 53n)]) writer.int64(value)
    const bytes = writer.copy()
    const reader = new ByteReader().reset(bytes, 0, bytes.length)
    assert.deepEqual([reader.uint8(), reader.uint8()], [0, 255])
    assert.deepEqual([reader.uint16(), reader.uint16(), reader.uint16()], [0, 0x8001, 65535])
    assert.deepEqual([reader.uint32(), reader.uint32(), reader.uint32()], [0, 0x80000001, 2 ** 32 - 1])
    assert.deepEqual([reader.uint64(), reader.uint64(), reader.uint64()], [0, 2 ** 32, 2 ** 53 - 1])
    assert.deepEqual([reader.int64(), reader.int64(), reader.int64()], [-1, -(2 ** 53) + 1, -(2n ** 53n)])
    reader.finish()
  })

  it('read a 64-bit number that JavaScript cannot hold as the largest it can', () => {
    for (const bytes of ['00 20 00 00 00 00 00 00', '00 20 00 00 00 00 00 01', 'ff ff ff ff ff ff ff ff']) {
      assert.equal(new ByteReader().reset(bytesOf(bytes), 0, 8).uint64(), Number.MAX_SAFE_INTEGER)
    }
  })

  it('refuse to read beyond the range, though the buffer goes on', () => {
    const { buffer, start, end } = amid(bytesOf('00 00 00'))
    const reader = new ByteReader().reset(buffer, start, end)
    throwsProtocolError(() => reader.uint32(), 501, /4 bytes where 3 are left/)
    assert.equal(reader.uint16(), 0)
    throwsProtocolError(() => reader.finish(), 501, /1 bytes too many/)
    assert.throws(() => reader.reset(buffer, 4, 3), AssertionFailed)
    assert.throws(() => reader.reset(buffer, 0, buffer.length + 1), AssertionFailed)
  })

  it('refuse to write what does not fit', () => {
    const writer = new ByteWriter(16, 64)
    const wrong = [
      () => writer.uint8(256),
      () => writer.uint16(-1),
      () => writer.uint32(2 ** 32),
      () => writer.uint32(1.5),
      () => writer.uint64(2 ** 53),
      () => writer.uint64(Number.NaN),
      () => writer.bytes(new Uint8Array(4), 2, 5),
      () => writer.patchUint32(0, 1),
      () => writer.reserve(65),
    ]
    for (const write of wrong) assert.throws(write, AssertionFailed, write.toString())
    assert.equal(writer.length, 0)
  })

  it('keep what was written when the buffer grows', () => {
    const writer = new ByteWriter(1)
    for (let value = 0; value < 1000; value++) writer.uint16(value)
    const bytes = writer.copy()
    assert.equal(bytes.length, 2000)
    for (let value = 0; value < 1000; value++) assert.equal(Buffer.from(bytes.buffer).readUInt16BE(value * 2), value)
    writer.reset()
    writer.uint8(7)
    assert.deepEqual(writer.copy(), new Uint8Array([7]))
  })
})

describe('a reply code', () => {
  it('is the same in code and in the listing of the specification', () => {
    const listed = specification.replyCodes.map((row) => ({
      code: row.code,
      name: row.name.toUpperCase().replaceAll('-', '_'),
      closes: row.closes,
    }))
    assert.deepEqual(replyCodes, listed)
    const constants = Object.entries(ReplyCodes).map(([name, code]) => [
      name.replace(/(?<=.)[A-Z]/g, '_$&').toUpperCase(),
      code,
    ])
    assert.deepEqual(
      constants,
      listed.map((row) => [row.name, row.code]),
    )
  })

  it('closes the channel for 311 and 403 to 406, the connection for all other errors', () => {
    const errors = replyCodes.flatMap((row) => (row.closes === null ? [] : [row.code as ErrorCode]))
    const soft = errors.filter((code) => scopeOf(code) === 'channel')
    const hard = errors.filter((code) => scopeOf(code) === 'connection')
    assert.deepEqual(soft, [311, 403, 404, 405, 406])
    assert.deepEqual(hard, [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541])
  })

  it('stands by its name before the explanation', () => {
    assert.equal(replyText(404, "no queue 'q' in vhost '/'"), "NOT_FOUND - no queue 'q' in vhost '/'")
    assert.equal(replyName(312), 'NO_ROUTE')
    assert.equal(replyName(999), null)
  })

  it('has a text of at most 255 bytes, cut between characters', () => {
    const text = replyText(404, '€'.repeat(200))
    assert.ok(text.startsWith('NOT_FOUND - €€'))
    assert.equal(Buffer.byteLength(text), 12 + 81 * 3)
    const writer = new ByteWriter(300)
    encodeShortString(writer, replyText(403, decodeWithin(new Uint8Array(400).fill(0xfe))))
    assert.equal(writer.buffer[0], 255)
  })

  it('makes an error that says what it closes and which method failed', () => {
    const error = new ProtocolError(406, 'unknown delivery tag 7', (60 << 16) | 80)
    assert.equal(error.message, 'PRECONDITION_FAILED - unknown delivery tag 7')
    assert.deepEqual([error.replyCode, error.scope, error.classId, error.methodId], [406, 'channel', 60, 80])
    const later = new ProtocolError(501, 'too short').inMethod((50 << 16) | 10)
    assert.equal(later.message, 'FRAME_ERROR - too short')
    assert.deepEqual([later.scope, later.classId, later.methodId], ['connection', 50, 10])
    assert.equal(error.inMethod(1 << 16), error)
  })
})

function decodeWithin(bytes: Uint8Array): string {
  const { buffer, start, end } = amid(bytes)
  return decodeShortString(buffer, start, end)
}

function encoded(text: string): Uint8Array {
  const buffer = new Uint8Array(text.length * 3)
  return buffer.slice(0, encodeText(text, buffer, 0))
}
