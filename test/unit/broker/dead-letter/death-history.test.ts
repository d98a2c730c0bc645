import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ByteWriter } from '../../../../src/amqp/byte-writer.ts'
import { encodeContentHeader, headersOf } from '../../../../src/amqp/content-header.ts'
import {
  decodeFieldTable,
  emptyTable,
  type FieldTable,
  type FieldValue,
  fieldTable,
  tableOf,
} from '../../../../src/amqp/field-table.ts'
import { fieldItemsMax } from '../../../../src/amqp/field-table-check.ts'
import {
  type Death,
  type DeathReason,
  deathBytesMax,
  deathKeysMax,
  deathsMax,
  isCycle,
  recordDeath,
} from '../../../../src/broker/dead-letter/death-history.ts'
import { fieldTables } from '../../../support/amqp-arbitraries.ts'

const first: Death = {
  queue: 'orders',
  reason: 'expired',
  seconds: 1_700_000_000,
  exchange: 'shop',
  routingKeys: ['order.new', 'copy'],
  expiration: '500',
}

function died(headers: FieldTable, ...deaths: (Partial<Death> & { isRerouted?: boolean })[]): FieldTable {
  return deaths.reduce(
    (sum: FieldTable, one) => recordDeath(sum, { ...first, ...one }, one.isRerouted ?? false),
    headers,
  )
}

/** Names and values in the order of the bytes, arrays and tables opened. */
function written(value: FieldValue | undefined): unknown {
  if (value?.tag === 'A') return value.value.map(written)
  if (value?.tag === 'F') return reread(value.value).map(([key, inner]) => [key, `${inner.tag}`, written(inner)])
  return value?.value
}

function reread(table: FieldTable): [string, FieldValue][] {
  return [...decodeFieldTable(table.bytes, 0, table.bytes.length, 2 * fieldItemsMax).fields]
}

function deathsOf(headers: FieldTable): { queue: unknown; reason: unknown; count: unknown }[] {
  const field = new Map(reread(headers)).get('x-death')
  assert.equal(field?.tag, 'A')
  return field.value.map((item) => {
    assert.equal(item.tag, 'F')
    const value = (key: string): unknown => item.value.fields.get(key)?.value
    return { queue: value('queue'), reason: value('reason'), count: value('count') }
  })
}

const text = (headers: FieldTable, key: string): unknown => headers.fields.get(key)?.value

