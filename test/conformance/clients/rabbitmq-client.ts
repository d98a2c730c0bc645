/** rabbitmq-client: asks for small frames, connects lazily and again by itself, opens channels as it needs them. */
import { type AsyncMessage, type Channel, Connection, type SyncMessage } from 'rabbitmq-client'
import type { Client, Library, Received } from './client.ts'

export const rabbitmqClient: Library = {
  name: 'rabbitmq-client',
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
  },
  connect: async (url) => {
    const connection = new Connection({ url, frameMax: 8192, retryLow: 100 })
    connection.on('error', () => undefined)
    await connection.onConnect(10_000)
    const channel = await connection.acquire()
    channel.on('error', () => undefined)
    await channel.confirmSelect()
    const returned: { body: Buffer; replyText: string }[] = []
    channel.on('basic.return', (message) => {
      returned.push({ body: Buffer.from(message.body), replyText: message.replyText })
    })
    return clientOver(connection, channel, returned)
  },
}

function clientOver(connection: Connection, channel: Channel, returned: { body: Buffer; replyText: string }[]): Client {
  return {
    returned,
    close: async () => {
      await channel.close()
      await connection.close()
    },
    declareQueue: async (queue, options) => (await channel.queueDeclare({ queue, ...options })).messageCount,
    deleteQueue: async (queue) => (await channel.queueDelete({ queue })).messageCount,
    declareExchange: (exchange, type) => channel.exchangeDeclare({ exchange, type }),
    deleteExchange: (exchange) => channel.exchangeDelete({ exchange }),
    bind: (queue, exchange, routingKey) => channel.queueBind({ queue, exchange, routingKey }),
    publish: (exchange, routingKey, body, { persistent = false, ...options } = {}) =>
      channel.basicPublish({ exchange, routingKey, durable: persistent, ...options }, body),
    consume: async (queue, prefetchCount, onMessage) => {
      await channel.basicQos({ prefetchCount })
      const { consumerTag } = await channel.basicConsume({ queue }, (message) => onMessage(received(channel, message)))
      return async () => {
        await channel.basicCancel({ consumerTag })
      }
    },
    get: async (queue) => {
      const message = await channel.basicGet({ queue })
      return message === undefined ? null : received(channel, message)
    },
  }
}

function received(channel: Channel, message: AsyncMessage | SyncMessage): Received {
  const { deliveryTag } = message
  return {
    body: Buffer.from(message.body),
    redelivered: message.redelivered,
    exchange: message.exchange,
    routingKey: message.routingKey,
    headers: message.headers ?? {},
    properties: { messageId: message.messageId, deliveryMode: message.durable === true ? 2 : 1 },
    ack: () => channel.basicAck({ deliveryTag }),
    nack: (requeue) => channel.basicNack({ deliveryTag, requeue }),
  }
}
