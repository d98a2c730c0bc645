import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeProperties, type SomeProperties } from '../../../src/amqp/content-header.ts'
import { tableOf } from '../../../src/amqp/field-table.ts'
import { Methods } from '../../../src/amqp/methods.generated.ts'
import type { ServerLimits } from '../../../src/server/limits.ts'
import { FakeBroker } from '../../support/fake-broker.ts'
import {
  basicCancel,
  basicConsume,
  basicGet,
  channelClose,
  confirmSelect,
  type Heard,
  type MemoryClient,
  queueDeclare,
  turns,
  txCommit,
  txRollback,
  txSelect,
} from '../../support/memory-client.ts'
import { fakeHarness, type ServerHarness } from '../../support/server-harness.ts'

const pseudoQueue = 'amq.rabbitmq.reply-to'

interface Sides {
  readonly harness: ServerHarness
  readonly asking: MemoryClient
  readonly answering: MemoryClient
  /** The name under which `asking` gets replies. */
  readonly name: string
}

async function sides(limits: Partial<ServerLimits> = {}): Promise<Sides> {
  const harness = fakeHarness(limits)
  const [asking, answering] = [await harness.channel(), await harness.channel()]
  await answering.declare(1, 'requests')
  await answering.consume(1, 'requests', 'server', { noAck: true })
  await asking.consume(1, pseudoQueue, 'replies', { noAck: true })
  asking.publish(1, { routingKey: 'requests', properties: { replyTo: pseudoQueue } }, '')
  const name = propertiesOf(await answering.next('basic.deliver')).replyTo ?? ''
  assert.match(name, /^amq\.rabbitmq\.reply-to\.[\w-]{32}$/)
  return { harness, asking, answering, name }
}

function propertiesOf({ header }: Heard): SomeProperties {
  assert.ok(header !== null)
  return decodeProperties(header, 0, header.length)
}

function textOf({ body }: Heard): string {
  return Buffer.from(body ?? []).toString()
}

