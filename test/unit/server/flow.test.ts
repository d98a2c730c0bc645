import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Method, Methods } from '../../../src/amqp/methods.generated.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { chunkBytes } from '../../../src/broker/message.ts'
import { FakeBroker } from '../../support/fake-broker.ts'
import {
  basicAck,
  basicCancel,
  basicConsume,
  basicGet,
  basicQos,
  channelClose,
  channelOpen,
  confirmSelect,
  connectionClose,
  connectionCloseOk,
  type MemoryClient,
  publishBytes,
  queueDeclare,
  turns,
  txCommit,
  txSelect,
} from '../../support/memory-client.ts'
import { fakeHarness, ServerHarness } from '../../support/server-harness.ts'

const blockedCapability = { capabilities: { 'connection.blocked': true } }

describe('publish gate', () => {
  it('tells a client that publishes after the alarm, lets its publish wait, and goes on when all alarms are gone', async () => {
    const { broker, ...harness } = await withGate()
    const { publisher, idle, consumer } = harness
    broker.setGate('blocked', ['memory'])
    assert.deepEqual(await idle.names(), [])
    publisher.methods(1, basicQos(1))
    await publisher.next('basic.qos-ok')
    publisher.publish(1, { routingKey: 'q' }, 'waits')
    publisher.methods(1, basicQos(2))
    assert.equal((await publisher.next('connection.blocked')).method.reason, 'low on memory')
    assert.deepEqual([await publisher.names(), broker.vhost.queue('q').ready.length], [[], 1])
    consumer.methods(1, basicGet('q', true))
    await consumer.next('basic.get-ok')
    broker.setGate('blocked', ['memory', 'disk'])
    broker.setGate('blocked', ['disk'])
    assert.deepEqual(await publisher.names(), [])
    broker.setGate('open')
    assert.deepEqual(await publisher.names(), ['connection.unblocked', '1 basic.qos-ok'])
    assert.equal(broker.vhost.queue('q').ready.length, 1)
    assert.deepEqual(await idle.names(), [])
  })

  async function withGate(): Promise<{
    broker: FakeBroker
    publisher: MemoryClient
    idle: MemoryClient
    consumer: MemoryClient
  }> {
    const harness = fakeHarness()
    const publisher = await harness.channel(blockedCapability)
    await publisher.declare(1, 'q')
    publisher.publish(1, { routingKey: 'q' }, 'first')
    return {
      broker: harness.broker,
      publisher,
      idle: await harness.channel(blockedCapability),
      consumer: await harness.channel(),
    }
  }

  it('joins the reasons and says nothing to a client that cannot hear it', async () => {
    const harness = fakeHarness()
    const hearing = await harness.channel(blockedCapability)
    const deaf = await harness.channel()
    await deaf.declare(1, 'q')
    harness.broker.setGate('blocked', ['memory', 'disk'])
    for (const client of [hearing, deaf]) client.publish(1, { routingKey: 'q' }, 'x')
    assert.equal((await hearing.next('connection.blocked')).method.reason, 'low on memory & low on disk')
    assert.deepEqual(await deaf.names(), [])
    harness.broker.setGate('open')
    await hearing.next('connection.unblocked')
    await turns()
    assert.equal(harness.broker.vhost.queue('q').ready.length, 2)
  })

  it('holds publishers back without a word while the log catches up, large bodies too', async () => {
    const harness = fakeHarness()
    const client = await harness.channel(blockedCapability)
    await client.declare(1, 'q')
    const large = publishBytes(1, { routingKey: 'q', frameBytesMax: 8192 }, Buffer.alloc(4 * chunkBytes, 5))
    client.bytes(large.subarray(0, large.length / 2))
    await turns()
    harness.broker.setGate('congested')
    const [body] = harness.broker.vhost.bodies
    const written = body?.count ?? 0
    client.bytes(large.subarray(large.length / 2))
    client.methods(1, txSelect)
    assert.deepEqual(await client.names(), [])
    // Its allowance is less than a chunk, but may complete one.
    assert.ok((body?.count ?? 0) <= written + 1)
    harness.broker.setGate('open')
    await client.next('tx.select-ok')
    harness.broker.setGate('congested')
    client.methods(1, txCommit)
    assert.deepEqual(await client.names(), [])
    harness.broker.setGate('open')
    await client.next('tx.commit-ok')
    assert.equal(harness.broker.vhost.queue('q').ready.length, 1)
  })

  it('lets a connection that publishes little go on while the log catches up, each time', async () => {
    const harness = fakeHarness()
    const [quiet, busy] = [await harness.channel(), await harness.channel()]
    await quiet.declare(1, 'q')
    const ready = (): number => harness.broker.vhost.queue('q').ready.length
    for (let time = 1; time <= 3; time++) {
      harness.broker.setGate('congested')
      quiet.publish(1, { routingKey: 'q' }, 'little')
      for (let count = 0; count < 100; count++) busy.publish(1, { routingKey: 'q' }, 'x'.repeat(1_000))
      await turns()
      const passed = ready()
      assert.ok(passed > 101 * (time - 1) + 1 && passed < 101 * (time - 1) + 25, `${passed} in time ${time}`)
      harness.broker.setGate('open')
      await turns()
      assert.equal(ready(), 101 * time)
    }
  })

  it('gives so much to some hundred connections, and then to none', async () => {
    const harness = fakeHarness()
    const clients = await Promise.all(Array.from({ length: 300 }, () => harness.channel()))
    await clients[0]?.declare(1, 'q')
    harness.broker.setGate('congested')
    for (const client of clients) client.publish(1, { routingKey: 'q' }, 'little')
    await turns()
    assert.equal(harness.broker.vhost.queue('q').ready.length, 256)
    harness.broker.setGate('open')
    await turns()
    assert.equal(harness.broker.vhost.queue('q').ready.length, 300)
  })

  it('lets a blocked client be closed', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    harness.broker.setGate('blocked', ['disk'])
    client.publish(1, { routingKey: 'q' }, 'never')
    await turns()
    const [connection] = harness.server.connections
    assert.ok(connection !== undefined)
    connection.closeForced('enough')
    const { method } = await client.next('connection.close')
    assert.deepEqual([method.replyCode, method.replyText], [320, 'CONNECTION_FORCED - enough'])
    client.methods(0, connectionCloseOk)
    await client.closedByServer()
    assert.equal(harness.broker.vhost.queue('q').ready.length, 0)
  })

  it('stops reading a channel with too many unconfirmed publishes until confirms have come', async () => {
    const harness = fakeHarness({ unconfirmedPerChannelMax: 10 })
    const { vhost } = harness.broker
    vhost.holdsConfirms = true
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.methods(1, confirmSelect)
    await client.next('confirm.select-ok')
    for (let count = 0; count < 25; count++) client.publish(1, { routingKey: 'q' }, 'x')
    for (const expected of [10, 10, 5]) {
      await turns()
      assert.equal(vhost.confirms.length, expected)
      for (const { sink, sequence } of vhost.confirms.splice(0)) sink.confirm(sequence)
      await client.next('basic.ack')
    }
  })
})

