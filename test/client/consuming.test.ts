/** What a consumer can rely on, against a broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { DoNotRetry, type Message, type StandardSchema } from '../../src/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { name, open, quick, warrenError } from './stage.ts'

const client = await open()
const isWarren = client.brokerProduct === 'Warren'

interface Order {
  readonly id: number
}

/** Orders with an id; ids may come as text. */
const orderSchema: StandardSchema<{ id: number | string }, Order> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const id = typeof value === 'object' && value !== null && 'id' in value ? Number(value.id) : Number.NaN
      return Number.isNaN(id) ? { issues: [{ message: 'must be a number', path: ['id'] }] } : { value: { id } }
    },
  },
}

describe('a consumer', () => {
  it('acknowledges what its handler has done', async () => {
    const queue = client.queue<number>(name('acked'))
    await queue.sendMany([1, 2, 3])
    const got: number[] = []
    const consumer = await queue.consume((message) => void got.push(message.body))
    await eventually('all have come', () => got.length === 3)
    await consumer.stop()
    assert.deepEqual(got, [1, 2, 3])
    assert.equal(await queue.delete(), 0)
  })

  it('runs as many handlers as it may, and no more', async () => {
    const queue = client.queue<number>(name('concurrency'), { exclusive: true })
    await queue.sendMany(Array.from({ length: 20 }, (_, index) => index))
    let running = 0
    let most = 0
    let done = 0
    const handler = async (): Promise<void> => {
      most = Math.max(most, ++running)
      await sleep(5)
      running--
      done++
    }
    const consumer = await queue.consume(handler, { concurrency: 4 })
    await eventually('all are done', () => done === 20)
    await consumer.stop()
    assert.equal(most, 4)
  })

  it('tries again with growing delays, then dead-letters with the reason', async () => {
    const queue = client.queue<Order>(name('failing'))
    const at: number[] = []
    const attempts: number[] = []
    const retry = { attempts: 2, backoff: { initialMs: 40, factor: 3, maxMs: 1_000 } }
    const consumer = await queue.consume(
      (message) => {
        at.push(performance.now())
        attempts.push(message.attempt)
        throw new RangeError('out of stock')
      },
      { retry },
    )
    await queue.send({ id: 1 }, { headers: { kept: 'yes' }, correlationId: 'c', messageId: 'm-1' })
    const dead = client.queue<Order>(`${queue.name}.dead`)
    const message = await nextOf(dead)
    await consumer.stop()
    assert.deepEqual(attempts, [1, 2, 3])
    assert.ok((at[1] ?? 0) - (at[0] ?? 0) >= 39 && (at[2] ?? 0) - (at[1] ?? 0) >= 119, at.join(' '))
    assert.deepEqual(message.body, { id: 1 })
    const { headers, properties } = message
    assert.equal(headers['x-warren-error'], 'out of stock')
    assert.equal(headers['x-warren-error-name'], 'RangeError')
    assert.equal(headers['x-warren-queue'], queue.name)
    assert.equal(headers['x-warren-routing-key'], queue.name)
    assert.equal(headers['x-warren-attempts'], 3)
    assert.ok(headers['x-warren-failed-at'] instanceof Date)
    assert.deepEqual([headers['kept'], properties.correlationId, properties.messageId], ['yes', 'c', 'm-1'])
    for (const one of [queue.name, dead.name, `${queue.name}.retry.40`, `${queue.name}.retry.120`]) {
      await client.queue(one).delete()
    }
  })

  it('does not try again what the handler says is in vain, or cannot be read', async () => {
    const dead = name('dead')
    const queue = client.queue<Order>(name('in-vain'), { deadLetter: dead })
    const consumer = await queue.consume((message) => {
      throw new DoNotRetry(`never ${message.body.id}`)
    })
    await queue.send({ id: 5 })
    assert.equal((await nextOf(client.queue(dead))).headers['x-warren-error'], 'never 5')
    await client.queue(queue.name, { deadLetter: dead, codec: 'text' }).send('{ no JSON')
    const unreadable = await nextOf(client.queue(dead, { codec: 'text' }))
    assert.equal(unreadable.headers['x-warren-error-name'], 'BAD_BODY')
    assert.equal(unreadable.body, '{ no JSON')
    await consumer.stop()
    await queue.delete()
    await client.queue(dead).delete()
  })

  it('gives handlers what the schema makes of it, and dead-letters what does not match', async () => {
    const dead = name('dead')
    const queue = client.queue(name('schema'), { schema: orderSchema, deadLetter: dead })
    const got: number[] = []
    const consumer = await queue.consume((message) => void got.push(message.body.id))
    await queue.send({ id: '42' })
    const wrong = { id: 'x' }
    const refused = await warrenError(queue.send(wrong))
    assert.equal(refused.code, 'SCHEMA_FAILED')
    assert.deepEqual(refused.issues, ['id: must be a number'])
    await client.queue<unknown>(queue.name, { deadLetter: dead }).send(wrong)
    const message = await nextOf(client.queue<unknown>(dead))
    assert.deepEqual(message.body, wrong)
    assert.match(String(message.headers['x-warren-error']), /id: must be a number/)
    assert.deepEqual(message.headers['x-warren-schema-issues'], ['id: must be a number'])
    await consumer.stop()
    assert.deepEqual(got, [42])
    await queue.delete()
    await client.queue(dead).delete()
  })

  it('does not unpack a body beyond its limit', async () => {
    const careful = await open({ ...quick, decompressedBytesMax: 10_000 })
    const dead = name('dead')
    const queue = careful.queue<string>(name('bomb'), { compression: 'gzip', deadLetter: dead })
    const consumer = await queue.consume(() => assert.fail('it must not be handled'))
    await queue.send('0'.repeat(5_000_000))
    const message = await nextOf(client.queue(dead, { codec: 'bytes' }))
    assert.equal(message.headers['x-warren-error-name'], 'MESSAGE_TOO_LARGE')
    await consumer.stop()
    await queue.delete()
    await client.queue(dead).delete()
  })

  it('finishes what is in hand when it stops, and gives back the rest', async () => {
    const queue = client.queue<number>(name('stopping'))
    await queue.sendMany(Array.from({ length: 10 }, (_, index) => index))
    const done: number[] = []
    let started = 0
    const consumer = await queue.consume(
      async (message) => {
        started++
        await sleep(50)
        done.push(message.body)
      },
      { concurrency: 2, prefetch: 6 },
    )
    await eventually('it has begun', () => started > 0)
    await consumer.stop()
    assert.equal(done.length, started)
    await eventually('the rest is back', async () => (await queue.info()).messageCount === 10 - done.length)
    await queue.delete()
  })

  it('stops by an AbortSignal', async () => {
    const queue = client.queue<number>(name('aborted'), { exclusive: true })
    const abort = new AbortController()
    await queue.consume(() => undefined, { signal: abort.signal })
    assert.equal((await queue.info()).consumerCount, 1)
    abort.abort()
    await eventually('nobody consumes', async () => (await queue.info()).consumerCount === 0)
  })

  it('rejects for a queue that is not there, and names it', async () => {
    const missing = name('missing')
    const error = await warrenError(client.queue(missing, { declare: false }).consume(() => undefined))
    assert.equal(error.code, 'CHANNEL_CLOSED')
    assert.equal(error.replyCode, 404)
    assert.match(error.message, new RegExp(missing))
  })

  it('rejects for a queue that exists with other properties', async () => {
    const queue = client.queue(name('other'), { maxLength: 5 })
    await queue.declare()
    const error = await warrenError(client.queue(queue.name, { maxLength: 6 }).consume(() => undefined))
    assert.equal(error.replyCode, 406)
    await queue.delete()
  })

  it('goes on after its queue was deleted: declares it again and subscribes', async () => {
    const queue = client.queue<number>(name('deleted'))
    const got: number[] = []
    const consumer = await queue.consume((message) => void got.push(message.body))
    const other = await open()
    await other.queue(queue.name).delete()
    await eventually('somebody consumes again', async () => {
      const info = await queue.info().catch(() => null)
      return info?.consumerCount === 1
    })
    await queue.send(1)
    await eventually('it has come', () => got.length === 1)
    await consumer.stop()
    await queue.delete()
  })

  it('gives back a message whose lease is over, and tells its handler', async () => {
    const queue = client.queue<number>(name('lease'), { exclusive: true })
    const reasons: string[] = []
    const attempts: boolean[] = []
    const consumer = await queue.consume(
      async (message) => {
        attempts.push(message.isRedelivered)
        if (attempts.length > 1) return
        await new Promise((resolve) => message.signal.addEventListener('abort', resolve))
        reasons.push((message.signal.reason as Error).message)
      },
      { lease: 150 },
    )
    await queue.send(1)
    await eventually('it came again', () => attempts.length === 2)
    await consumer.stop()
    assert.deepEqual(attempts, [false, true])
    assert.match(reasons[0] ?? '', /lease of 150 ms/)
  })

  it('keeps a message whose lease is extended', async () => {
    const queue = client.queue<number>(name('extended'), { exclusive: true })
    let count = 0
    let done = 0
    const byHand = await queue.consume(
      async (message) => {
        count++
        for (let index = 0; index < 5; index++) {
          await sleep(400)
          assert.equal(message.extend(), true)
        }
        done++
      },
      { lease: 1_500 },
    )
    await queue.send(1)
    await eventually('it is done', () => done === 1)
    await byHand.stop()
    const byItself = await queue.consume(
      async () => {
        count++
        await sleep(2_500)
        done++
      },
      { lease: { ms: 1_200, extend: 'auto' } },
    )
    await queue.send(2)
    await eventually('it is done, too', () => done === 2)
    await byItself.stop()
    assert.equal(count, 2)
    assert.equal(await queue.get(), null)
  })

  if (isWarren) {
    it('leaves retries to the broker where the queue says how', async () => {
      const parked = name('parked')
      const retry = { attempts: 2, delayMs: 20, parkingQueue: parked }
      await client.queue(parked).declare()
      const queue = client.queue<number>(name('by-broker'), { retry })
      const attempts: number[] = []
      const consumer = await queue.consume(
        (message) => {
          attempts.push(message.attempt)
          throw new Error('again')
        },
        { retry: 'broker' },
      )
      await queue.send(9)
      assert.equal((await nextOf(client.queue<number>(parked))).body, 9)
      assert.deepEqual(attempts, [1, 2, 3])
      await consumer.stop()
      await queue.delete()
      await client.queue(parked).delete()
    })
  } else {
    it('refuses to leave retries to a broker that knows none', async () => {
      const queue = client.queue(name('by-broker'), { exclusive: true })
      assert.equal((await warrenError(queue.consume(() => undefined, { retry: 'broker' }))).code, 'BAD_OPTION')
    })
  }
})

