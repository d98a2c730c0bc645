import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  changeFields,
  decodeFieldTable,
  emptyTable,
  type FieldValue,
  fieldTable,
  tableOf,
} from '../../../src/amqp/field-table.ts'
import { fieldTables, names } from '../../support/amqp-arbitraries.ts'

describe('changing fields of a table', () => {
  it('leaves the others as they are, to the byte, and writes the new ones behind them', () => {
    const property = fc.property(fieldTables, names, names, fieldTables, (before, gone, set, value) => {
      const after = changeFields(
        before,
        new Map<string, FieldValue | null>([
          [gone, null],
          [set, { tag: 'F', value }],
        ]),
      )
      const expected = new Map(before.fields)
      expected.delete(gone)
      expected.delete(set)
      expected.set(set, { tag: 'F', value })
      assert.deepEqual(after.bytes, fieldTable(expected).bytes)
      assert.deepEqual(after.fields, expected)
      assert.deepEqual(decodeFieldTable(after.bytes, 0, after.bytes.length).fields, expected)
    })
    fc.assert(property, { seed: 5, numRuns: 500 })
  })

  it('keeps what a decoded value would not say', () => {
    // A boolean of 2, and a key that stands there twice.
    const bytes = Uint8Array.of(1, 0x61, 0x74, 2, 1, 0x62, 0x56, 1, 0x61, 0x74, 3)
    const table = decodeFieldTable(bytes, 0, bytes.length)
    const changed = changeFields(table, new Map([['c', { tag: 'V', value: null }]]))
    assert.deepEqual(changed.bytes, Uint8Array.of(...bytes, 1, 0x63, 0x56))
    assert.deepEqual(changeFields(table, new Map([['a', null]])).bytes, Uint8Array.of(1, 0x62, 0x56))
  })

  it('gives the empty table when nothing is left', () => {
    assert.equal(changeFields(tableOf({ a: 1 }), new Map([['a', null]])), emptyTable)
    assert.equal(changeFields(emptyTable, new Map()), emptyTable)
  })
})
