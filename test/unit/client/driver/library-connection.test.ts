import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeMethodFrame } from '../../../../src/amqp/frame-encoder.ts'
import { Methods } from '../../../../src/amqp/methods.generated.ts'
import { ManualClock } from '../../../../src/base/clock.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { AmqpClientDriver } from '../../../../src/client/driver/amqp-client-driver.ts'
import type { Delivery, DriverConnection } from '../../../../src/client/driver/driver.ts'
import { states, turns } from '../fake-client.ts'
import { deliverFrames, frames, ScriptedBroker } from './scripted-broker.ts'

const target = {
  protocol: 'amqp',
  host: 'h',
  port: 1,
  url: '',
  vhost: '/',
  username: 'u',
  password: 'p',
  connectionName: 'test',
  heartbeatSeconds: 10,
  label: 'amqp://h:1',
} as const

async function connected(broker = new ScriptedBroker()) {
  const clock = new ManualClock()
  const driver = new AmqpClientDriver({ clock, dial: () => Promise.resolve(broker) })
  /** How it ended, each time it was told. */
  const ends: (string | null)[] = []
  const events = { closed: (error: Error | null) => ends.push(error?.message ?? null), blocked() {}, unblocked() {} }
  const connection = await driver.connect(target, events, new AbortController().signal)
  return { broker, clock, connection, ends }
}

const deaf = { closed: () => undefined, confirmed: () => undefined, returned: () => undefined }

async function channelOf(connection: DriverConnection, closed: (text: string | null) => void = () => undefined) {
  return connection.openChannel({ ...deaf, closed: (error) => closed(error?.code ?? null) })
}