describe('the death history', () => {
  it('names everything about a first death, in the order of RabbitMQ', () => {
    const headers = died(emptyTable, {})
    assert.deepEqual(written(headers.fields.get('x-death')), [
      [
        ['original-expiration', 'S', '500'],
        ['count', 'l', 1],
        ['reason', 'S', 'expired'],
        ['queue', 'S', 'orders'],
        ['time', 'T', 1_700_000_000],
        ['exchange', 'S', 'shop'],
        ['routing-keys', 'A', ['order.new', 'copy']],
      ],
    ])
    for (const which of ['first', 'last']) {
      assert.equal(text(headers, `x-${which}-death-reason`), 'expired')
      assert.equal(text(headers, `x-${which}-death-queue`), 'orders')
      assert.equal(text(headers, `x-${which}-death-exchange`), 'shop')
    }
  })

  it('has no original-expiration where the message had none', () => {
    const entry = written(died(emptyTable, { expiration: null }).fields.get('x-death')) as [string][][]
    assert.deepEqual(
      entry[0]?.map(([key]) => key),
      ['count', 'reason', 'queue', 'time', 'exchange', 'routing-keys'],
    )
  })

  it('counts a repetition in its entry, moves that to the front and changes nothing else of it', () => {
    const later = { seconds: 1_800_000_000, exchange: 'other', routingKeys: ['again'], expiration: null }
    const headers = died(emptyTable, {}, { queue: 'wait', reason: 'expired' }, { ...later })
    assert.deepEqual(deathsOf(headers), [
      { queue: 'orders', reason: 'expired', count: 2 },
      { queue: 'wait', reason: 'expired', count: 1 },
    ])
    assert.deepEqual((written(headers.fields.get('x-death')) as unknown[])[0], [
      ['original-expiration', 'S', '500'],
      ['count', 'l', 2],
      ['reason', 'S', 'expired'],
      ['queue', 'S', 'orders'],
      ['time', 'T', 1_700_000_000],
      ['exchange', 'S', 'shop'],
      ['routing-keys', 'A', ['order.new', 'copy']],
    ])
  })

  it('has one entry for each queue and reason, the newest first', () => {
    const headers = died(emptyTable, {}, { reason: 'rejected' }, { queue: 'b' }, { reason: 'rejected' })
    assert.deepEqual(deathsOf(headers), [
      { queue: 'orders', reason: 'rejected', count: 2 },
      { queue: 'b', reason: 'expired', count: 1 },
      { queue: 'orders', reason: 'expired', count: 1 },
    ])
  })

  it('sets the first death once and the last one each time', () => {
    const headers = died(emptyTable, {}, { queue: 'b', reason: 'maxlen', exchange: 'x' })
    assert.equal(text(headers, 'x-first-death-queue'), 'orders')
    assert.equal(text(headers, 'x-first-death-reason'), 'expired')
    assert.equal(text(headers, 'x-first-death-exchange'), 'shop')
    assert.equal(text(headers, 'x-last-death-queue'), 'b')
    assert.equal(text(headers, 'x-last-death-reason'), 'maxlen')
    assert.equal(text(headers, 'x-last-death-exchange'), 'x')
  })

  it('leaves other headers as they came and in their place', () => {
    const bytes = Uint8Array.of(1, 0x61, 0x74, 2, 2, 0x43, 0x43, 0x56, 1, 0x62, 0x56)
    const headers = decodeFieldTable(bytes, 0, bytes.length)
    const kept = died(headers, {})
    assert.deepEqual(kept.bytes.subarray(0, bytes.length), bytes)
    const rerouted = died(headers, { isRerouted: true })
    assert.deepEqual(rerouted.bytes.subarray(0, 7), Uint8Array.of(1, 0x61, 0x74, 2, 1, 0x62, 0x56))
    assert.equal(rerouted.fields.has('CC'), false)
  })

  it('goes on with the history that a client passed on with narrower numbers', () => {
    const death = {
      count: 3,
      reason: 'rejected',
      queue: 'orders',
      time: new Date(5000),
      exchange: '',
      'routing-keys': ['k'],
    }
    const headers = died(tableOf({ 'x-death': [death], 'x-first-death-queue': 'mine' }), { reason: 'rejected' })
    assert.deepEqual(deathsOf(headers), [{ queue: 'orders', reason: 'rejected', count: 4 }])
    assert.equal(text(headers, 'x-first-death-queue'), 'mine')
  })

  it('starts anew where x-death has another form', () => {
    const good = { count: 1, reason: 'expired', queue: 'q', time: new Date(0), exchange: '', 'routing-keys': [] }
    const bad = [
      { ...good, count: 0 },
      { ...good, count: 1.5 },
      { ...good, count: '1' },
      { ...good, count: 2n ** 60n },
      { ...good, time: 'now' },
      { ...good, queue: 5 },
      { ...good, queue: 'q'.repeat(256) },
      { ...good, 'routing-keys': 'k' },
      { ...good, 'routing-keys': [1] },
      { reason: 'expired' },
      'text',
      null,
    ]
    for (const value of ['text', 5, null, good, [], ...bad.map((one) => [one])]) {
      const headers = died(tableOf({ 'x-death': value, 'x-first-death-queue': 'forged' }), {})
      assert.deepEqual(deathsOf(headers), [{ queue: 'orders', reason: 'expired', count: 1 }])
      assert.equal(text(headers, 'x-first-death-queue'), 'orders')
    }
    assert.equal(deathsOf(died(tableOf({ 'x-death': [...bad, good] }), {})).length, 2)
  })

  it('never throws and always decodes, whatever the headers are', () => {
    const value = fieldTables.map((table): FieldValue => ({ tag: 'F', value: table }))
    const property = fc.property(fieldTables, fc.array(value, { maxLength: 5 }), (headers, items) => {
      const fields = new Map<string, FieldValue>([...headers.fields, ['x-death', { tag: 'A', value: items }]])
      const after = died(fieldTable(fields), {})
      assert.deepEqual(deathsOf(after)[0], { queue: 'orders', reason: 'expired', count: 1 })
    })
    fc.assert(property, { seed: 11, numRuns: 300 })
  })

  it('keeps the newest entries within its limits', () => {
    let headers = emptyTable
    for (let index = 0; index < deathsMax + 10; index++) headers = died(headers, { queue: `q${index}` })
    const deaths = deathsOf(headers)
    assert.equal(deaths.length, deathsMax)
    assert.equal(deaths[0]?.queue, `q${deathsMax + 9}`)
    const keys = Array.from({ length: 100 }, (_, index) => `${index}`.padEnd(255, '.'))
    for (let index = 0; index < 40; index++) {
      headers = died(headers, { queue: `${index}`.padEnd(255, '-'), exchange: 'x'.repeat(255), routingKeys: keys })
    }
    assert.ok(headers.bytes.length < deathBytesMax + 2000, `${headers.bytes.length} bytes`)
    assert.equal(deathsOf(headers)[0]?.queue, '39'.padEnd(255, '-'))
  })

  it('fits into the headers of a message that came with as many as may be', () => {
    const fields = new Map<string, FieldValue>()
    for (let index = 0; index < fieldItemsMax; index++) fields.set(`h${index}`, { tag: 'V', value: null })
    const routingKeys = Array.from({ length: 4000 }, () => '')
    let headers = fieldTable(fields)
    for (let index = 0; index < 2 * deathsMax; index++) headers = died(headers, { queue: `${index}`, routingKeys })
    const writer = new ByteWriter()
    encodeContentHeader(writer, 0, { headers })
    assert.equal(headersOf(writer.buffer, 0, writer.length).fields.size, fieldItemsMax + 7)
    const newest = headers.fields.get('x-death')
    assert.equal(newest?.tag === 'A' && newest.value[0]?.tag === 'F' && newest.value[0].value.fields.size, 7)
    assert.ok(deathKeysMax < routingKeys.length)
  })
})

