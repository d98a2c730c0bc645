import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FieldValue, fieldTable, type PlainValue, tableOf } from '../../../src/amqp/field-table.ts'
import { plainSettings } from '../../../src/broker/queue/queue-settings.ts'
import {
  basicAck,
  basicGet,
  confirmSelect,
  type MemoryClient,
  type PublishOptions,
  turns,
  txRollback,
  txSelect,
} from '../../support/memory-client.ts'
import { fakeHarness, type ServerHarness } from '../../support/server-harness.ts'

const timeoutMs = 30_000

/** A channel that holds `count` deliveries of `q`, tags 1 to `count`; the queue gives leases of 30 s. */
async function holding(
  count: number,
): Promise<{ harness: ServerHarness; client: MemoryClient; leases: () => string[] }> {
  const harness = fakeHarness()
  const client = await harness.channel()
  await client.declare(1, 'q')
  const queue = harness.broker.vhost.queue('q')
  Object.assign(queue.definition, { settings: { ...plainSettings, consumerTimeoutMs: timeoutMs } })
  await client.consume(1, 'q', 'c')
  for (let sent = 0; sent < count; sent++) client.publish(1, { routingKey: 'q' }, 'x')
  await client.nextOf(count, 'basic.deliver')
  const leases = (): string[] => harness.broker.vhost.calls.filter((call) => call.startsWith('extendLease'))
  return { harness, client, leases }
}

function lease(headers: Record<string, PlainValue> | null, options: Partial<PublishOptions> = {}): PublishOptions {
  const properties = headers === null ? {} : { headers: tableOf(headers) }
  return { routingKey: 'amq.warren.lease', properties, ...options }
}

