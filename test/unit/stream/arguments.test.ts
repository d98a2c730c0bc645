import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type FieldValue, type PlainValue, tableOf } from '../../../src/amqp/field-table.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { BrokerError } from '../../../src/broker/errors.ts'
import { AckFloor } from '../../../src/broker/stream/ack-floor.ts'
import { addToBloom, BlockFlag, ConsumerFilter, consumerFilter } from '../../../src/broker/stream/filter.ts'
import { startOf } from '../../../src/broker/stream/offset-argument.ts'
import { segmentBytesOf } from '../../../src/broker/stream/streams.ts'
import { definitionOf } from '../../support/shard-harness.ts'

const now = 1_700_000_000_000
const what = "queue 's' in vhost '/'"
const start = (value: PlainValue) => startOf(what, tableOf({ 'x-stream-offset': value }), now)
const startField = (field: FieldValue) =>
  startOf(what, { bytes: new Uint8Array(0), fields: new Map([['x-stream-offset', field]]) }, now)

describe('x-stream-offset', () => {
  test('is next where it is not said', () => {
    assert.deepEqual(startOf(what, tableOf({}), now), { at: 'next' })
  })

  test('names the ends, an offset, or a time', () => {
    for (const at of ['first', 'last', 'next']) assert.deepEqual(start(at), { at })
    assert.deepEqual(start(0), { at: 'offset', offset: 0 })
    assert.deepEqual(start(2 ** 40), { at: 'offset', offset: 2 ** 40 })
    assert.deepEqual(start(new Date(5000)), { at: 'time', ms: 5000 })
    assert.deepEqual(startField({ tag: 'T', value: 1234 }), { at: 'time', ms: 1_234_000 })
  })

  test('says how long ago', () => {
    const hour = 3_600_000
    const ages = { '90s': 90_000, '5m': 300_000, '1h': hour, '7D': 168 * hour, '1M': 720 * hour, '1Y': 8760 * hour }
    for (const [text, ms] of Object.entries(ages)) assert.deepEqual(start(text), { at: 'time', ms: now - ms }, text)
  })

  test('is refused when it is none of these', () => {
    const refused = (field: FieldValue, term: string): void => {
      const text = `invalid arg 'x-stream-offset' for ${what}: {invalid_stream_offset_arg,{${term}}}`
      assert.throws(() => startField(field), new BrokerError('precondition-failed', text))
    }
    refused({ tag: 'S', value: 'soon' }, 'longstr,<<"soon">>')
    refused({ tag: 'S', value: '0h' }, 'longstr,<<"0h">>')
    refused({ tag: 'S', value: '1w' }, 'longstr,<<"1w">>')
    refused({ tag: 'I', value: -1 }, 'signedint,-1')
    refused({ tag: 't', value: true }, 'bool,true')
  })
})

describe('filters', () => {
  const bytes = (text: string): Uint8Array => Buffer.from(text)
  const passes = (filter: ConsumerFilter | null, value: string | null): boolean | undefined =>
    filter?.passes(bytes(`..${value}`), value === null ? -1 : 2, value?.length ?? 0)

  test('take exactly the values asked for, and those without any only when asked to', () => {
    const one = consumerFilter(what, tableOf({ 'x-stream-filter': 'eu' }))
    assert.deepEqual(
      ['eu', 'us', 'e', 'eu2', null].map((value) => passes(one, value)),
      [true, false, false, false, false],
    )
    const several = consumerFilter(
      what,
      tableOf({ 'x-stream-filter': ['eu', 5, 'us'], 'x-stream-match-unfiltered': true }),
    )
    assert.deepEqual(
      ['eu', 'us', '5', null].map((value) => passes(several, value)),
      [true, true, false, true],
    )
    assert.equal(consumerFilter(what, tableOf({ 'x-stream-match-unfiltered': true })), null)
  })

  test('are bounded', () => {
    const values = (count: number) => tableOf({ 'x-stream-filter': Array(count).fill('a') as string[] })
    assert.ok(consumerFilter(what, values(256)) !== null)
    assert.throws(() => consumerFilter(what, values(257)), /more than 256 values/)
  })

  test('pass over blocks that cannot hold a value, and never one that does', () => {
    const random = new SeededRandom(3)
    let passedOver = 0
    for (let round = 0; round < 300; round++) {
      const bloom = new Uint8Array([16, 64, 255][round % 3] as number)
      const values = Array.from({ length: 10 }, () => `v${random.below(1_000_000)}`)
      for (const value of values) addToBloom(bloom, bytes(value), 0, value.length)
      for (const value of values) {
        const filter = new ConsumerFilter([bytes(value)], false)
        assert.ok(filter.mayPass(BlockFlag.hasFiltered, bloom))
      }
      const other = new ConsumerFilter([bytes('another')], false)
      if (!other.mayPass(BlockFlag.hasFiltered, bloom)) passedOver++
    }
    assert.ok(passedOver > 270, `${passedOver} of 300 blocks were passed over`)
    const unfiltered = new ConsumerFilter([bytes('a')], true)
    assert.equal(unfiltered.mayPass(BlockFlag.hasUnfiltered, null), true)
    assert.equal(new ConsumerFilter([bytes('a')], false).mayPass(BlockFlag.hasUnfiltered, null), false)
  })
})

describe('the floor of what is acknowledged', () => {
  test('rises with the lowest that is held', () => {
    const floor = new AckFloor()
    assert.equal(floor.floor(10), 10)
    for (const offset of [10, 11, 15]) floor.delivered(offset)
    assert.equal(floor.floor(16), 10)
    floor.settled(11, 15, true)
    assert.equal(floor.floor(16), 10)
    floor.settled(10, 10, true)
    assert.equal(floor.floor(16), 16)
  })

  test('stays for good below what was given back', () => {
    const floor = new AckFloor()
    for (let offset = 0; offset < 10; offset++) floor.delivered(offset)
    floor.settled(4, 4, false)
    floor.settled(0, 3, true)
    assert.equal(floor.floor(10), 4)
    floor.settled(5, 9, true)
    floor.delivered(10)
    floor.settled(10, 10, true)
    assert.equal(floor.floor(11), 4)
  })

  test('is that of a plain set, whatever comes', () => {
    const random = new SeededRandom(5)
    for (let round = 0; round < 100; round++) {
      const floor = new AckFloor()
      const held = new Set<number>()
      let lowestBack = Number.POSITIVE_INFINITY
      let next = 0
      for (let step = 0; step < 400; step++) {
        if (random.below(2) === 0 || held.size === 0) {
          next += random.below(3)
          held.add(next)
          floor.delivered(next++)
        } else {
          const offset = [...held][random.below(held.size)] as number
          const isDone = random.below(200) > 0
          if (!isDone) lowestBack = Math.min(lowestBack, offset)
          held.delete(offset)
          floor.settled(offset, offset, isDone)
        }
        assert.equal(floor.floor(next), Math.min(next, lowestBack, ...held))
      }
    }
  })
})

test('segments are as large as declared, within bounds, and small beside a small limit', () => {
  const mebi = 1024 * 1024
  const sized = (segmentBytes: number | null, maxLengthBytes: number | null): number =>
    segmentBytesOf(definitionOf(1, 's', true, { segmentBytes, maxLengthBytes })) / mebi
  assert.equal(sized(null, null), 64)
  assert.equal(sized(500_000_000, null), 256)
  assert.equal(sized(1, null), 1)
  assert.equal(sized(8 * mebi, 4 * mebi), 8)
  assert.equal(sized(null, 40 * mebi), 10)
  assert.equal(sized(null, 1000), 1)
})
