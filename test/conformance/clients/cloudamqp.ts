/** @cloudamqp/amqp-client: decodes in place, settles its publish promise on the confirm, asks for its own frame size. */
import { type AMQPChannel, AMQPClient, type AMQPMessage } from '@cloudamqp/amqp-client'
import type { Client, Library, Received } from './client.ts'

export const cloudamqp: Library = {
  name: '@cloudamqp/amqp-client',
  headers: {
    text: 'żółw',
    whole: 42,
    negative: -7,
    large: 2 ** 40,
    fraction: 1.5,
    yes: true,
    no: false,
    nothing: null,
    list: [1, 'two', [3], { four: 4 }],
    nested: { a: { b: 'c' } },
    date: new Date(1_700_000_000_000),
  },
  connect: async (url) => {
    const connection = await new AMQPClient(url).connect()
    connection.onerror = () => undefined
    const channel = await connection.channel()
    await channel.confirmSelect()
    const returned: { body: Buffer; replyText: string }[] = []
    channel.onReturn = (message) => {
      returned.push({ body: bytesOf(message), replyText: message.replyText ?? '' })
    }
    return clientOver(channel, returned, () => connection.close())
  },
}

function clientOver(
  channel: AMQPChannel,
  returned: { body: Buffer; replyText: string }[],
  close: () => Promise<void>,
): Client {
  return {
    returned,
    close,
    declareQueue: async (name, options) =>
      (await channel.queueDeclare(name, { durable: false, autoDelete: false, ...options })).messageCount,
    deleteQueue: async (name) => (await channel.queueDelete(name)).messageCount,
    declareExchange: (name, type) => channel.exchangeDeclare(name, type, { durable: false }),
    deleteExchange: (name) => channel.exchangeDelete(name),
    bind: (queue, exchange, routingKey) => channel.queueBind(queue, exchange, routingKey),
    publish: async (exchange, routingKey, body, options = {}) => {
      const { persistent = false, mandatory = false, headers = {}, messageId = '' } = options
      const properties = {
        deliveryMode: persistent ? 2 : 1,
        headers: { ...headers } as Record<string, never>,
        messageId,
      }
      await channel.basicPublish(exchange, routingKey, body, properties, mandatory)
    },
    consume: async (queue, prefetch, onMessage) => {
      await channel.basicQos(prefetch)
      const consumer = await channel.basicConsume(queue, { noAck: false }, (message) => onMessage(received(message)))
      consumer.wait().catch(() => undefined)
      return async () => {
        await consumer.cancel()
      }
    },
    get: async (queue) => {
      const message = await channel.basicGet(queue, { noAck: false })
      return message === null ? null : received(message)
    },
  }
}

function received(message: AMQPMessage): Received {
  return {
    body: bytesOf(message),
    redelivered: message.redelivered,
    exchange: message.exchange,
    routingKey: message.routingKey,
    headers: message.properties.headers ?? {},
    properties: { messageId: message.properties.messageId, deliveryMode: message.properties.deliveryMode },
    ack: () => void message.ack(),
    nack: (requeue) => void message.nack(requeue),
  }
}

function bytesOf(message: AMQPMessage): Buffer {
  return Buffer.from((message.body as Uint8Array | null) ?? Buffer.alloc(0))
}