describe('a parked channel', () => {
  it('waits for its result, in order, while the other channels go on', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.openChannel(2)
    await client.declare(1, 'q')
    harness.broker.holdsResults = true
    client.methods(1, queueDeclare('q', { passive: true }), basicQos(1))
    client.publish(1, { routingKey: 'q' }, 'small')
    client.publish(1, { routingKey: 'q', frameBytesMax: 2000 }, Buffer.alloc(5000))
    client.publish(1, { routingKey: 'q' }, Buffer.alloc(100_000))
    client.methods(2, basicQos(7))
    client.publish(2, { routingKey: 'q' }, 'from the other')
    assert.deepEqual([await client.names(), harness.broker.vhost.queue('q').ready.length], [['2 basic.qos-ok'], 1])
    harness.broker.releaseResults()
    client.methods(1, queueDeclare('q', { passive: true }))
    assert.equal((await client.next('queue.declare-ok')).method.messageCount, 1)
    await client.next('basic.qos-ok')
    assert.equal((await client.next('queue.declare-ok')).method.messageCount, 4)
  })

  it('parks again where its own input makes it', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    harness.broker.holdsResults = true
    client.methods(1, queueDeclare('a'), queueDeclare('b'), basicQos(1))
    await turns()
    harness.broker.releaseResults()
    harness.broker.holdsResults = true
    assert.deepEqual(await client.names(), ['1 queue.declare-ok'])
    harness.broker.releaseResults()
    assert.deepEqual(await client.names(), ['1 queue.declare-ok', '1 basic.qos-ok'])
  })

  it('keeps a bounded input; then nothing of the connection is read', async () => {
    const harness = fakeHarness({ parkedBytesMax: 10_000 })
    const client = await harness.channel()
    await client.openChannel(2)
    await client.declare(1, 'q')
    harness.broker.holdsResults = true
    client.methods(1, queueDeclare('q', { passive: true }))
    let isTaken = 0
    for (let count = 0; count < 900; count++) {
      client.socket.write(publishBytes(1, { routingKey: 'q' }, Buffer.alloc(1000)), () => isTaken++)
    }
    client.methods(2, basicQos(1))
    assert.deepEqual(await client.names(), [])
    assert.ok(isTaken < 400, `${isTaken} publishes were taken over`)
    harness.broker.releaseResults()
    assert.deepEqual(await client.names(), ['1 queue.declare-ok', '2 basic.qos-ok'])
    assert.equal(harness.broker.vhost.queue('q').ready.length, 900)
  })

  it('undoes what comes after its end: a consumer is cancelled, a message given back', async () => {
    const harness = fakeHarness()
    const { broker } = harness
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.publish(1, { routingKey: 'q' }, 'x')
    await client.openChannel(2)
    await client.openChannel(3)
    broker.holdsResults = true
    client.methods(1, basicConsume('q', 'late'))
    client.methods(2, basicGet('q'))
    client.methods(3, basicGet('q'), basicQos(1))
    await turns()
    client.socket.destroy()
    await turns()
    broker.releaseResults()
    await turns()
    const { calls } = broker.vhost
    assert.ok(calls.includes('cancel late'))
    assert.ok(calls.includes('settle q - 1-1 requeue'))
    assert.equal(broker.vhost.queue('q').ready.length, 1)
  })

  it('closes when its result is a refusal, with what it had kept', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    harness.broker.holdsResults = true
    client.methods(1, queueDeclare('missing', { passive: true }), queueDeclare('never'))
    await turns()
    harness.broker.releaseResults()
    assert.deepEqual(await client.names(), ['1 channel.close'])
    assert.equal(harness.broker.vhost.queues.size, 0)
  })
})

