import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { tableOf } from '../../../src/amqp/field-table.ts'
import type { Broker } from '../../../src/broker/broker.ts'
import { BrokerHarness } from '../../support/broker-harness.ts'
import { basicQos, type MemoryClient, type PublishOptions } from '../../support/memory-client.ts'
import { ServerHarness } from '../../support/server-harness.ts'

const all = { configure: '.*', write: '.*', read: '.*' }

/** Rights are looked up by the real broker; who may do what is changed in the middle. */
async function withBroker(tags: string[] = []): Promise<{ broker: Broker; client: MemoryClient }> {
  const { broker, topology } = await BrokerHarness.open()
  topology.putUser('guest', 'plain$guest', tags)
  const client = await new ServerHarness(broker).channel()
  return { broker, client }
}

async function isRefused(client: MemoryClient, publish: PublishOptions, text: string, code = 403): Promise<void> {
  for (const size of [1, 5_000, 100_000]) {
    client.publish(1, publish, Buffer.alloc(size))
    await client.closesChannel(code, text)
  }
}

describe('the rights of a publish', () => {
  const wrong = { expiration: 'soon', userId: 'boss', replyTo: 'amq.rabbitmq.reply-to', headers: tableOf({ CC: 1 }) }

  it('are asked for before anything that exists or that the message says', async () => {
    const { broker, client } = await withBroker()
    await broker.putPermission('guest', '/', { ...all, write: '^amq\\.topic$' })
    const text = "ACCESS_REFUSED - write access to exchange 'missing' in vhost '/' refused for user 'guest'"
    await isRefused(client, { exchange: 'missing', routingKey: 'k', properties: wrong }, text)
  })

  it('are those of the default exchange for replies and leases, which nothing else needs', async () => {
    const { broker, client } = await withBroker()
    await broker.putPermission('guest', '/', { configure: '^$', write: '^$', read: '^$' })
    await client.consume(1, 'amq.rabbitmq.reply-to', 'replies', { noAck: true })
    const text = "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'"
    for (const routingKey of ['amq.rabbitmq.reply-to.x', 'amq.warren.lease']) {
      await isRefused(client, { routingKey, properties: { headers: tableOf({ 'x-delivery-tag': 0 }) } }, text)
    }
    await broker.putPermission('guest', '/', { configure: '^$', write: '^amq\\.default$', read: '^$' })
    client.publish(1, { routingKey: 'amq.warren.lease', properties: { headers: tableOf({ 'x-delivery-tag': 0 }) } }, '')
    client.methods(1, basicQos(1))
    await client.next('basic.qos-ok')
  })

  it('on a topic are asked for each key of CC and BCC, also when the first one went through before', async () => {
    const { broker, client } = await withBroker()
    await broker.putTopicPermission('guest', '/', { exchange: 'amq.topic', write: '^ok', read: '.*' })
    const publish = { exchange: 'amq.topic', routingKey: 'ok.1' }
    client.publish(1, publish, 'x')
    for (const name of ['CC', 'BCC']) {
      const properties = { headers: tableOf({ [name]: ['ok.2', 'bad'] }) }
      const text =
        "ACCESS_REFUSED - write access to topic 'bad' in exchange 'amq.topic' in vhost '/' refused for user 'guest'"
      await isRefused(client, { ...publish, properties }, text)
    }
    client.publish(1, { ...publish, properties: { headers: tableOf({ CC: ['ok.2'] }) } }, 'x')
    client.methods(1, basicQos(1))
    await client.next('basic.qos-ok')
  })

  it('on a topic come after expiration and CC, and before the user id', async () => {
    const { broker, client } = await withBroker()
    await broker.putTopicPermission('guest', '/', { exchange: 'amq.topic', write: '^ok', read: '.*' })
    const publish = { exchange: 'amq.topic', routingKey: 'bad' }
    const expiration = "PRECONDITION_FAILED - invalid expiration 'soon': no_integer"
    await isRefused(client, { ...publish, properties: { expiration: 'soon' } }, expiration, 406)
    const cc = 'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",signedint}'
    await isRefused(client, { ...publish, properties: { headers: tableOf({ CC: 1 }) } }, cc, 406)
    const topic =
      "ACCESS_REFUSED - write access to topic 'bad' in exchange 'amq.topic' in vhost '/' refused for user 'guest'"
    await isRefused(client, { ...publish, properties: { userId: 'boss' } }, topic)
  })

  it('let an impersonator use another user id', async () => {
    const { client } = await withBroker()
    const text = "PRECONDITION_FAILED - user_id property set to 'boss' but authenticated user was 'guest'"
    await isRefused(client, { routingKey: 'k', properties: { userId: 'boss' } }, text, 406)
    const { client: other } = await withBroker(['impersonator'])
    other.publish(1, { routingKey: 'k', mandatory: true, properties: { userId: 'boss' } }, 'x')
    assert.equal((await other.next('basic.return')).method.replyText, 'NO_ROUTE')
  })
})
