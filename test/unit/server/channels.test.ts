import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { emptyTable } from '../../../src/amqp/field-table.ts'
import { encodeBodyFrames } from '../../../src/amqp/frame-encoder.ts'
import { type Method, Methods } from '../../../src/amqp/methods.generated.ts'
import { defaultServerLimits } from '../../../src/server/limits.ts'
import {
  basicAck,
  basicCancel,
  basicConsume,
  basicGet,
  basicNack,
  basicQos,
  channelClose,
  channelCloseOk,
  channelOpen,
  confirmSelect,
  connectionClose,
  type MemoryClient,
  publishBytes,
  queueDeclare,
  turns,
  txCommit,
  txRollback,
  txSelect,
} from '../../support/memory-client.ts'
import { fakeHarness } from '../../support/server-harness.ts'

function tagsOf(heard: readonly { method: Method | null }[]): (number | null)[] {
  return heard.map(({ method }) => (method?.name === 'basic.deliver' ? method.deliveryTag : null))
}

function textOf({ body }: { body: Uint8Array | null }): string {
  return Buffer.from(body ?? []).toString()
}

describe('channels', () => {
  it('must be opened first (504), and once (504)', async () => {
    const unopened = await fakeHarness().login()
    unopened.methods(1, queueDeclare('q'))
    await unopened.closesConnection(504, "CHANNEL_ERROR - expected 'channel.open'")
    const twice = await fakeHarness().channel()
    twice.methods(1, channelOpen)
    await twice.closesConnection(504, "CHANNEL_ERROR - second 'channel.open' seen")
  })

  it('are bounded by the negotiated channel_max (530)', async () => {
    const client = await fakeHarness().login({ channelMax: 2 })
    await client.openChannel(1)
    await client.openChannel(7)
    client.methods(9, channelOpen)
    const text = 'NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)'
    await client.closesConnection(530, text)
  })

  it('refuse methods that are not theirs (503, 504) and content without a publish (505)', async () => {
    const cases: [number, Method, number, RegExp][] = [
      [
        1,
        { id: Methods.ConnectionTuneOk, name: 'connection.tune-ok', channelMax: 1, frameMax: 4096, heartbeat: 0 },
        503,
        /unimplemented/,
      ],
      [1, { id: Methods.QueueBindOk, name: 'queue.bind-ok' }, 503, /^COMMAND_INVALID - /],
      [0, queueDeclare('q'), 504, /unexpected method in connection state running/],
    ]
    for (const [channel, method, code, text] of cases) {
      const client = await fakeHarness().channel()
      client.methods(channel, method)
      await client.closesConnection(code, text)
    }
    const content = await fakeHarness().channel()
    const writer = new ByteWriter()
    encodeBodyFrames(writer, 1, 4096, Uint8Array.of(1))
    content.bytes(writer.copy())
    await content.closesConnection(505, 'UNEXPECTED_FRAME - expected method frame, got non method frame instead')
  })

  it('drop what comes after an error until close-ok, also content in flight, and may then be opened again', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.publish(1, { exchange: 'missing', routingKey: 'q' }, 'lost')
    client.publish(1, { routingKey: 'q' }, 'dropped')
    client.methods(1, basicAck(99), queueDeclare('other'))
    client.bytes(publishBytes(1, { routingKey: 'q' }, 'half').subarray(0, -1))
    await client.next('channel.close')
    assert.deepEqual(await client.names(), [])
    client.bytes(Uint8Array.of(0xce))
    client.methods(1, channelCloseOk, channelOpen, queueDeclare('again'))
    assert.deepEqual(await client.names(), ['1 channel.open-ok', '1 queue.declare-ok'])
    assert.deepEqual([...harness.broker.vhost.queues.keys()], ['q', 'again'])
    assert.equal(harness.broker.vhost.queue('q').ready.length, 0)
  })

  it('survive closes that cross, with and without a close-ok from the client', async () => {
    for (const answers of [[channelCloseOk], []]) {
      const client = await fakeHarness().channel()
      client.methods(1, basicAck(1), channelClose)
      assert.deepEqual(await client.names(), ['1 channel.close', '1 channel.close-ok'])
      client.methods(1, ...answers, channelOpen)
      assert.deepEqual(await client.names(), ['1 channel.open-ok'])
    }
  })

  it('answer everything that was asked before the close', async () => {
    const client = await fakeHarness().channel()
    client.methods(1, queueDeclare('a'), basicQos(1), queueDeclare('b', { noWait: true }), channelClose, channelOpen)
    assert.deepEqual(await client.names(), [
      '1 queue.declare-ok',
      '1 basic.qos-ok',
      '1 channel.close-ok',
      '1 channel.open-ok',
    ])
  })

  it('answer flow when it is on and refuse to turn it off (540)', async () => {
    const client = await fakeHarness().channel()
    const flow = (active: boolean): Method => ({ id: Methods.ChannelFlow, name: 'channel.flow', active })
    client.methods(1, flow(true))
    assert.equal((await client.next('channel.flow-ok')).method.active, true)
    client.methods(1, flow(false))
    await client.closesConnection(540, 'NOT_IMPLEMENTED - active=false')
  })
})

