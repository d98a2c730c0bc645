import assert from 'node:assert/strict'
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
import { AssertionFailed } from '../../../src/base/assert.ts'
import { fieldTables } from '../../support/amqp-arbitraries.ts'
import { foreignTables } from '../../support/foreign-codec.ts'
import { amid, bytesOf, plain, throwsProtocolError } from '../../support/protocol-error.ts'

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
    const length = foreignTables.encodeTable(
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
