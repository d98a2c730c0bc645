import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteReader } from '../../../src/amqp/byte-reader.ts'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import {
  decodeFieldTable,
  emptyTable,
  encodeFieldTable,
  type FieldTable,
  type FieldValue,
  fieldTable,
  readFieldTable,
  tableOf,
  writeFieldTable,
} from '../../../src/amqp/field-table.ts'
import { fieldItemsMax } from '../../../src/amqp/field-table-check.ts'
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
import { fieldTables, longTexts, specification } from '../../support/amqp-arbitraries.ts'
import { amid, bytesOf, errorOf, plain, throwsProtocolError } from '../../support/protocol-error.ts'

/** The table that foreign clients write: amqplib's codec, of which only the compiled file is there. */
const amqplib = createRequire(import.meta.url)(
  join(dirname(createRequire(import.meta.url).resolve('amqplib')), 'lib/codec.js'),
) as { encodeTable(buffer: Buffer, values: object, offset: number): number }

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
      fc.property(fc.string({ unit: 'binary' }), (any) => {
        assert.equal(decodeWithin(Buffer.from(any)), any)
        assert.deepEqual(encoded(any), plain(Buffer.from(any)))
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

describe('a field table', () => {
  it('decodes to the fields it was encoded from, and encodes to the same bytes', () => {
    fc.assert(
      fc.property(fieldTables, (table) => {
        const decoded = decodeTable(table.bytes)
        assert.deepEqual(decoded, table)
        assert.deepEqual(encodeFieldTable(decoded.fields), table.bytes)
      }),
    )
  })

  const known: readonly (readonly [string, Uint8Array, FieldValue])[] = [
    ['true', bytesOf("'t", '01'), { tag: 't', value: true }],
    ['a signed octet', bytesOf("'b", 'fe'), { tag: 'b', value: -2 }],
    ['an octet', bytesOf("'B", 'fe'), { tag: 'B', value: 254 }],
    ['a 16-bit number', bytesOf("'s", 'ff fe'), { tag: 's', value: -2 }],
    ['an unsigned 16-bit number', bytesOf("'u", 'ff fe'), { tag: 'u', value: 65534 }],
    ['a 32-bit number', bytesOf("'I", 'ff ff ff fe'), { tag: 'I', value: -2 }],
    ['an unsigned 32-bit number', bytesOf("'i", 'ff ff ff fe'), { tag: 'i', value: 4294967294 }],
    ['a 64-bit number', bytesOf("'l", 'ff ff ff ff ff ff ff fe'), { tag: 'l', value: -2 }],
    ['a 64-bit number with the other tag', bytesOf("'L", '00 1f ff ff ff ff ff ff'), { tag: 'L', value: 2 ** 53 - 1 }],
    ['one just beyond 2^53', bytesOf("'l", '00 20 00 00 00 00 00 01'), { tag: 'l', value: 2n ** 53n + 1n }],
    ['the smallest one', bytesOf("'l", '80 00 00 00 00 00 00 00'), { tag: 'l', value: -(2n ** 63n) }],
    ['seconds since 1970', bytesOf("'T", '00 00 00 00 69 21 78 80'), { tag: 'T', value: 0x69217880 }],
    ['the last second', bytesOf("'T", 'ff ff ff ff ff ff ff ff'), { tag: 'T', value: 2n ** 64n - 1n }],
    ['a float', bytesOf("'f", '40 49 0f db'), { tag: 'f', value: Math.fround(Math.PI) }],
    ['a double', bytesOf("'d", '40 09 21 fb 54 44 2d 18'), { tag: 'd', value: Math.PI }],
    ['a decimal', bytesOf("'D", '02 ff ff ff 9c'), { tag: 'D', value: { scale: 2, value: -100 } }],
    ['a long string', bytesOf("'S", '00 00 00 03', "'a€".slice(0, 2), 'c3 a9'), { tag: 'S', value: 'aé' }],
    ['bytes', bytesOf("'x", '00 00 00 02 00 ff'), { tag: 'x', value: new Uint8Array([0, 255]) }],
    ['nothing', bytesOf("'V"), { tag: 'V', value: null }],
    ['an empty array', bytesOf("'A", '00 00 00 00'), { tag: 'A', value: [] }],
    ['an empty table', bytesOf("'F", '00 00 00 00'), { tag: 'F', value: emptyTable }],
    [
      'an array of two types',
      bytesOf("'A", '00 00 00 03', "'V", "'t", '00'),
      {
        tag: 'A',
        value: [
          { tag: 'V', value: null },
          { tag: 't', value: false },
        ],
      },
    ],
  ]
  for (const [what, bytes, value] of known) {
    it(`has ${what} as everybody writes it`, () => {
      const entry = bytesOf('03', "'key", bytes)
      assert.deepEqual(decodeTable(entry).fields, new Map([['key', value]]))
      assert.deepEqual(encodeFieldTable(new Map([['key', value]])), plain(entry))
    })
  }

  it('reads what a foreign client writes', () => {
    const buffer = Buffer.alloc(1000)
    const length = amqplib.encodeTable(
      buffer,
      {
        'x-message-ttl': { '!': 'int32', value: 60000 },
        'x-max-length': 7,
        'x-expires': { '!': 'int64', value: 2 ** 40 },
        ratio: 0.5,
        'x-queue-type': 'classic',
        flag: true,
        none: null,
        when: { '!': 'timestamp', value: 1700000000 },
        price: { '!': 'decimal', value: { places: 2, digits: 1999 } },
        list: ['a', false],
        nested: { blob: Buffer.from([1, 2]) },
      },
      0,
    )

    const { fields } = decodeTable(buffer.subarray(4, length))

    assert.deepEqual(fields.get('x-message-ttl'), { tag: 'I', value: 60000 })
    assert.equal(fields.get('x-max-length')?.value, 7)
    assert.deepEqual(fields.get('x-expires'), { tag: 'l', value: 2 ** 40 })
    assert.deepEqual(fields.get('ratio'), { tag: 'd', value: 0.5 })
    assert.deepEqual(fields.get('x-queue-type'), { tag: 'S', value: 'classic' })
    assert.deepEqual(fields.get('flag'), { tag: 't', value: true })
    assert.deepEqual(fields.get('none'), { tag: 'V', value: null })
    assert.deepEqual(fields.get('when'), { tag: 'T', value: 1700000000 })
    assert.deepEqual(fields.get('price'), { tag: 'D', value: { scale: 2, value: 1999 } })
    assert.deepEqual(fields.get('list')?.value, [
      { tag: 'S', value: 'a' },
      { tag: 't', value: false },
    ])
    const nested = fields.get('nested')
    assert.ok(nested?.tag === 'F')
    assert.deepEqual(nested.value.fields.get('blob'), { tag: 'x', value: new Uint8Array([1, 2]) })
  })

  it('keeps the bytes as they came: a true of 2, a key that stands there twice', () => {
    const bytes = bytesOf('01', "'a", "'t", '02', '01', "'a", "'B", '09')
    const table = decodeTable(bytes)
    assert.deepEqual(table.fields, new Map([['a', { tag: 'B', value: 9 }]]))
    assert.deepEqual(table.bytes, plain(bytes))
    const writer = new ByteWriter(1)
    writeFieldTable(writer, table)
    assert.deepEqual(writer.copy(), plain(bytesOf('00 00 00 08', bytes)))
  })

  it('does not change when the buffer it came from does', () => {
    const { buffer, start, end } = amid(tableOf({ a: new Uint8Array([1, 2]), b: { c: 'd' } }).bytes)
    const table = decodeFieldTable(buffer, start, end)
    buffer.fill(0)
    assert.deepEqual(table, tableOf({ a: new Uint8Array([1, 2]), b: { c: 'd' } }))
  })

  it('takes names of prototypes as names like any other', () => {
    const plainObject = JSON.parse('{"__proto__":{"polluted":1},"constructor":2,"toString":3}')
    const table = decodeTable(tableOf(plainObject).bytes)
    assert.deepEqual([...table.fields.keys()], ['__proto__', 'constructor', 'toString'])
    assert.equal(Reflect.get({}, 'polluted'), undefined)
  })

  it('is built from plain values with the tags that RabbitMQ clients use', () => {
    const table = tableOf({
      text: 'a',
      yes: true,
      small: -5,
      large: 2 ** 31,
      huge: 2n ** 60n,
      short: 5n,
      part: 0.5,
      minus: -0,
      beyond: 2 ** 60,
      none: null,
      date: new Date(1_700_000_000_999),
      blob: new Uint8Array([7]),
      list: [1, 'b'],
      inner: { key: tableOf({ deep: 1 }) },
    })
    const tags = [...table.fields.values()].map((field) => field.tag).join('')
    assert.equal(tags, 'StIllldddVTxAF')
    assert.deepEqual(table.fields.get('date'), { tag: 'T', value: 1_700_000_000 })
    assert.deepEqual(decodeTable(table.bytes), table)
    assert.equal(tableOf({}), emptyTable)
  })

  it('refuses plain values that have no place in a table', () => {
    assert.throws(() => tableOf({ big: 2n ** 63n }), /64 bits/)
    assert.throws(() => tableOf({ date: new Date(Number.NaN) }), /not valid/)
    assert.throws(() => tableOf({ date: new Date(-1000) }), /before 1970/)
    assert.throws(() => tableOf({ callback: (() => 1) as unknown as string }), /function/)
    assert.throws(() => tableOf({ ['k'.repeat(256)]: 1 }), /256 bytes/)
  })

  it('never writes a number that its tag cannot hold', () => {
    const wrong: readonly FieldValue[] = [
      { tag: 'b', value: 128 },
      { tag: 'B', value: -1 },
      { tag: 's', value: 32768 },
      { tag: 'u', value: 65536 },
      { tag: 'I', value: 2 ** 31 },
      { tag: 'i', value: -1 },
      { tag: 'i', value: 0.5 },
      { tag: 'l', value: 2 ** 53 },
      { tag: 'l', value: 2n ** 63n },
      { tag: 'T', value: -1 },
      { tag: 'T', value: 2n ** 64n },
      { tag: 'D', value: { scale: 256, value: 0 } },
      { tag: 'D', value: { scale: 0, value: 2 ** 31 } },
    ]
    for (const value of wrong) {
      assert.throws(() => encodeFieldTable(new Map([['k', value]])), AssertionFailed, value.tag)
    }
  })
})

describe('a hostile field table', () => {
  it('may be cut off anywhere and is refused with 501', () => {
    const whole = tableOf({ a: 'text', b: 1, c: 2n ** 40n, d: [1, { e: null }], f: new Uint8Array(3) }).bytes
    const boundaries = entryEnds(whole)
    for (let end = 1; end < whole.length; end++) {
      if (boundaries.has(end)) assert.ok(decodeTable(whole.subarray(0, end)).fields.size > 0)
      else throwsProtocolError(() => decodeTable(whole.subarray(0, end)), 501)
    }
    assert.equal(boundaries.size, 5)
  })

  for (const tag of ['S', 'x', 'A', 'F']) {
    for (const length of ['ff ff ff ff', '7f ff ff ff', '00 00 00 03']) {
      it(`cannot claim ${length} bytes for '${tag}' when two are left`, () => {
        throwsProtocolError(() => decodeTable(bytesOf('01', "'k", `'${tag}`, length, '00 00')), 501)
      })
    }
  }

  it('cannot have an inner table that reaches beyond the outer one', () => {
    const inner = bytesOf('01', "'k", "'S", '00 00 00 05', "'a")
    throwsProtocolError(() => decodeTable(bytesOf('01', "'o", "'F", '00 00 00 08', inner, "'bcdefgh")), 501)
  })

  it('with a type we do not know is refused with 502', () => {
    const tags = new Set([...'tbBsuIilLfdDTSAFxV'].map((tag) => tag.charCodeAt(0)))
    for (let tag = 0; tag < 256; tag++) {
      if (tags.has(tag)) continue
      throwsProtocolError(() => decodeTable(bytesOf('01', "'k", tag, new Uint8Array(20))), 502, /unknown type/)
    }
  })

  it('may nest 32 deep and no deeper, as tables or arrays', () => {
    for (const tag of ['F', 'A'] as const) {
      assert.equal(decodeTable(nested(tag, 32)).fields.size, 1)
      throwsProtocolError(() => decodeTable(nested(tag, 33)), 502, /deeper than 32/)
      throwsProtocolError(() => decodeTable(nested(tag, 2_000)), 502, /deeper than 32/)
    }
  })

  it('may have 4,096 items in all and no more', () => {
    const full = bytesOf('01', "'k", "'A", '00 00 0f ff', Buffer.alloc(fieldItemsMax - 1, 'V'))
    assert.equal(decodeTable(full).fields.size, 1)
    const more = bytesOf('01', "'k", "'A", '00 00 10 00', Buffer.alloc(fieldItemsMax, 'V'))
    throwsProtocolError(() => decodeTable(more), 502, /too many items/)
    throwsProtocolError(() => decodeTable(Buffer.concat(Array(fieldItemsMax + 1).fill(bytesOf('00', "'V")))), 502)
    throwsProtocolError(() => decodeTable(bytesOf(full, '00', "'V")), 502, /too many items/)
  })

  it('is refused by its 32-bit length before anything is read', () => {
    const reader = new ByteReader().reset(bytesOf('ff ff ff ff 00'), 0, 5)
    throwsProtocolError(() => readFieldTable(reader), 501)
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

function decodeTable(bytes: Uint8Array): FieldTable {
  const { buffer, start, end } = amid(bytes)
  return decodeFieldTable(buffer, start, end)
}

/** A table with one field, which holds `depth - 1` further tables or arrays within one another. */
function nested(tag: 'F' | 'A', depth: number): Uint8Array {
  let inner: Uint8Array = new Uint8Array(0)
  for (let level = 1; level < depth; level++) {
    const head = new ByteWriter(8)
    if (tag === 'F' || level === depth - 1) head.bytes(bytesOf('01', "'k"))
    head.bytes(bytesOf(`'${tag}`))
    head.uint32(inner.length)
    head.bytes(inner)
    inner = head.copy()
  }
  return inner
}

/** Where a table may end: after each of its entries. */
function entryEnds(bytes: Uint8Array): Set<number> {
  const ends = new Set<number>()
  const fields = new Map<string, FieldValue>()
  for (const [key, value] of decodeTable(bytes).fields) {
    fields.set(key, value)
    ends.add(fieldTable(new Map(fields)).bytes.length)
  }
  return ends
}