describe('queues and exchanges', () => {
  it('pass the broker’s refusals on with the method that failed', async () => {
    const client = await fakeHarness().channel()
    client.methods(1, queueDeclare('missing', { passive: true }))
    const { method } = await client.next('channel.close')
    assert.deepEqual([method.replyCode, method.replyText], [404, "NOT_FOUND - no queue 'missing' in vhost '/'"])
    assert.deepEqual([method.classId, method.methodId], [50, 10])
  })

  it('let an empty name stand for the queue declared last', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    client.methods(1, queueDeclare(''))
    const { method } = await client.next('queue.declare-ok')
    const name = method.queue
    const bind = { id: Methods.QueueBind, name: 'queue.bind', noWait: true, arguments: emptyTable } as const
    client.methods(1, { ...bind, queue: '', exchange: 'amq.direct', routingKey: '' })
    client.methods(1, { ...bind, queue: '', exchange: 'amq.direct', routingKey: 'k' })
    client.methods(1, { ...bind, queue: name, exchange: 'amq.direct', routingKey: '' })
    client.publish(1, { routingKey: name }, 'x')
    client.methods(1, basicGet(''), { id: Methods.QueuePurge, name: 'queue.purge', queue: '', noWait: false })
    client.methods(1, basicConsume('', 'c'))
    client.methods(1, {
      id: Methods.QueueDelete,
      name: 'queue.delete',
      queue: '',
      ifUnused: false,
      ifEmpty: false,
      noWait: false,
    })
    const heard = ['1 basic.get-ok', '1 queue.purge-ok', '1 basic.consume-ok', '1 queue.delete-ok']
    assert.deepEqual(await client.names(), heard)
    assert.deepEqual(harness.broker.vhost.calls.slice(0, 3), [
      `bindQueue amq.direct ${name} ${name}`,
      `bindQueue amq.direct ${name} k`,
      `bindQueue amq.direct ${name} `,
    ])
  })

  it('refuse an empty name before any declare (404)', async () => {
    for (const method of [basicGet(''), basicConsume('', 'c'), queueDeclare('', { passive: true })]) {
      const client = await fakeHarness().channel()
      client.methods(1, method)
      await client.closesChannel(404, 'NOT_FOUND - no previously declared queue')
    }
  })
})