describe('replies that wait for topology', () => {
  it('hold back what follows on their channel, and no other channel', async () => {
    const harness = fakeHarness()
    const { broker } = harness
    const client = await harness.channel()
    await client.openChannel(2)
    await client.declare(2, 'q')
    client.publish(2, { routingKey: 'q' }, 'x')
    broker.holdsTopology = true
    client.methods(1, queueDeclare('d', { durable: true }), basicConsume('q', 'c'), basicQos(3))
    client.methods(2, basicQos(1))
    assert.deepEqual(await client.names(), ['2 basic.qos-ok'])
    assert.deepEqual(broker.vhost.calls, [])
    broker.commitTopology()
    const heard = ['1 queue.declare-ok', '1 basic.consume-ok', '1 basic.deliver', '1 basic.qos-ok']
    assert.deepEqual((await client.names()).sort(), heard.sort())
  })

  it('go before a get, which is tried when they are out', async () => {
    const harness = fakeHarness()
    const { broker } = harness
    const client = await harness.channel()
    broker.holdsTopology = true
    client.methods(1, queueDeclare('d', { durable: true }))
    client.publish(1, { routingKey: 'd' }, 'x')
    client.methods(1, basicGet('d'), basicGet('d'))
    assert.deepEqual(await client.names(), [])
    broker.commitTopology()
    assert.deepEqual(await client.names(), ['1 queue.declare-ok', '1 basic.get-ok', '1 basic.get-empty'])
  })

  it('park the channel when there are too many', async () => {
    const harness = fakeHarness({ heldRepliesMax: 3 })
    const { broker } = harness
    const client = await harness.channel()
    broker.holdsTopology = true
    client.methods(1, ...['a', 'b', 'c', 'd', 'e'].map((name) => queueDeclare(name, { durable: true })))
    assert.deepEqual(await client.names(), [])
    assert.equal(broker.vhost.queues.size, 3)
    broker.holdsTopology = false
    broker.commitTopology()
    assert.equal((await client.names()).length, 5)
  })

  it('go out before close-ok of the channel and of the connection', async () => {
    const harness = fakeHarness()
    const { broker } = harness
    const client = await harness.channel()
    broker.holdsTopology = true
    client.methods(1, queueDeclare('a', { durable: true }), channelClose)
    assert.deepEqual(await client.names(), [])
    broker.commitTopology()
    assert.deepEqual(await client.names(), ['1 queue.declare-ok', '1 channel.close-ok'])
    client.methods(1, channelOpen, queueDeclare('b', { durable: true }))
    client.methods(0, connectionClose)
    assert.deepEqual(await client.names(), ['1 channel.open-ok'])
    broker.commitTopology()
    assert.deepEqual(await client.names(), ['1 queue.declare-ok', 'connection.close-ok'])
    await client.closedByServer()
  })

  it('never activate a consumer that was cancelled in between', async () => {
    const harness = fakeHarness()
    const { broker } = harness
    const client = await harness.channel()
    await client.declare(1, 'q')
    broker.holdsTopology = true
    client.methods(1, queueDeclare('d', { durable: true }), basicConsume('q', 'c'), basicCancel('c'))
    await turns()
    broker.commitTopology()
    assert.deepEqual(await client.names(), ['1 queue.declare-ok', '1 basic.consume-ok', '1 basic.cancel-ok'])
    assert.deepEqual(broker.vhost.calls, ['cancel c'])
  })
})

