/** What each client library that Node programs use shows of a broker: the same behaviours. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { amqplib } from './amqplib.ts'
import type { Client, Library, Received } from './client.ts'
import { cloudamqp } from './cloudamqp.ts'
import { rabbitmqClient } from './rabbitmq-client.ts'

/** Registers the tests of all libraries against the broker at `url`. */
export function nodeClients(url: string): void {
  for (const library of [amqplib, rabbitmqClient, cloudamqp])
    void describe(library.name, () => behaviours(library, url))
}

function name(word: string): string {
  return `${word}-${randomBytes(6).toString('hex')}`
}

function behaviours(library: Library, url: string): void {
  /** Runs with a connected client and an exclusive queue. */
  function prove(title: string, body: (client: Client, queue: string) => Promise<void>): void {
    void test(title, async () => {
      const client = await library.connect(url)
      try {
        const queue = name('q')
        await client.declareQueue(queue, { exclusive: true })
        await body(client, queue)
      } finally {
        await client.close()
      }
    })
  }

  prove('publishes with confirms and consumes with acks, in order', async (client, queue) => {
    const bodies = Array.from({ length: 1000 }, (_, i) => `message ${i}`)
    const got = collect(bodies.length)
    await client.consume(queue, 50, (message) => {
      message.ack()
      got.add(message)
    })
    await Promise.all(bodies.map((body) => client.publish('', queue, Buffer.from(body), { persistent: true })))
    const messages = await got.all
    assert.deepEqual(messages.map(text), bodies)
    assert.ok(messages.every((message) => !message.redelivered))
  })

  prove('a message keeps its exchange, key and properties', async (client, queue) => {
    const exchange = name('x')
    await client.declareExchange(exchange, 'topic')
    await client.bind(queue, exchange, 'a.*')
    await client.publish(exchange, 'a.b', Buffer.from('x'), { persistent: true, messageId: 'm-1' })
    await client.publish(exchange, 'b.b', Buffer.from('not bound'))
    const message = await client.get(queue)
    assert.deepEqual([message?.exchange, message?.routingKey], [exchange, 'a.b'])
    assert.deepEqual(message?.properties, { messageId: 'm-1', deliveryMode: 2 })
    message?.ack()
    assert.equal(await client.get(queue), null)
    await client.deleteExchange(exchange)
  })

  prove('header values of all types it knows survive', async (client, queue) => {
    await client.publish('', queue, Buffer.from('x'), { headers: library.headers })
    const message = await client.get(queue)
    assert.deepEqual(plain(message?.headers), plain(library.headers))
    message?.ack()
  })

  prove('a message given back comes again, marked; one refused for good does not', async (client, queue) => {
    const got = collect(4)
    await client.consume(queue, 1, (message) => {
      got.add(message)
      if (text(message) === 'refused') message.nack(false)
      else if (message.redelivered) message.ack()
      else message.nack(text(message) === 'again')
    })
    for (const body of ['again', 'refused', 'dropped']) await client.publish('', queue, Buffer.from(body))
    const seen = (await got.all).map((message) => [text(message), message.redelivered])
    assert.deepEqual(seen, [
      ['again', false],
      ['again', true],
      ['refused', false],
      ['dropped', false],
    ])
  })

  prove('prefetch holds back what it has no room for', async (client, queue) => {
    for (let i = 0; i < 5; i += 1) await client.publish('', queue, Buffer.from(String(i)))
    const first = collect(2)
    const held: Received[] = []
    await client.consume(queue, 2, (message) => {
      held.push(message)
      if (held.length <= 2) first.add(message)
    })
    await first.all
    assert.equal(await client.declareQueue(queue, { passive: true }), 3)
    assert.equal(held.length, 2)
  })

  prove('after cancel nothing more is delivered', async (client, queue) => {
    const seen: string[] = []
    const got = collect(1)
    const cancel = await client.consume(queue, 10, (message) => {
      seen.push(text(message))
      message.ack()
      got.add(message)
    })
    await client.publish('', queue, Buffer.from('one'))
    await got.all
    await cancel()
    await client.publish('', queue, Buffer.from('two'))
    assert.equal(await client.declareQueue(queue, { passive: true }), 1)
    assert.deepEqual(seen, ['one'])
  })

  prove('a mandatory message that nobody wants comes back, and is confirmed', async (client) => {
    await client.publish('', name('nobody'), Buffer.from('come back'), { mandatory: true })
    // Some libraries tell of the return in a later turn than of the confirm that came after it.
    await nextTurn()
    assert.deepEqual(
      client.returned.map(({ body, replyText }) => [body.toString(), replyText]),
      [['come back', 'NO_ROUTE']],
    )
  })

  for (const bytes of [0, 1, 4087, 4088, 4089, 131_064, 131_065, 5_000_000]) {
    prove(`a body of ${bytes} bytes comes back as it was`, async (client, queue) => {
      const body = randomBytes(bytes)
      await client.publish('', queue, body, { persistent: true })
      const message = await client.get(queue)
      assert.equal(message?.body.length, bytes)
      assert.equal(hash(message?.body ?? Buffer.alloc(0)), hash(body))
      message?.ack()
    })
  }

  void test('closing the connection removes its exclusive queue and keeps the durable one', async () => {
    const [mine, durable] = [name('mine'), name('durable')]
    const first = await library.connect(url)
    await first.declareQueue(mine, { exclusive: true })
    await first.declareQueue(durable, { durable: true })
    await first.publish('', durable, Buffer.from('kept'), { persistent: true })
    await first.close()
    const second = await library.connect(url)
    try {
      assert.equal(await second.declareQueue(mine, { exclusive: true }), 0)
      assert.equal(await second.deleteQueue(durable), 1)
    } finally {
      await second.close()
    }
  })

  const errors: readonly { title: string; text: RegExp; act: (client: Client, queue: string) => Promise<unknown> }[] = [
    {
      title: 'a missing queue',
      text: /no queue 'no-such-queue' in vhost '\/'/,
      act: (client) => client.declareQueue('no-such-queue', { passive: true }),
    },
    {
      title: 'a missing exchange, of a publish',
      text: /no exchange 'no-such-exchange' in vhost '\/'/,
      act: (client) => client.publish('no-such-exchange', 'k', Buffer.from('x')),
    },
    {
      title: 'another declaration than before',
      text: /inequivalent arg 'auto_delete' for queue '.*' in vhost '\/': received 'true' but current is 'false'/,
      act: (client, queue) => client.declareQueue(queue, { autoDelete: true, exclusive: true }),
    },
    {
      title: 'a reserved name',
      text: /queue name 'amq\.mine' contains reserved prefix 'amq\.\*'/,
      act: (client) => client.declareQueue('amq.mine', {}),
    },
    {
      title: "another connection's exclusive queue",
      text: /cannot obtain exclusive access to locked queue/,
      act: async (_client, queue) => {
        const other = await library.connect(url)
        await other.declareQueue(queue, { passive: true }).finally(() => other.close().catch(() => undefined))
      },
    },
  ]
  for (const { title, text: expected, act } of errors) {
    void test(`sees the error of ${title}, with its text`, async () => {
      const client = await library.connect(url)
      try {
        const queue = name('q')
        await client.declareQueue(queue, { exclusive: true })
        await assert.rejects(act(client, queue), (error: Error) => {
          assert.match(error.message, expected)
          return true
        })
      } finally {
        // Some libraries cannot close a channel that the broker has closed; the connection goes all the same.
        await client.close().catch(() => undefined)
      }
    })
  }
}

const text = (message: Received): string => message.body.toString()
const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Without prototypes, and what a library writes as a typed value as the bare value. */
function plain(value: unknown): unknown {
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`
  if (value instanceof Date) return `date ${value.getTime()}`
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object') return value
  if ('!' in value && 'value' in value) return value['!'] === 'timestamp' ? `timestamp ${value.value}` : value.value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}

/** Waits for a number of messages, within a deadline. */
function collect(count: number): { add: (message: Received) => void; all: Promise<Received[]> } {
  const messages: Received[] = []
  let add = (_message: Received): void => undefined
  const all = new Promise<Received[]>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`only ${messages.length} of ${count} messages came`)), 60_000)
    add = (message) => {
      messages.push(message)
      if (messages.length < count) return
      clearTimeout(timer)
      resolve(messages)
    }
  })
  return { add: (message) => add(message), all }
}