describe('consuming', () => {
  it('says consume-ok before the first delivery and numbers deliveries and gets together from 1', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    for (const text of ['a', 'b', 'c', 'd']) client.publish(1, { routingKey: 'q' }, text)
    client.methods(1, basicGet('q'), basicGet('q', true), basicConsume('q', 'c', { noAck: true }), basicGet('q'))
    const first = (await client.next('basic.get-ok')).method
    const second = (await client.next('basic.get-ok')).method
    assert.deepEqual([first.deliveryTag, first.messageCount, second.deliveryTag, second.messageCount], [1, 3, 2, 2])
    await client.next('basic.consume-ok')
    assert.deepEqual(tagsOf(await client.nextOf(2, 'basic.deliver')), [3, 4])
    await client.next('basic.get-empty')
  })

  it('makes tags for those who have none and refuses a tag that is in use (530)', async () => {
    const client = await fakeHarness().channel()
    await client.declare(1, 'q')
    client.methods(1, basicConsume('q', ''))
    assert.match((await client.next('basic.consume-ok')).method.consumerTag, /^amq\.ctag-[\w-]{22}$/)
    await client.consume(1, 'q', 'c')
    client.methods(1, basicConsume('q', 'c'))
    await client.closesConnection(530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'")
  })

  it('bounds the consumers of a channel (530)', async () => {
    const client = await fakeHarness({ consumersPerChannelMax: 2 }).channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'a')
    await client.consume(1, 'q', 'b')
    client.methods(1, basicConsume('q', 'c'))
    await client.closesConnection(530, 'NOT_ALLOWED - reached maximum (2) of consumers per channel')
  })

  it('cancels known and unknown tags alike, and leaves what was delivered unsettled', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c')
    client.publish(1, { routingKey: 'q' }, 'x')
    await client.next('basic.deliver')
    client.methods(1, basicCancel('c'), basicCancel('c'), basicCancel('never'))
    client.methods(1, { id: Methods.BasicCancel, name: 'basic.cancel', consumerTag: 'never', noWait: true })
    assert.deepEqual(await client.names(), ['1 basic.cancel-ok', '1 basic.cancel-ok', '1 basic.cancel-ok'])
    client.publish(1, { routingKey: 'q' }, 'y')
    client.methods(1, basicAck(1), basicConsume('q', 'c'))
    await client.next('basic.consume-ok')
    assert.equal(textOf(await client.next('basic.deliver')), 'y')
  })

  it('tells only clients that can hear it that the broker ended a consumer', async () => {
    const harness = fakeHarness()
    const hearing = await harness.channel({ capabilities: { consumer_cancel_notify: true } })
    const deaf = await harness.channel()
    await hearing.declare(1, 'q')
    await hearing.consume(1, 'q', 'c')
    await deaf.consume(1, 'q', 'c')
    deaf.methods(1, {
      id: Methods.QueueDelete,
      name: 'queue.delete',
      queue: 'q',
      ifUnused: false,
      ifEmpty: false,
      noWait: false,
    })
    const { method } = await hearing.next('basic.cancel')
    assert.deepEqual([method.consumerTag, method.noWait], ['c', true])
    hearing.methods(1, basicCancel('c'), { id: Methods.BasicCancelOk, name: 'basic.cancel-ok', consumerTag: 'c' })
    await hearing.next('basic.cancel-ok')
    assert.deepEqual(await deaf.names(), ['1 queue.delete-ok'])
  })

  it('keeps the limit of each consumer as it was when it began, and shares the channel’s', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'a')
    await client.declare(1, 'b')
    client.methods(1, basicQos(2), basicConsume('a', 'a'), basicQos(5), basicConsume('b', 'b'))
    await client.names()
    for (let count = 0; count < 12; count++) {
      client.publish(1, { routingKey: 'a' }, 'x')
      client.publish(1, { routingKey: 'b' }, 'x')
    }
    assert.equal((await client.names()).length, 7)
    client.methods(1, basicQos(3, true), basicAck(7, true))
    await client.next('basic.qos-ok')
    assert.deepEqual(tagsOf(await client.nextOf(3, 'basic.deliver')), [8, 9, 10])
    assert.deepEqual(await client.names(), [])
    client.methods(1, basicQos(0, true))
    assert.equal((await client.names()).filter((name) => name === '1 basic.deliver').length, 4)
    client.methods(1, basicQos(1, false, 10))
    await client.closesConnection(540, 'NOT_IMPLEMENTED - prefetch_size!=0 (10)')
  })

  it('wakes the other consumers of a channel when shared credit comes back', async () => {
    const client = await fakeHarness().channel()
    await client.declare(1, 'a')
    await client.declare(1, 'b')
    client.methods(1, basicQos(1, true))
    await client.next('basic.qos-ok')
    await client.consume(1, 'a', 'a')
    await client.consume(1, 'b', 'b')
    client.publish(1, { routingKey: 'a' }, '1')
    client.publish(1, { routingKey: 'b' }, '2')
    await client.next('basic.deliver')
    assert.deepEqual(await client.names(), [])
    client.methods(1, basicAck(1))
    assert.equal(textOf(await client.next('basic.deliver')), '2')
  })
})