describe('a client that does not read', () => {
  it('gets a bounded amount, while others get theirs, and the rest when it reads again', async () => {
    const limits = { deliveryBytesMax: 200_000, outputBytesMax: 400_000 }
    const harness = fakeHarness(limits)
    const { vhost } = harness.broker
    const publisher = await harness.channel()
    await publisher.declare(1, 'slow')
    await publisher.declare(1, 'quick')
    const slow = await harness.channel()
    await slow.consume(1, 'slow', 's')
    const quick = await harness.channel()
    await quick.consume(1, 'quick', 'q', { noAck: true })
    slow.socket.pause()
    for (let count = 0; count < 100; count++) {
      publisher.publish(1, { routingKey: 'slow' }, Buffer.alloc(10_000))
      publisher.publish(1, { routingKey: 'quick' }, 'x')
    }
    await quick.nextOf(100, 'basic.deliver')
    const delivered = 100 - vhost.queue('slow').ready.length
    assert.ok(delivered >= 20 && delivered <= 40, `${delivered} deliveries are on their way`)
    slow.socket.resume()
    await slow.nextOf(100, 'basic.deliver')
  })

  it('is not read either when its replies pile up', async () => {
    const harness = fakeHarness({ deliveryBytesMax: 20_000, outputBytesMax: 40_000 })
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.publish(1, { routingKey: 'q' }, 'x')
    await turns()
    client.socket.pause()
    let taken = 0
    const asks = 30_000
    const get = publishBytes(1, { routingKey: 'nowhere', mandatory: true }, Buffer.alloc(100))
    for (let count = 0; count < asks; count++) client.socket.write(get, () => taken++)
    await turns(500)
    const [connection] = harness.server.connections
    assert.ok((connection?.output.waitingBytes ?? 0) < 100_000)
    assert.ok(taken < asks / 2, `${taken} of ${asks} were taken`)
    client.socket.resume()
    await client.nextOf(asks, 'basic.return')
  })

  it('gets large bodies piece by piece, a few at a time', async () => {
    const harness = fakeHarness({ largeBodiesMax: 2 })
    const { vhost } = harness.broker
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c', { noAck: true })
    client.socket.pause()
    for (let count = 0; count < 6; count++) client.publish(1, { routingKey: 'q' }, Buffer.alloc(300_000, count))
    await turns(200)
    assert.equal(vhost.queue('q').ready.length, 4)
    const [connection] = harness.server.connections
    assert.ok((connection?.output.waitingBytes ?? 0) < 150_000)
    client.socket.resume()
    const bodies = await client.nextOf(6, 'basic.deliver')
    assert.deepEqual(
      bodies.map(({ body }) => [body?.length, body?.[299_999]]),
      [0, 1, 2, 3, 4, 5].map((fill) => [300_000, fill]),
    )
    assert.deepEqual(
      vhost.bodies.map(({ releases }) => releases),
      [1, 1, 1, 1, 1, 1],
    )
  })

  it('lets go of large bodies when it goes', async () => {
    const harness = fakeHarness()
    const { vhost } = harness.broker
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c', { noAck: true })
    vhost.holdsReads = true
    for (let count = 0; count < 2; count++) client.publish(1, { routingKey: 'q' }, Buffer.alloc(100_000))
    await turns()
    client.socket.destroy()
    await turns()
    for (const read of vhost.reads.splice(0)) read()
    await turns()
    assert.deepEqual(
      vhost.bodies.map(({ releases }) => releases),
      [1, 1],
    )
  })
})