describe('a connection by the library', () => {
  it('logs in, and knows whom it talks to', async () => {
    const { connection, broker } = await connected()
    assert.equal(connection.product, 'Warren')
    assert.equal(connection.isWarren, true)
    assert.equal(connection.channelsMax, 100)
    assert.deepEqual(broker.heard, ['connection.start-ok', 'connection.tune-ok', 'connection.open'])
  })

  it('hears a delivery that comes together with consume-ok, and the cancel behind it', async () => {
    const { connection, broker } = await connected()
    const channel = await channelOf(connection)
    const body = new Uint8Array(10_000).fill(7)
    broker.answer = (method) => {
      if (method.id !== Methods.BasicConsume) return null
      const { consumerTag } = method
      const ok = frames((writer) =>
        encodeMethodFrame(writer, 1, { id: Methods.BasicConsumeOk, name: 'basic.consume-ok', consumerTag }),
      )
      const cancel = frames((writer) =>
        encodeMethodFrame(writer, 1, { id: Methods.BasicCancel, name: 'basic.cancel', consumerTag, noWait: true }),
      )
      broker.raw(Buffer.concat([ok, deliverFrames(1, consumerTag, body, { messageId: 'm' }), cancel]))
      return { id: Methods.BasicCancelOk, name: 'basic.cancel-ok', consumerTag: 'nobody' }
    }
    const got: (Delivery | 'cancelled')[] = []
    await channel.consume(
      'q',
      { isNoAck: false, isExclusive: false, arguments: {} },
      { delivered: (delivery) => got.push(delivery), cancelled: () => got.push('cancelled') },
    )
    assert.equal(got.length, 2)
    assert.ok(typeof got[0] === 'object')
    assert.deepEqual(got[0].body, body)
    assert.equal(got[0].properties.messageId, 'm')
    assert.equal(got[1], 'cancelled')
  })

  it('names reply code and text of a channel that the broker closes, and settles what was asked', async () => {
    const { connection, broker } = await connected()
    const ends: (string | null)[] = []
    const channel = await channelOf(connection, (code) => ends.push(code))
    const asked = [channel.purgeQueue('a'), channel.purgeQueue('b')]
    const seen = states(asked)
    await turns()
    broker.say(1, {
      id: Methods.ChannelClose,
      name: 'channel.close',
      replyCode: 404,
      replyText: "NOT_FOUND - no queue 'a'",
      classId: 50,
      methodId: 30,
    })
    assert.deepEqual(await seen, ['pending', 'pending'])
    assert.deepEqual(await states(asked), ['CHANNEL_CLOSED', 'CHANNEL_CLOSED'])
    await assert.rejects(asked[0] ?? Promise.resolve(), { replyCode: 404, replyText: "NOT_FOUND - no queue 'a'" })
    assert.deepEqual(ends, ['CHANNEL_CLOSED'])
    assert.deepEqual(await states([channel.purgeQueue('c')]), ['CONNECTION_LOST'])
  })

  it('settles what was asked in the very turn in which the socket went', async () => {
    const { connection, broker, ends } = await connected()
    const channel = await channelOf(connection)
    const asked = [channel.purgeQueue('a'), channel.close(), connection.openChannel(deaf)]
    broker.vanish()
    assert.deepEqual(await states(asked), ['CONNECTION_LOST', 'ok', 'CONNECTION_LOST'])
    assert.equal(ends.length, 1)
  })

  it('gives a silent broker up after two heartbeats, and sends its own', async () => {
    const { broker, clock, ends } = await connected()
    for (let second = 0; second < 10; second++) clock.advance(1_000)
    await turns()
    assert.ok(broker.heartbeatCount > 0)
    assert.deepEqual(ends, [])
    clock.advance(15_000)
    assert.equal(ends.length, 1)
    assert.match(ends[0] ?? '', /nothing was heard/)
    assert.equal(broker.isDestroyed, true)
  })

  it('ends in order when it is closed, and at its deadline when nobody answers', async () => {
    const { connection, broker, ends } = await connected()
    await connection.close(1_000)
    assert.deepEqual(ends, [null])
    assert.equal(broker.isEnded, true)
    const silent = await connected()
    silent.broker.answer = () => ({ id: Methods.ConnectionUnblocked, name: 'connection.unblocked' })
    const closing = silent.connection.close(1_000)
    await turns()
    silent.clock.advance(1_000)
    await closing
    assert.deepEqual(silent.ends, [null])
  })

  it('ends for a frame that is larger than agreed, and keeps nothing of it', async () => {
    const { broker, ends } = await connected()
    broker.raw(Uint8Array.of(3, 0, 1, 0x7f, 0xff, 0xff, 0xff))
    assert.equal(ends.length, 1)
    assert.match(ends[0] ?? '', /a frame of 2147483647 bytes, at most 131072 were agreed/)
  })

  it('ends for a message that is announced larger than any can be', async () => {
    const { broker, ends } = await connected()
    broker.raw(Uint8Array.of(2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xce))
    assert.match(ends[0] ?? '', /announced a message of 1099511627776 bytes/)
  })

  it('refuses to log in where frames would be too small', async () => {
    const broker = new ScriptedBroker()
    broker.frameMax = 100
    await assert.rejects(connected(broker), { code: 'CONNECTION_LOST' })
  })

  it('never throws, whatever comes: mutated frames end the connection, once', async () => {
    const random = new SeededRandom(11)
    let endCount = 0
    for (let round = 0; round < 400; round++) {
      const { connection, broker, ends } = await connected()
      const channel = await channelOf(connection)
      channel.purgeQueue('q').catch(() => undefined)
      const bytes = Buffer.concat([
        deliverFrames(1, 'tag', random.bytes(random.below(50)), { messageId: 'm', contentType: 'text/plain' }),
        frames((writer) =>
          encodeMethodFrame(writer, 1, { id: Methods.BasicAck, name: 'basic.ack', deliveryTag: 1, multiple: true }),
        ),
      ])
      for (let index = 0; index < 1 + random.below(4); index++) bytes[random.below(bytes.length)] = random.below(256)
      for (let at = 0; at < bytes.length; ) {
        const length = 1 + random.below(40)
        broker.raw(bytes.subarray(at, at + length))
        at += length
      }
      endCount += ends.length
      assert.ok(ends.length <= 1)
      broker.vanish()
      assert.equal(ends.length, 1)
    }
    assert.ok(endCount > 50, `${endCount} of the mutations were noticed`)
  })
})
