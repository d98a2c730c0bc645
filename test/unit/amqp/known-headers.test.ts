import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeFieldValue, type FieldTable, fieldTable, tableOf } from '../../../src/amqp/field-table.ts'
import { HeaderBits, KnownHeaders } from '../../../src/amqp/known-headers.ts'
import { fieldTables } from '../../support/amqp-arbitraries.ts'

type Name = keyof typeof HeaderBits
const names = Object.keys(HeaderBits) as Name[]

function scan(table: FieldTable): KnownHeaders {
  const headers = new KnownHeaders()
  headers.scan(table.bytes, 0, table.bytes.length)
  return headers
}

describe('known headers', () => {
  it('are found among any others, each with its value', () => {
    const property = fc.property(fieldTables, fc.subarray(names), fc.nat(), (others, wanted, seed) => {
      const fields = [...others.fields].filter(([key]) => !names.includes(key as Name))
      for (const [index, name] of wanted.entries()) {
        fields.splice((seed + index * 7) % (fields.length + 1), 0, [name, { tag: 'S', value: `of ${name}` }])
      }
      const table = fieldTable(new Map(fields))
      const headers = scan(table)
      for (const name of names) {
        const at = headers.valueAt(HeaderBits[name])
        if (!wanted.includes(name)) assert.equal(at, -1)
        else assert.deepEqual(decodeFieldValue(table.bytes, at), { tag: 'S', value: `of ${name}` })
      }
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('are named exactly: no other case, beginning or length', () => {
    const near = names.flatMap((name) => [name.toUpperCase().replace('X-', 'x_'), name.slice(1), `${name} `])
    const headers = scan(
      tableOf({
        cc: 1,
        bcc: 1,
        'X-delay': 1,
        'x-delax': 1,
        ...Object.fromEntries(near.filter((name) => !names.includes(name as Name)).map((key) => [key, 1])),
      }),
    )
    assert.equal(headers.found, 0)
    // A key that is longer by 32 bytes has the same remainder.
    assert.equal(scan(tableOf({ [`x-delay${'y'.repeat(32)}`]: 1 })).found, 0)
  })

  it('count by their last value when they stand there twice', () => {
    const [first, second] = [tableOf({ 'x-delay': 1 }), tableOf({ 'x-delay': 2 })]
    const bytes = Buffer.concat([first.bytes, second.bytes])
    const headers = new KnownHeaders()
    headers.scan(bytes, 0, bytes.length)
    assert.equal(decodeFieldValue(bytes, headers.valueAt(HeaderBits['x-delay'])).value, 2)
  })

  it('forget what the message before had', () => {
    const headers = scan(tableOf({ CC: ['a'] }))
    const { bytes } = tableOf({ plain: 1 })
    headers.scan(bytes, 0, bytes.length)
    assert.deepEqual([headers.found, headers.valueAt(HeaderBits.CC)], [0, -1])
  })
})