describe('heartbeats', () => {
  const interval = 10

  it('go out when nothing was written for half the interval', async () => {
    const harness = fakeHarness()
    const client = await harness.channel({ heartbeat: interval })
    const beats = async (seconds: number): Promise<number> => {
      client.heartbeat()
      await turns()
      harness.clock.advance(seconds * 1000)
      return (await client.names()).filter((name) => name === 'heartbeat').length
    }
    await beats(interval / 2)
    assert.equal(await beats(interval / 2), 1)
    client.methods(1, basicQos(1))
    assert.deepEqual(await client.names(), ['1 basic.qos-ok'])
    assert.equal(await beats(interval / 2), 0)
    assert.equal(await beats(interval / 2), 1)
  })

  it('go between the frames of a large body, ahead of what waits behind it', async () => {
    const harness = fakeHarness()
    const { vhost } = harness.broker
    const client = await harness.channel({ heartbeat: interval })
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c', { noAck: true })
    vhost.holdsReads = true
    client.publish(1, { routingKey: 'q' }, Buffer.alloc(200_000, 3))
    client.methods(1, basicQos(1))
    assert.deepEqual(await client.names(), [])
    for (let tick = 0; tick < 3; tick++) {
      client.heartbeat()
      await turns()
      harness.clock.advance((interval / 2) * 1000)
    }
    assert.ok((await client.names()).includes('heartbeat'))
    while (vhost.reads.length > 0) {
      for (const read of vhost.reads.splice(0)) read()
      await turns()
    }
    assert.equal((await client.next('basic.deliver')).body?.length, 200_000)
    await client.next('basic.qos-ok')
  })

  it('end a connection that was silent for two checks, and none that said anything', async () => {
    const harness = fakeHarness()
    const silent = await harness.channel({ heartbeat: interval })
    const talking = await harness.channel({ heartbeat: interval })
    const without = await harness.channel({ heartbeat: 0 })
    for (let second = 0; second < 3 * interval; second += 5) {
      harness.clock.advance(5000)
      if (second % 10 === 0) talking.heartbeat()
      await turns()
    }
    assert.deepEqual([silent.isClosed, talking.isClosed, without.isClosed], [true, false, false])
    assert.ok(harness.log.some((line) => line.includes('missed heartbeats from client')))
  })

  it('do not expect anything of a client that is not read', async () => {
    const harness = fakeHarness()
    const client = await harness.channel({ heartbeat: interval })
    await client.declare(1, 'q')
    harness.broker.setGate('blocked', ['memory'])
    client.publish(1, { routingKey: 'q' }, 'x')
    await turns()
    for (let check = 0; check < 10; check++) {
      harness.clock.advance(interval * 1000)
      await turns()
    }
    assert.equal(client.isClosed, false)
    harness.broker.setGate('open')
    client.methods(1, basicQos(1))
    await turns()
    assert.ok((await client.names()).includes('1 basic.qos-ok'))
  })

  it('end a connection whose client takes nothing, although it talks', async () => {
    const harness = fakeHarness()
    const client = await harness.channel({ heartbeat: interval })
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c', { noAck: true })
    client.socket.pause()
    for (let count = 0; count < 60; count++) client.publish(1, { routingKey: 'q' }, Buffer.alloc(10_000))
    for (let check = 0; check < 4; check++) {
      client.heartbeat()
      await turns()
      harness.clock.advance(interval * 1000)
    }
    await turns()
    assert.equal(harness.server.connections.size, 0)
    assert.ok(harness.log.some((line) => line.includes('client does not read')))
  })
})