describe('a loop over messages', () => {
  it('acknowledges the one before with each turn, and gives back the one it leaves with', async () => {
    const queue = client.queue<number>(name('loop'))
    await queue.sendMany([1, 2, 3, 4])
    const got: number[] = []
    for await (const message of queue) {
      got.push(message.body)
      if (message.body === 3) break
    }
    assert.deepEqual(got, [1, 2, 3])
    const rest: number[] = []
    for await (const message of queue.messages()) {
      rest.push(message.body)
      if (message.body === 4) {
        message.ack()
        break
      }
    }
    assert.deepEqual(rest, [3, 4])
    assert.equal(await queue.delete(), 0)
  })

  it('ends when the client is closed', async () => {
    const mine = await open()
    const queue = mine.queue<number>(name('loop-end'), { exclusive: true })
    await queue.send(1)
    let turns = 0
    const looped = (async () => {
      for await (const _ of queue) turns++
    })()
    await eventually('the first has come', () => turns === 1)
    await mine.close()
    await looped
    assert.equal(turns, 1)
  })

  it('rejects for a queue that is not there', async () => {
    const queue = client.queue(name('missing'), { declare: false })
    assert.equal((await warrenError(queue.messages().next())).replyCode, 404)
  })
})

describe('closing a client', () => {
  it('waits for handlers and confirms, and then refuses everything by an error of its own', async () => {
    const mine = await open()
    const queue = mine.queue<number>(name('closing'))
    await queue.send(1)
    let isDone = false
    await queue.consume(async () => {
      await sleep(100)
      await queue.send(2)
      isDone = true
    })
    await eventually('it is in hand', async () => (await queue.info()).messageCount === 0)
    const sends = Promise.all([queue.send(3), queue.send(4)])
    await mine.close()
    await sends
    assert.equal(isDone, true)
    assert.equal((await warrenError(queue.send(5))).code, 'CLOSED')
    assert.equal((await warrenError(queue.info())).code, 'CLOSED')
    assert.equal((await warrenError(queue.consume(() => undefined))).code, 'CLOSED')
    const left = client.queue<number>(queue.name)
    assert.deepEqual([(await left.get())?.body, (await left.get())?.body, (await left.get())?.body], [3, 4, 2])
    await left.delete()
  })

  it('does not wait longer than it is told', async () => {
    const mine = await open()
    const queue = mine.queue<number>(name('endless'))
    await queue.send(1)
    let signal: AbortSignal | null = null
    await queue.consume((message) => {
      signal = message.signal
      return new Promise(() => undefined)
    })
    await eventually('it is in hand', () => signal !== null)
    const began = performance.now()
    await mine.close({ timeoutMs: 100 })
    assert.ok(performance.now() - began < 10_000)
    assert.equal((signal as AbortSignal | null)?.aborted, true)
    const again = client.queue<number>(queue.name)
    await eventually('it is back', async () => (await again.info()).messageCount === 1)
    await again.delete()
  })
})

/** The first message of a queue that may be empty, or not there yet. */
async function nextOf<T>(queue: { get(): Promise<Message<T> | null> }): Promise<Message<T>> {
  const found: Message<T>[] = []
  await eventually('a message is there', async () => {
    const message = await queue.get()
    if (message !== null) found.push(message)
    return message !== null
  })
  return found[0] as Message<T>
}