describe('settling', () => {
  /** A client that holds so many deliveries of queue `q`. */
  async function holding(count: number): Promise<{ client: MemoryClient; harness: ReturnType<typeof fakeHarness> }> {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c')
    for (let index = 0; index < count; index++) client.publish(1, { routingKey: 'q' }, `${index + 1}`)
    await client.nextOf(count, 'basic.deliver')
    harness.broker.vhost.calls.length = 0
    return { client, harness }
  }

  it('gathers single acks in a row, across frames, into one settlement', async () => {
    const { client, harness } = await holding(6)
    client.methods(1, basicAck(1), basicAck(2), basicAck(3), basicNack(4, false, false), basicAck(6))
    await turns()
    const expected = ['settle q c 1-3 ack', 'settle q c 4-4 reject', 'settle q c 6-6 ack']
    assert.deepEqual(harness.broker.vhost.calls, expected)
  })

  it('takes multiple and tag 0, and refuses tags that are not outstanding (406)', async () => {
    const { client, harness } = await holding(5)
    client.methods(1, basicAck(2, true), basicAck(0, true), basicAck(0, true))
    await turns()
    assert.deepEqual(harness.broker.vhost.calls, ['settle q c 1-5 ack'])
    for (const method of [basicAck(0), basicAck(3), basicAck(3, true), basicNack(99, true, true)]) {
      client.methods(1, method)
      await client.closesChannel(406, /^PRECONDITION_FAILED - unknown delivery tag (0|3|99)$/)
    }
    client.methods(1, { id: Methods.BasicReject, name: 'basic.reject', deliveryTag: 1, requeue: true })
    const { method } = await client.next('channel.close')
    assert.deepEqual([method.classId, method.methodId], [60, 90])
  })

  it('gives back requeued messages to their place, marked', async () => {
    const { client } = await holding(3)
    client.methods(1, { id: Methods.BasicReject, name: 'basic.reject', deliveryTag: 1, requeue: true })
    const again = await client.next('basic.deliver')
    assert.deepEqual([again.method.deliveryTag, again.method.redelivered, textOf(again)], [4, true, '1'])
    client.methods(1, { id: Methods.BasicRecover, name: 'basic.recover', requeue: true })
    const all = await client.nextOf(3, 'basic.deliver')
    assert.deepEqual(all.map(textOf), ['2', '3', '1'])
    await client.next('basic.recover-ok')
    client.methods(1, { id: Methods.BasicRecoverAsync, name: 'basic.recover-async', requeue: true })
    assert.equal((await client.nextOf(3, 'basic.deliver')).length, 3)
    client.methods(1, { id: Methods.BasicRecover, name: 'basic.recover', requeue: false })
    await client.closesConnection(540, 'NOT_IMPLEMENTED - requeue=false')
  })

  it('cancels the consumers of a channel that ends before it gives back what they hold, in order', async () => {
    const { client, harness } = await holding(3)
    client.methods(1, basicAck(2), channelClose)
    await client.next('channel.close-ok')
    const { calls } = harness.broker.vhost
    assert.deepEqual(calls, ['settle q c 2-2 ack', 'cancel c', 'settle q c 1-1 fail', 'settle q c 3-3 fail'])
  })

  it('happens before the session ends, however the connection ends', async () => {
    const ends: ((client: MemoryClient) => void)[] = [
      (client) => client.methods(0, connectionClose),
      (client) => client.socket.destroy(),
      (client) => client.methods(2, queueDeclare('q')),
    ]
    for (const end of ends) {
      const { client, harness } = await holding(2)
      client.methods(1, basicAck(1))
      end(client)
      await turns()
      const expected = ['settle q c 1-1 ack', 'cancel c', 'settle q c 2-2 fail', 'closeSession 1']
      assert.deepEqual(harness.broker.vhost.calls, expected)
    }
  })

  it('says close-ok when all is over also to a client that has ended its side of the socket', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    harness.broker.holdsSessions = true
    client.methods(0, connectionClose)
    client.socket.end()
    await turns()
    assert.equal(client.isClosed, false)
    harness.broker.releaseSessions()
    await client.next('connection.close-ok')
    await client.closedByServer()
    await turns()
    assert.equal(harness.server.connections.size, 0)
  })

  it('deletes exclusive queues before it says close-ok', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'mine', { exclusive: true })
    client.methods(0, connectionClose)
    await client.next('connection.close-ok')
    assert.deepEqual([...harness.broker.vhost.queues], [])
    await client.closedByServer()
    await turns()
    assert.equal(harness.server.connections.size, 0)
  })
})