describe('direct replies', () => {
  it('need no queue: neither consuming nor a reply reaches the broker', async () => {
    const { harness, asking, answering, name } = await sides()
    const before = harness.broker.vhost.calls.length
    answering.publish(1, { routingKey: name }, 'answer')
    assert.equal(textOf(await asking.next('basic.deliver')), 'answer')
    asking.methods(1, basicCancel('replies'))
    await asking.next('basic.cancel-ok')
    assert.deepEqual(harness.broker.vhost.calls.slice(before), [])
    assert.deepEqual([...harness.broker.vhost.queues.keys()], ['requests'])
  })

  it('come from the same vhost only', async () => {
    const { harness, name } = await sides()
    const [connection] = harness.server.connections
    const replies = connection?.parts.directReplies
    assert.ok(replies?.find(harness.broker.vhost, name) !== null)
    assert.equal(replies?.find(new FakeBroker().vhost, name), null)
  })

  it('have another name each time a channel begins to wait for them', async () => {
    const { asking, answering, name } = await sides()
    asking.methods(1, basicCancel('replies'))
    await asking.next('basic.cancel-ok')
    await asking.consume(1, pseudoQueue, 'replies', { noAck: true })
    asking.publish(1, { routingKey: 'requests', properties: { replyTo: pseudoQueue } }, '')
    const { replyTo } = propertiesOf(await answering.next('basic.deliver'))
    assert.notEqual(replyTo, name)
    answering.publish(1, { routingKey: name }, 'to the old name')
    answering.publish(1, { routingKey: replyTo ?? '' }, 'to the new one')
    assert.equal(textOf(await asking.next('basic.deliver')), 'to the new one')
  })

  it('leave all other properties of a request as they were, whatever its size', async () => {
    const { asking, answering, name } = await sides()
    const properties = { contentType: 'a/b', priority: 3, correlationId: 'c', messageId: 'm', appId: 'x' }
    for (const size of [0, 100, 5_000, 100_000]) {
      asking.publish(
        1,
        { routingKey: 'requests', properties: { ...properties, replyTo: pseudoQueue } },
        Buffer.alloc(size, 5),
      )
      const request = await answering.next('basic.deliver')
      const { replyTo, ...left } = propertiesOf(request)
      const given = Object.fromEntries(Object.entries(left).filter(([, value]) => value !== null))
      assert.deepEqual([replyTo, given], [name, properties])
      assert.ok(Buffer.alloc(size, 5).equals(request.body ?? Buffer.alloc(1)))
    }
  })

  it('come back with an unroutable request as it was sent', async () => {
    const { asking } = await sides()
    asking.publish(1, { routingKey: 'nobody', mandatory: true, properties: { replyTo: pseudoQueue } }, 'x')
    assert.equal(propertiesOf(await asking.next('basic.return')).replyTo, pseudoQueue)
  })

  it('take delivery tags as other deliveries do, and need no ack', async () => {
    const { asking, answering, name } = await sides()
    await asking.declare(1, 'other')
    await asking.consume(1, 'other', 'c')
    answering.publish(1, { routingKey: name }, 'reply')
    answering.publish(1, { routingKey: 'other' }, 'message')
    const tags = [(await asking.next('basic.deliver')).method, (await asking.next('basic.deliver')).method]
    assert.deepEqual(
      tags.map(({ consumerTag, deliveryTag }) => [consumerTag, deliveryTag]),
      [
        ['replies', 1],
        ['c', 2],
      ],
    )
    asking.methods(1, { id: Methods.BasicAck, name: 'basic.ack', deliveryTag: 1, multiple: false })
    await asking.closesChannel(406, 'PRECONDITION_FAILED - unknown delivery tag 1')
  })

  it('end with the connection: the next reply is returned', async () => {
    const { asking, answering, name } = await sides()
    asking.socket.destroy()
    await turns()
    answering.methods(1, confirmSelect)
    answering.publish(1, { routingKey: name, mandatory: true }, 'late')
    answering.publish(1, { routingKey: name }, 'late')
    await answering.next('confirm.select-ok')
    assert.equal(textOf(await answering.next('basic.return')), 'late')
    const { method } = await answering.next('basic.ack')
    assert.deepEqual([method.deliveryTag, method.multiple], [2, true])
  })

  it('end with the channel, and a name that is gone is not found any more', async () => {
    const { asking, answering, name } = await sides()
    answering.methods(1, queueDeclare(name, { passive: true }))
    const { method } = await answering.next('queue.declare-ok')
    assert.deepEqual([method.messageCount, method.consumerCount], [0, 1])
    asking.methods(1, channelClose)
    await asking.next('channel.close-ok')
    answering.methods(1, queueDeclare(name, { passive: true }))
    await answering.closesChannel(404, `NOT_FOUND - no queue '${name}' in vhost '/'`)
  })

  it('are asked for only once the answer to consuming is out', async () => {
    const { harness, answering } = await sides()
    const client = await harness.channel()
    harness.broker.holdsTopology = true
    client.methods(1, queueDeclare('durable', { durable: true }), basicConsume(pseudoQueue, 'replies', { noAck: true }))
    client.publish(1, { routingKey: 'requests', properties: { replyTo: pseudoQueue } }, '')
    assert.deepEqual(await client.names(), [])
    assert.deepEqual(await answering.names(), [])
    harness.broker.commitTopology()
    const { replyTo } = propertiesOf(await answering.next('basic.deliver'))
    answering.publish(1, { routingKey: replyTo ?? '' }, 'x')
    assert.deepEqual(await client.names(), ['1 queue.declare-ok', '1 basic.consume-ok', '1 basic.deliver'])
  })

  it('are dropped for a peer that does not read, and the rest of its connection goes on', async () => {
    const { asking, answering, name } = await sides({ replyOutputBytesMax: 100_000 })
    asking.socket.pause()
    for (let count = 0; count < 100; count++)
      answering.publish(1, { routingKey: name, mandatory: true }, Buffer.alloc(4_000))
    assert.deepEqual(await answering.names(), [], 'what is dropped is not returned')
    asking.socket.resume()
    await turns()
    const got = asking.heard.splice(0).length
    assert.ok(got >= 20 && got < 100, `${got} replies`)
    answering.publish(1, { routingKey: name }, 'again')
    assert.equal(textOf(await asking.next('basic.deliver')), 'again')
  })

  it('of a size that memory is not kept for are refused (406)', async () => {
    const { answering, name } = await sides({ replyBytesMax: 100_000 })
    answering.publish(1, { routingKey: name }, Buffer.alloc(100_001))
    const text = 'direct reply of 100001 bytes is larger than 100000, what can be delivered'
    await answering.closesChannel(406, `PRECONDITION_FAILED - ${text}`)
  })

  it('are sent when a transaction commits, and come back then if nobody waits any more', async () => {
    const { asking, answering, name } = await sides()
    answering.methods(1, txSelect)
    await answering.next('tx.select-ok')
    answering.publish(1, { routingKey: name }, 'forgotten')
    answering.methods(1, txRollback)
    await answering.next('tx.rollback-ok')
    for (const size of [5, 100_000]) answering.publish(1, { routingKey: name, mandatory: true }, Buffer.alloc(size, 1))
    assert.deepEqual(await asking.names(), [])
    answering.methods(1, txCommit)
    await answering.next('tx.commit-ok')
    assert.deepEqual(
      (await asking.nextOf(2, 'basic.deliver')).map(({ body }) => body?.length),
      [5, 100_000],
    )
    answering.publish(1, { routingKey: name, mandatory: true }, 'late')
    asking.methods(1, basicCancel('replies'))
    await asking.next('basic.cancel-ok')
    answering.methods(1, txCommit)
    assert.equal(textOf(await answering.next('basic.return')), 'late')
    await answering.next('tx.commit-ok')
  })

  it('reach several who wait, each once, and queues as well, by the keys of CC', async () => {
    const { harness, asking, answering, name } = await sides()
    const third = await harness.channel()
    await third.consume(1, pseudoQueue, 'replies', { noAck: true })
    third.publish(1, { routingKey: 'requests', properties: { replyTo: pseudoQueue } }, '')
    const other = propertiesOf(await answering.next('basic.deliver')).replyTo ?? ''
    for (const size of [3, 100_000]) {
      answering.publish(
        1,
        { routingKey: name, properties: { headers: tableOf({ CC: [other, name], BCC: [name] }) } },
        Buffer.alloc(size),
      )
      for (const client of [asking, third]) {
        const reply = await client.next('basic.deliver')
        assert.deepEqual([reply.body?.length, reply.method.routingKey], [size, name])
      }
    }
    answering.publish(1, { routingKey: 'requests', properties: { headers: tableOf({ CC: [name] }) } }, 'to both')
    assert.equal(textOf(await asking.next('basic.deliver')), 'to both')
    assert.equal(textOf(await answering.next('basic.deliver')), 'to both')
    assert.deepEqual(await asking.names(), [])
  })

  it('do not leave the channel that waits in the way of basic.get or another consumer', async () => {
    const { asking, answering, name } = await sides()
    answering.methods(1, basicGet(name))
    await answering.closesConnection(
      540,
      `NOT_IMPLEMENTED - basic.get not supported by volatile queue '${name}' in vhost '/'`,
    )
    asking.methods(1, basicConsume(name, 'c', { noAck: true }))
    await asking.closesChannel(
      406,
      `PRECONDITION_FAILED - multiple consumers are unsupported for queue '${name}' in vhost '/'`,
    )
  })
})