describe('leases', () => {
  it('of one delivery are extended by a publish, as long as it says or else as the queue does', async () => {
    const { client, leases } = await holding(3)
    client.publish(1, lease({ 'x-delivery-tag': 2, 'x-lease': 5_000 }))
    client.publish(1, lease({ 'x-delivery-tag': 3 }))
    await turns()
    assert.deepEqual(leases(), ['extendLease q c 2 5000', `extendLease q c 3 ${timeoutMs}`])
  })

  it('are extended under an alarm too, and hold up no acknowledgement behind them', async () => {
    const { harness, client, leases } = await holding(2)
    harness.broker.setGate('blocked', ['memory'])
    client.publish(1, lease({ 'x-delivery-tag': 2, 'x-lease': 5_000 }))
    client.methods(1, basicAck(1))
    await turns()
    assert.deepEqual(leases(), ['extendLease q c 2 5000'])
    assert.equal(harness.broker.vhost.calls.at(-1), 'settle q c 1-1 ack')
    client.publish(1, { routingKey: 'amq.warren.leas' }, 'x')
    client.methods(1, basicAck(2))
    await turns()
    assert.equal(harness.broker.vhost.calls.at(-1), 'settle q c 1-1 ack', 'any other publish waits, and all behind it')
  })

  it('of all unsettled deliveries are extended by tag 0, those taken by basic.get too', async () => {
    const { client, leases } = await holding(2)
    await client.declare(1, 'p')
    client.publish(1, { routingKey: 'p' }, 'x')
    client.methods(1, basicGet('p'), basicAck(1))
    client.publish(1, lease({ 'x-delivery-tag': 0, 'x-lease': 7 }))
    await client.next('basic.get-ok')
    await turns()
    assert.deepEqual(leases(), ['extendLease q c 2 7', 'extendLease p - 1 7'])
  })

  it('are those of what is left, with holes between', async () => {
    const { client, leases } = await holding(40)
    const settled = [1, 2, 5, 17, 18, 19, 30, 40]
    client.methods(1, ...settled.map((tag) => basicAck(tag)))
    client.publish(1, lease({ 'x-delivery-tag': 0, 'x-lease': 9 }))
    client.publish(1, lease({ 'x-delivery-tag': 31, 'x-lease': 8 }))
    await turns()
    const left = Array.from({ length: 40 }, (_, index) => index + 1).filter((tag) => !settled.includes(tag))
    assert.deepEqual(leases(), [...left.map((tag) => `extendLease q c ${tag} 9`), 'extendLease q c 31 8'])
  })

  it('of very many deliveries are extended in slices, each once', async () => {
    const { client, leases } = await holding(5_000)
    client.publish(1, lease({ 'x-delivery-tag': 0, 'x-lease': 7 }))
    await turns()
    assert.equal(new Set(leases()).size, 5_000)
    assert.equal(leases().length, 5_000)
  })

  it('are not given where the queue has none and the publish names none', async () => {
    const { harness, client, leases } = await holding(1)
    Object.assign(harness.broker.vhost.queue('q').definition, { settings: plainSettings })
    client.publish(1, lease({ 'x-delivery-tag': 1 }))
    await turns()
    assert.deepEqual(leases(), [])
  })

  it('are confirmed and go to no queue; an unknown tag is returned if that was asked for', async () => {
    const { harness, client, leases } = await holding(1)
    client.methods(1, confirmSelect)
    client.publish(1, lease({ 'x-delivery-tag': 1 }, { mandatory: true }), 'ok')
    client.publish(1, lease({ 'x-delivery-tag': 9 }, { mandatory: true }), 'unknown')
    client.publish(1, lease({ 'x-delivery-tag': 9 }), 'nobody hears')
    client.publish(1, lease({ 'x-delivery-tag': 9 }, { mandatory: true }), Buffer.alloc(100_000))
    await client.next('confirm.select-ok')
    const returns = await client.nextOf(2, 'basic.return')
    assert.deepEqual(
      returns.map(({ body }) => body?.length),
      [7, 100_000],
    )
    assert.equal((await client.next('basic.ack')).method.deliveryTag, 4)
    assert.equal(leases().length, 1)
    assert.equal(harness.broker.vhost.queue('q').entries.length, 1)
  })

  it('of a delivery that was just settled are not extended', async () => {
    const { client, leases } = await holding(2)
    client.methods(1, basicAck(1))
    client.publish(1, lease({ 'x-delivery-tag': 1 }, { mandatory: true }), 'gone')
    await client.next('basic.return')
    assert.deepEqual(leases(), [])
  })

  it('are extended at once in a transaction, and a rollback does not change that', async () => {
    const { client, leases } = await holding(1)
    client.methods(1, txSelect)
    client.publish(1, lease({ 'x-delivery-tag': 1 }))
    client.methods(1, txRollback)
    await client.next('tx.select-ok')
    await client.next('tx.rollback-ok')
    assert.equal(leases().length, 1)
  })

  const refused: [FieldValue | null, FieldValue | null, string][] = [
    [null, null, "invalid header 'x-delivery-tag': it is missing"],
    [null, { tag: 'I', value: 5 }, "invalid header 'x-delivery-tag': it is missing"],
    [{ tag: 'S', value: '1' }, null, "invalid header 'x-delivery-tag': {unacceptable_type,longstr}"],
    [{ tag: 'I', value: -1 }, null, "invalid header 'x-delivery-tag': -1, from 0 to 9007199254740991 is possible"],
    [
      { tag: 'l', value: 2n ** 60n },
      null,
      `invalid header 'x-delivery-tag': ${2n ** 60n}, from 0 to 9007199254740991 is possible`,
    ],
    [{ tag: 'I', value: 1 }, { tag: 'I', value: 0 }, "invalid header 'x-lease': 0, from 1 to 315360000000 is possible"],
    [{ tag: 'I', value: 1 }, { tag: 'd', value: 1.5 }, "invalid header 'x-lease': {unacceptable_type,double}"],
  ]
  for (const [tag, ms, text] of refused) {
    it(`are refused: ${text}`, async () => {
      const { client, leases } = await holding(1)
      const fields = new Map<string, FieldValue>()
      if (tag !== null) fields.set('x-delivery-tag', tag)
      if (ms !== null) fields.set('x-lease', ms)
      client.publish(1, {
        routingKey: 'amq.warren.lease',
        properties: fields.size === 0 ? {} : { headers: fieldTable(fields) },
      })
      const { method } = await client.next('channel.close')
      assert.deepEqual([method.replyCode, method.replyText], [406, `PRECONDITION_FAILED - ${text}`])
      assert.deepEqual(leases(), [])
    })
  }

  it('are extended only through the default exchange', async () => {
    const { client, leases } = await holding(1)
    client.publish(1, { ...lease({ 'x-delivery-tag': 1 }), exchange: 'amq.direct', mandatory: true }, 'a message')
    await client.next('basic.return')
    assert.deepEqual(leases(), [])
  })
})