describe('transactions', () => {
  it('publish and settle at commit, give returns before commit-ok, and that after all confirms', async () => {
    const harness = fakeHarness()
    const { vhost } = harness.broker
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.publish(1, { routingKey: 'q' }, '0')
    client.methods(1, txSelect, txSelect, basicGet('q'))
    await client.nextOf(2, 'tx.select-ok')
    await client.next('basic.get-ok')
    vhost.holdsConfirms = true
    client.publish(1, { routingKey: 'q' }, 'small')
    client.publish(1, { routingKey: 'q' }, Buffer.alloc(100_000, 1))
    client.publish(1, { routingKey: 'nowhere', mandatory: true }, 'back')
    client.methods(1, basicAck(1))
    await turns()
    assert.equal(vhost.queue('q').ready.length, 0)
    client.methods(1, txCommit)
    assert.equal(textOf(await client.next('basic.return')), 'back')
    assert.deepEqual(await client.names(), [])
    assert.deepEqual([vhost.queue('q').entries.length, vhost.calls], [2, ['settle q - 1-1 ack']])
    for (const { sink, sequence } of vhost.confirms.splice(0)) sink.confirm(sequence)
    await client.next('tx.commit-ok')
    client.methods(1, txCommit)
    await client.next('tx.commit-ok')
  })

  it('forget everything at rollback but the deliveries, which stay unsettled', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    for (const text of ['1', '2', '3']) client.publish(1, { routingKey: 'q' }, text)
    await client.consume(1, 'q', 'c')
    await client.nextOf(3, 'basic.deliver')
    client.methods(1, txSelect, basicAck(2, true))
    client.publish(1, { routingKey: 'q' }, 'forgotten')
    client.publish(1, { routingKey: 'q' }, Buffer.alloc(100_000))
    client.methods(1, txRollback)
    await client.next('tx.select-ok')
    await client.next('tx.rollback-ok')
    assert.deepEqual(
      harness.broker.vhost.bodies.map(({ isAbandoned }) => isAbandoned),
      [true],
    )
    client.methods(1, basicAck(3, true), txCommit)
    await client.next('tx.commit-ok')
    assert.equal(harness.broker.vhost.calls.at(-1), 'settle q c 1-3 ack')
    assert.equal(harness.broker.vhost.queue('q').entries.length, 0)
  })

  it('refuse a second ack of a tag within one transaction (406) and give all back when the channel ends', async () => {
    const harness = fakeHarness()
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.publish(1, { routingKey: 'q' }, '1')
    client.methods(1, txSelect, basicGet('q'), basicAck(1), basicAck(1))
    await client.next('tx.select-ok')
    await client.next('basic.get-ok')
    await client.closesChannel(406, 'PRECONDITION_FAILED - unknown delivery tag 1')
    assert.deepEqual(harness.broker.vhost.calls, ['settle q - 1-1 fail'])
  })

  it('report a refused message (406), and commands during a commit (504)', async () => {
    const harness = fakeHarness()
    const { vhost } = harness.broker
    vhost.holdsConfirms = true
    const client = await harness.channel()
    await client.declare(1, 'q')
    client.methods(1, txSelect)
    await client.next('tx.select-ok')
    client.publish(1, { routingKey: 'q' }, 'x')
    client.methods(1, txCommit)
    await turns()
    for (const { sink, sequence } of vhost.confirms.splice(0)) sink.refuse(sequence)
    await client.closesChannel(406, 'PRECONDITION_FAILED - partial tx completion')
    client.methods(1, txSelect)
    await client.next('tx.select-ok')
    client.publish(1, { routingKey: 'q' }, 'x')
    client.methods(1, txCommit, basicQos(1))
    await client.closesConnection(504, "CHANNEL_ERROR - unexpected command while processing 'tx.commit'")
  })

  it('exclude confirms, and need to be selected (406)', async () => {
    const client = await fakeHarness().channel()
    client.methods(1, txCommit)
    await client.closesChannel(406, 'PRECONDITION_FAILED - channel is not transactional')
    client.methods(1, txRollback)
    await client.closesChannel(406, 'PRECONDITION_FAILED - channel is not transactional')
    client.methods(1, txSelect, confirmSelect)
    await client.next('tx.select-ok')
    await client.closesChannel(406, 'PRECONDITION_FAILED - cannot switch from tx to confirm mode')
    client.methods(1, confirmSelect, txSelect)
    await client.next('confirm.select-ok')
    await client.closesChannel(406, 'PRECONDITION_FAILED - cannot switch from confirm to tx mode')
  })

  it('are bounded in bytes and entries (406)', async () => {
    for (const limits of [{ transactionBytesMax: 1000 }, { transactionEntriesMax: 10 }]) {
      const client = await fakeHarness(limits).channel()
      await client.declare(1, 'q')
      client.methods(1, txSelect)
      await client.next('tx.select-ok')
      for (let count = 0; count < 11; count++) client.publish(1, { routingKey: 'q' }, Buffer.alloc(90))
      await client.closesChannel(406, /^PRECONDITION_FAILED - transaction is larger than the maximum of (10|1000) /)
    }
  })
})

