import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BlockTable, BlockTables } from '../../../src/log/file/block-table.ts'
import { RecordCache } from '../../../src/log/file/record-cache.ts'
import { gatherRecordsMax } from '../../../src/log/log.ts'

/** A length field and as many bytes, all of them `value`. */
function record(value: number, length: number): Uint8Array {
  const bytes = new Uint8Array(4 + length).fill(value)
  new DataView(bytes.buffer).setUint32(0, length, true)
  return bytes
}

function put(cache: RecordCache, position: number, value: number, length: number): void {
  const page = Buffer.concat([Buffer.alloc(10), record(value, length), Buffer.alloc(10)])
  cache.put(position, page, 10, 14 + length)
}

function found(cache: RecordCache, position: number): Uint8Array | null {
  return cache.find(position) ? cache.bytes.slice(cache.start, cache.end) : null
}

describe('the record cache', () => {
  test('finds what was put in, at positions of any size', () => {
    const cache = new RecordCache(1_000)
    const positions = [4_180, 4_181, 2 ** 32 + 4_180, 2 ** 52 + 1]
    for (const [index, position] of positions.entries()) put(cache, position, index + 1, index * 10)
    for (const [index, position] of positions.entries())
      assert.deepEqual(found(cache, position), new Uint8Array(index * 10).fill(index + 1))
    for (const position of [0, 4_182, 2 ** 33 + 4_180]) assert.equal(found(cache, position), null)
  })

  test('forgets the older half when bytes run out, and none of the newest half', () => {
    const cache = new RecordCache(1_000)
    for (let index = 1; index <= 100; index++) {
      put(cache, index * 1_000, index, 96)
      for (let back = 0; back < 10; back++) {
        if (index > back) assert.deepEqual(found(cache, (index - back) * 1_000), new Uint8Array(96).fill(index - back))
      }
      if (index > 20) assert.equal(found(cache, (index - 20) * 1_000), null)
    }
  })

  test('forgets the older half when there are as many as one may hold', () => {
    const cache = new RecordCache(16 * gatherRecordsMax)
    for (let index = 1; index <= 3 * gatherRecordsMax; index++) put(cache, index, 7, 0)
    assert.equal(found(cache, gatherRecordsMax), null)
    for (let index = 2 * gatherRecordsMax + 1; index <= 3 * gatherRecordsMax; index++)
      assert.ok(cache.find(index), `${index}`)
  })
})

describe('the tables of blocks', () => {
  const table = (blocks: number): BlockTable => {
    const numbers: number[] = []
    for (let block = 0; block < blocks; block++) numbers.push(100 * block + 50, 100 * block + 120, 0)
    return new BlockTable(numbers)
  }

  test('know which block holds an offset, and that none does', () => {
    const blocks = table(7)
    const at = [49, 50, 119, 120, 149, 150, 650, 719, 720].map((offset) => blocks.find(offset))
    assert.deepEqual(at, [-1, 0, 0, -1, -1, 1, 6, 6, -1])
    assert.equal(new BlockTable([]).find(5), -1)
  })

  test('are kept for the pages used last, as far as their memory goes', () => {
    const size = table(10).memoryBytes
    const tables = new BlockTables(3 * size)
    for (const page of [1, 2, 3]) tables.put(page, table(10))
    assert.ok(tables.find(1) !== null)
    tables.put(4, table(10))
    assert.deepEqual(
      [1, 2, 3, 4].map((page) => tables.find(page) !== null),
      [true, false, true, true],
    )
    tables.put(4, table(1))
    assert.ok(tables.memoryBytes < 3 * size)
    tables.drop(1, 4)
    assert.equal(tables.find(3), null)
    assert.equal(tables.memoryBytes, table(1).memoryBytes)
  })
})
