import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Method, Methods } from '../../../src/amqp/methods.generated.ts'
import { HeldConfirms } from '../../../src/server/held-confirms.ts'
import { defaultServerLimits } from '../../../src/server/limits.ts'
import {
  basicGet,
  basicNack,
  channelClose,
  confirmSelect,
  connectionClose,
  queueDeclare,
  turns,
  txCommit,
  txRollback,
  txSelect,
} from '../../support/memory-client.ts'
import { fakeHarness } from '../../support/server-harness.ts'

const exchangeDelete: Method = {
  id: Methods.ExchangeDelete,
  name: 'exchange.delete',
  exchange: 'amq.direct',
  ifUnused: false,
  noWait: true,
}

describe('a confirm of a message that no queue gets', () => {
  it('waits until the topology by which it was routed is stored; its return does not', async () => {
    const harness = fakeHarness()
    const { broker } = harness
    const [publisher, other] = [await harness.channel(), await harness.channel()]
    publisher.methods(1, confirmSelect)
    await publisher.next('confirm.select-ok')
    broker.holdsTopology = true
    other.methods(1, exchangeDelete)
    await turns()
    for (const mandatory of [true, false]) publisher.publish(1, { routingKey: 'nowhere', mandatory }, 'x')
    assert.deepEqual(await publisher.names(), ['1 basic.return'])
    broker.commitTopology()
    const { method } = await publisher.next('basic.ack')
    assert.deepEqual([method.deliveryTag, method.multiple], [2, true])
    broker.holdsTopology = false
    publisher.publish(1, { routingKey: 'nowhere' }, 'x')
    assert.equal((await publisher.next('basic.ack')).method.deliveryTag, 3)
  })

  it('does not hold up those of messages that queues get', async () => {
    const harness = fakeHarness()
    const { broker } = harness
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.methods(1, confirmSelect)
    await client.next('confirm.select-ok')
    broker.holdsTopology = true
    client.methods(1, exchangeDelete)
    client.publish(1, { routingKey: 'nowhere' }, 'x')
    client.publish(1, { routingKey: 'q' }, 'x')
    const first = (await client.next('basic.ack')).method
    assert.deepEqual([first.deliveryTag, first.multiple], [2, false])
    broker.commitTopology()
    assert.equal((await client.next('basic.ack')).method.deliveryTag, 1)
  })

  it('holds up the answer to a commit, which speaks for it', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    client.methods(1, txSelect)
    await client.next('tx.select-ok')
    harness.broker.holdsTopology = true
    client.methods(1, exchangeDelete)
    client.publish(1, { routingKey: 'nowhere', mandatory: true }, 'x')
    client.methods(1, txCommit)
    assert.deepEqual(await client.names(), ['1 basic.return'])
    harness.broker.commitTopology()
    await client.next('tx.commit-ok')
  })

  it('is forgotten when the channel closes', async () => {
    const harness = fakeHarness()
    const [client, other] = [await harness.channel(), await harness.channel()]
    client.methods(1, confirmSelect)
    await client.next('confirm.select-ok')
    harness.broker.holdsTopology = true
    other.methods(1, exchangeDelete)
    await turns()
    client.publish(1, { routingKey: 'nowhere' }, 'x')
    client.methods(1, channelClose)
    await client.next('channel.close-ok')
    harness.broker.commitTopology()
    assert.deepEqual(await client.names(), [])
  })

  it('is released in order, however many there were', () => {
    const held = new HeldConfirms()
    const confirmed: number[] = []
    const sink = { confirm: (sequence: number) => void confirmed.push(sequence), refuse: () => assert.fail() }
    let next = 1
    for (let position = 1; position <= 50; position++) {
      for (let count = 0; count < position; count++) held.add(position, next++)
      held.release(position - 3, sink)
    }
    assert.equal(held.isEmpty, false)
    held.release(50, sink)
    assert.equal(held.isEmpty, true)
    assert.deepEqual(
      confirmed,
      Array.from({ length: next - 1 }, (_, index) => index + 1),
    )
  })
})

describe('connection.close', () => {
  it('waits for a channel that waits for a result, but not for ever', async () => {
    const harness = fakeHarness()
    const { broker, clock } = harness
    const client = await harness.channel()
    await client.declare(1, 'q')
    broker.holdsResults = true
    client.methods(1, basicGet('q'))
    client.methods(0, connectionClose)
    await turns()
    clock.advance(defaultServerLimits.parkedCloseMsMax - 1)
    assert.deepEqual(await client.names(), [])
    clock.advance(1)
    await client.next('connection.close-ok')
    await client.closedByServer()
    broker.releaseResults()
    await turns()
    assert.deepEqual(broker.closedSessions, [1])
  })

  it('is answered as soon as the result is there, once', async () => {
    const harness = fakeHarness()
    const { broker, clock } = harness
    const client = await harness.channel()
    await client.declare(1, 'q')
    broker.holdsResults = true
    client.methods(1, basicGet('q'))
    client.methods(0, connectionClose)
    await turns()
    broker.releaseResults()
    await client.next('basic.get-empty')
    await client.next('connection.close-ok')
    await client.closedByServer()
    clock.advance(2 * defaultServerLimits.parkedCloseMsMax)
    await turns()
    assert.deepEqual(
      [client.heard, broker.closedSessions, harness.log.filter((line) => line.startsWith('error'))],
      [[], [1], []],
    )
  })
})

describe('what becomes of a delivery', () => {
  it('in a transaction is what was said of it; a rollback is no failure, and the end of the channel is one', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c')
    for (let count = 0; count < 4; count++) client.publish(1, { routingKey: 'q' }, 'x')
    await client.nextOf(4, 'basic.deliver')
    const reject: Method = { id: Methods.BasicReject, name: 'basic.reject', deliveryTag: 1, requeue: true }
    client.methods(1, txSelect, reject, basicNack(2, false, true), txRollback)
    await client.next('tx.select-ok')
    await client.next('tx.rollback-ok')
    const settled = (): string[] => harness.broker.vhost.calls.filter((call) => call.startsWith('settle'))
    assert.deepEqual(settled(), [])
    client.methods(1, reject, basicNack(2, false, true), txCommit)
    assert.ok((await client.names()).includes('1 tx.commit-ok'))
    assert.deepEqual(settled(), ['settle q c 1-1 fail', 'settle q c 2-2 requeue'])
    client.methods(1, channelClose)
    await client.next('channel.close-ok')
    const outcomes = settled()
      .slice(2)
      .map((call) => call.split(' ').at(-1))
    assert.deepEqual(new Set(outcomes), new Set(['fail']))
  })

  it('is a failure for what a transaction held when its channel closed', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c')
    client.publish(1, { routingKey: 'q' }, 'x')
    await client.next('basic.deliver')
    client.methods(1, txSelect, basicNack(1, false, true), queueDeclare('q', { passive: true }), channelClose)
    await turns()
    const settled = harness.broker.vhost.calls.filter((call) => call.startsWith('settle'))
    assert.deepEqual(settled, ['settle q c 1-1 fail'])
  })
})