describe('our own mistakes', () => {
  it('end the connection they happened in (541) and nobody else’s', async () => {
    const harness = fakeHarness()
    const unhurt = await harness.channel()
    await unhurt.declare(1, 'q')
    const victim = await harness.channel()
    harness.broker.vhost.mistake = new Error('a bug')
    victim.publish(1, { routingKey: 'q' }, 'x')
    await victim.closesConnection(541, /^INTERNAL_ERROR - /)
    assert.ok(harness.log.some((line) => line.startsWith('error ') && line.includes('a bug')))
    harness.broker.vhost.mistake = null
    unhurt.publish(1, { routingKey: 'q' }, 'x')
    unhurt.methods(1, basicGet('q'))
    await unhurt.next('basic.get-ok')
  })
})

describe('limits of a channel', () => {
  it('hold deliveries back while too many are unsettled, and refuse a get (406)', async () => {
    const harness = fakeHarness({ unackedPerChannelMax: 4 })
    const client = await harness.channel()
    await client.declare(1, 'q')
    await client.consume(1, 'q', 'c')
    for (let count = 0; count < 8; count++) client.publish(1, { routingKey: 'q' }, 'x')
    assert.deepEqual(tagsOf(await client.nextOf(4, 'basic.deliver')), [1, 2, 3, 4])
    assert.deepEqual(await client.names(), [])
    client.methods(1, basicAck(2, true))
    assert.deepEqual(tagsOf(await client.nextOf(2, 'basic.deliver')), [5, 6])
    client.methods(1, basicGet('q'))
    const text = 'PRECONDITION_FAILED - reached maximum (4) of unacknowledged deliveries per channel'
    await client.closesChannel(406, text)
    assert.equal(defaultServerLimits.unackedPerChannelMax, 1_048_576)
  })
})