describe('turns', () => {
  /** Every look at the monotonic clock costs a tenth of a millisecond: as if work took time. */
  class BusyClock extends ManualClock {
    #passed = 0

    override monotonic(): number {
      this.#passed += 0.1
      return super.monotonic() + this.#passed
    }
  }

  it('give a quiet connection its turn while others flood the broker', async () => {
    const harness = new ServerHarness(new FakeBroker(), {}, new BusyClock())
    const quiet = await harness.channel()
    await quiet.declare(1, 'q')
    const { vhost } = harness.broker
    vhost.queue('q').isSink = true
    const flood = publishBytes(1, { routingKey: 'q' }, 'x')
    const floods = await Promise.all([harness.channel(), harness.channel(), harness.channel()])
    const count = 20_000
    for (const client of floods) client.bytes(Buffer.concat(Array.from({ length: count }, () => flood)))
    await turns(4)
    for (let answered = 0; answered < 5; answered++) {
      const before = vhost.queue('q').nextSequence
      quiet.methods(1, basicQos(answered))
      while (quiet.heard.length === 0) await turns(1)
      quiet.heard.length = 0
      const meanwhile = vhost.queue('q').nextSequence - before
      assert.ok(meanwhile > 0 && meanwhile < 10_000, `${meanwhile} messages were published before the answer`)
    }
    for (const client of floods) client.methods(1, basicQos(1))
    for (const client of floods) await client.next('basic.qos-ok')
  })
})

describe('the end of the server', () => {
  it('lets pending confirms out, closes with 320, and says that all have gone', async () => {
    const harness = fakeHarness()
    const { vhost } = harness.broker
    vhost.holdsConfirms = true
    const publisher = await harness.channel()
    const idle = await harness.channel()
    await publisher.declare(1, 'q')
    publisher.methods(1, confirmSelect)
    publisher.publish(1, { routingKey: 'q' }, 'x')
    await publisher.next('confirm.select-ok')
    await turns()
    const closing = harness.server.close(5000)
    publisher.publish(1, { routingKey: 'q' }, 'too late')
    const { method } = await idle.next('connection.close')
    assert.equal(method.replyText, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")
    idle.methods(0, connectionCloseOk)
    await idle.closedByServer()
    assert.deepEqual(await publisher.names(), [])
    for (const { sink, sequence } of vhost.confirms.splice(0)) sink.confirm(sequence)
    await publisher.next('basic.ack')
    await publisher.next('connection.close')
    publisher.methods(0, connectionCloseOk)
    assert.equal(await closing, true)
    assert.equal(vhost.queue('q').entries.length, 1)
    await harness.connect().closedByServer()
  })

  it('cuts off who does not go in time', async () => {
    const harness = fakeHarness()
    const stuck = await harness.channel()
    const stranger = harness.connect()
    const closing = harness.server.close(5000)
    await stranger.closedByServer()
    await turns()
    harness.clock.advance(5000)
    assert.equal(await closing, false)
    await stuck.closedByServer()
    assert.deepEqual([harness.server.connections.size, harness.broker.closedSessions], [0, [1]])
  })

  it('has nothing to wait for without connections', async () => {
    assert.equal(await fakeHarness().server.close(1000), true)
  })
})

describe('a connection that is closed by us', () => {
  it('is dropped when it does not answer within the time for that', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    client.methods(2, basicAck(1))
    await client.next('connection.close')
    const ignored: Method = {
      id: Methods.BasicQos,
      name: 'basic.qos',
      prefetchSize: 0,
      prefetchCount: 1,
      global: false,
    }
    client.methods(1, ignored)
    assert.deepEqual(await client.names(), [])
    harness.clock.advance(10_000)
    await client.closedByServer()
  })

  it('answers a close that crosses its own', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    client.methods(2, basicAck(1))
    client.methods(0, connectionClose)
    assert.deepEqual(await client.names(), ['connection.close', 'connection.close-ok'])
    await client.closedByServer()
  })
})
