/** amqplib, the oldest client for Node: asks for frames of 128 KiB, one channel per promise model, errors as events. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Channel, type ConfirmChannel, connect, type GetMessage } from 'amqplib'
import type { Client, Library, PublishOptions, QueueOptions, Received } from './client.ts'

export const amqplib: Library = {
  name: 'amqplib',
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
    bytes: Buffer.from([0, 1, 255]),
    int8: { '!': 'int8', value: -5 },
    long: { '!': 'long', value: 12 },
    double: { '!': 'double', value: 2 },
    timestamp: { '!': 'timestamp', value: 1_700_000_000 },
  },
  connect: async (url) => {
    const connection = await connect(url)
    connection.on('error', () => undefined)
    const channel = await connection.createConfirmChannel()
    let broken: Error | null = null
    channel.on('error', (error) => {
      broken = error
    })
    const returned: { body: Buffer; replyText: string }[] = []
    channel.on('return', (message) => {
      const { replyText } = message.fields as unknown as { replyText: string }
      returned.push({ body: message.content, replyText })
    })
    return clientOver(
      channel,
      returned,
      () => broken,
      () => connection.close(),
    )
  },
}

function clientOver(
  channel: ConfirmChannel,
  returned: { body: Buffer; replyText: string }[],
  broken: () => Error | null,
  close: () => Promise<void>,
): Client {
  return {
    returned,
    close,
    declareQueue: async (name, { passive, ...options }: QueueOptions) => {
      const reply =
        passive === true
          ? await channel.checkQueue(name)
          : await channel.assertQueue(name, { durable: false, ...options })
      return reply.messageCount
    },
    deleteQueue: async (name) => (await channel.deleteQueue(name)).messageCount,
    declareExchange: async (name, type) => {
      await channel.assertExchange(name, type, { durable: false })
    },
    deleteExchange: async (name) => {
      await channel.deleteExchange(name)
    },
    bind: async (queue, exchange, routingKey) => {
      await channel.bindQueue(queue, exchange, routingKey)
    },
    publish: async (exchange, routingKey, body, options = {}) => {
      try {
        await publish(channel, exchange, routingKey, body, options)
      } catch (error) {
        // The publish itself only learns that its channel is closed; the reason follows as an event.
        await nextTurn()
        throw broken() ?? error
      }
    },
    consume: async (queue, prefetch, onMessage) => {
      await channel.prefetch(prefetch)
      const { consumerTag } = await channel.consume(queue, (message) => {
        if (message !== null) onMessage(received(channel, message as unknown as GetMessage))
      })
      return async () => {
        await channel.cancel(consumerTag)
      }
    },
    get: async (queue) => {
      const message = await channel.get(queue)
      return message === false ? null : received(channel, message)
    },
  }
}

async function publish(
  channel: ConfirmChannel,
  exchange: string,
  routingKey: string,
  body: Buffer,
  options: PublishOptions,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    channel.publish(exchange, routingKey, body, options, (error) => (error === null ? resolve() : reject(error)))
  })
}

function received(channel: Channel, message: GetMessage): Received {
  const { fields, properties, content } = message
  return {
    body: content,
    redelivered: fields.redelivered,
    exchange: fields.exchange,
    routingKey: fields.routingKey,
    headers: properties.headers ?? {},
    properties: { messageId: properties.messageId, deliveryMode: properties.deliveryMode },
    ack: () => channel.ack(message),
    nack: (requeue) => channel.nack(message, false, requeue),
  }
}