describe('a cycle', () => {
  const history = (...deaths: [queue: string, reason: DeathReason][]): FieldTable =>
    died(emptyTable, ...deaths.map(([queue, reason]) => ({ queue, reason })))

  it('is there when the target is in the history and nobody rejected since', () => {
    assert.equal(isCycle(history(['a', 'expired']), 'a', 'expired'), true)
    assert.equal(isCycle(history(['a', 'expired'], ['b', 'maxlen'], ['c', 'delivery_limit']), 'a', 'expired'), true)
    assert.equal(isCycle(history(['a', 'expired'], ['b', 'expired']), 'c', 'expired'), false)
    assert.equal(isCycle(emptyTable, 'a', 'expired'), false)
  })

  it('is broken by a rejection as new as the last death at the target, or newer', () => {
    assert.equal(isCycle(history(['a', 'expired'], ['a', 'rejected'], ['b', 'expired']), 'a', 'expired'), false)
    assert.equal(isCycle(history(['a', 'rejected'], ['b', 'expired']), 'a', 'expired'), false)
    assert.equal(isCycle(history(['b', 'rejected'], ['a', 'expired'], ['c', 'expired']), 'a', 'expired'), true)
    // The last death at `a` counts, even where an older one was a rejection.
    assert.equal(isCycle(history(['a', 'rejected'], ['a', 'expired'], ['c', 'expired']), 'a', 'expired'), true)
  })

  it('is never one for a message that was rejected just now', () => {
    assert.equal(isCycle(history(['a', 'expired'], ['b', 'rejected']), 'a', 'rejected'), false)
    assert.equal(isCycle(history(['a', 'expired']), 'a', 'rejected'), false)
  })

  it('is taken for one when the history is full, so that no chain goes on for ever', () => {
    const chain = Array.from({ length: deathsMax }, (_, index): [string, DeathReason] => [`q${index}`, 'expired'])
    assert.equal(isCycle(history(...chain.slice(1)), 'new', 'expired'), false)
    assert.equal(isCycle(history(...chain), 'new', 'expired'), true)
    assert.equal(isCycle(history(...chain.slice(1), ['q', 'rejected']), 'new', 'expired'), false)
    const long = chain.map(([name]): [string, DeathReason] => [name.padEnd(250, '-'), 'expired'])
    const wide = died(
      emptyTable,
      ...long.map(([queue]) => ({ queue, routingKeys: Array.from({ length: 16 }, () => 'k'.repeat(250)) })),
    )
    assert.ok(deathsOf(wide).length < deathsMax)
    assert.equal(isCycle(wide, 'new', 'expired'), true)
  })
})
