/** What a producer can rely on, against a broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { WarrenError } from '../../src/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { broker, name, open, quick, warrenError } from './stage.ts'

const client = await open()
const isWarren = client.brokerProduct === 'Warren'

describe('a send', () => {
  it('arrives as it was sent, properties and headers too', async () => {
    const queue = client.queue<{ order: number; text: string }>(name('as-sent'), { exclusive: true })
    const headers = {
      text: 'ä€😀',
      small: -1,
      large: 3_000_000_000,
      huge: 2 ** 53 - 1,
      fraction: 0.1,
      yes: true,
      nothing: null,
      list: [1, 'two', [3]],
      table: { inner: 'x' },
      time: new Date('2026-01-02T03:04:05Z'),
    }
    const sent = { order: 7, text: 'grüß dich' }
    await queue.send(sent, {
      headers,
      priority: 3,
      correlationId: 'c-1',
      replyTo: 'r-1',
      messageId: 'm-1',
      type: 't-1',
      appId: 'a-1',
      ttl: 60_000,
    })
    const message = await queue.get()
    assert.ok(message)
    assert.deepEqual(message.body, sent)
    assert.deepEqual({ ...message.headers }, headers)
    const { correlationId, replyTo, priority, messageId, type, appId, expiration, deliveryMode, contentType } =
      message.properties
    assert.deepEqual([correlationId, replyTo, priority, messageId], ['c-1', 'r-1', 3, 'm-1'])
    assert.deepEqual([type, appId, expiration, deliveryMode], ['t-1', 'a-1', '60000', 2])
    assert.equal(contentType, 'application/json')
  })

  it('keeps the order, however many there are in a turn', async () => {
    const queue = client.queue<number>(name('order'), { exclusive: true })
    const numbers = Array.from({ length: 5_000 }, (_, index) => index)
    await Promise.all(numbers.map((number) => queue.send(number)))
    const got: number[] = []
    const consumer = await queue.consume((message) => void got.push(message.body), { prefetch: 500 })
    await eventually('all have come', () => got.length === numbers.length)
    await consumer.stop()
    assert.deepEqual(got, numbers)
  })

  it('carries bodies of any size, in frames that the broker takes', async () => {
    const queue = client.queue(name('sizes'), { exclusive: true, codec: 'bytes' })
    for (const length of [0, 1, 131_064, 131_065, 1_000_000]) {
      const body = new Uint8Array(length).map((_, index) => index % 251)
      await queue.send(body)
      const message = await queue.get()
      assert.equal(Buffer.compare(Buffer.from(message?.body ?? []), Buffer.from(body)), 0, `${length} bytes`)
    }
  })

  it('carries text as text', async () => {
    const queue = client.queue(name('text'), { exclusive: true, codec: 'text' })
    await queue.send('nur Text')
    const message = await queue.get()
    assert.equal(message?.body, 'nur Text')
    assert.equal(message.properties.contentType, 'text/plain')
  })

  it('compresses large bodies only, and says so', async () => {
    const queue = client.queue<string>(name('compressed'), { exclusive: true, compression: 'gzip' })
    await queue.send('small')
    await queue.send('x'.repeat(10_000))
    const small = await queue.get()
    const large = await queue.get()
    assert.equal(small?.properties.contentEncoding, undefined)
    assert.equal(large?.properties.contentEncoding, 'gzip')
    assert.ok((large?.bytes.length ?? 0) < 1_000)
    assert.equal(large?.body, 'x'.repeat(10_000))
  })

  it('rejects with RETURNED when there is no such queue, and only that one', async () => {
    const there = client.queue<number>(name('there'), { exclusive: true })
    await there.declare()
    const missing = client.queue<number>(name('missing'), { declare: false })
    const results = await Promise.allSettled([there.send(1), missing.send(2), there.send(3), missing.send(4)])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected'],
    )
    const error = await warrenError(missing.send(5))
    assert.equal(error.code, 'RETURNED')
    assert.equal(error.replyCode, 312)
    assert.match(error.message, new RegExp(`There is no queue '${missing.name}'`))
    assert.ok(error.mend.length > 0)
  })

  it('declares its queue again after somebody has deleted it', async () => {
    const queue = client.queue<number>(name('deleted'))
    await queue.send(1)
    await queue.delete()
    await queue.send(2)
    await client.queue(queue.name, { declare: false }).delete()
    const other = await open()
    await queue.send(3)
    await other.queue(queue.name, { declare: false }).delete()
    assert.equal((await warrenError(queue.send(4))).code, 'RETURNED')
    await queue.send(5)
    assert.equal((await queue.get())?.body, 5)
    await queue.delete()
  })

  it('rejects with NACKED when the queue is full, and the rest goes on', async () => {
    const queue = client.queue<number>(name('full'), { exclusive: true, maxLength: 1, overflow: 'reject-publish' })
    await queue.send(1)
    assert.equal((await warrenError(queue.send(2))).code, 'NACKED')
    await queue.purge()
    await queue.send(3)
  })

  it('blames the one message the broker refuses, and sends all others', async () => {
    const queue = client.queue<number>(name('innocent'), { exclusive: true })
    await queue.declare()
    const nowhere = client.exchange<number>(name('no-exchange'), { declare: false })
    const good: Promise<void>[] = []
    const bad: Promise<WarrenError>[] = []
    for (let index = 0; index < 60; index++) {
      good.push(queue.send(index))
      if (index % 20 === 10) bad.push(warrenError(nowhere.send('key', index)))
    }
    await Promise.all(good)
    for (const error of await Promise.all(bad)) {
      assert.equal(error.code, 'CHANNEL_CLOSED')
      assert.equal(error.replyCode, 404)
      assert.match(error.message, /no exchange/)
    }
    const numbers = new Set<number>()
    for (let next = await queue.get(); next !== null; next = await queue.get()) numbers.add(next.body)
    assert.equal(numbers.size, 60)
  })

  it('refuses what AMQP cannot carry before it is sent', async () => {
    const queue = client.queue<unknown>(name('unsendable'), { exclusive: true })
    await queue.declare()
    assert.equal((await warrenError(queue.send(1, { correlationId: 'x'.repeat(300) }))).code, 'BAD_OPTION')
    assert.equal((await warrenError(queue.send(1, { headers: { x: 'x'.repeat(200_000) } }))).code, 'MESSAGE_TOO_LARGE')
    assert.equal((await warrenError(queue.send(1n))).code, 'BAD_BODY')
    assert.equal((await warrenError(queue.send(undefined))).code, 'BAD_BODY')
    assert.equal((await warrenError(queue.send(1, { priority: 300 }))).code, 'BAD_OPTION')
    await queue.send('and goes on')
  })

  it('rejects when too many wait, and takes more when they have gone', async () => {
    const small = await open({ ...quick, waitingMax: 50, unconfirmedMax: 5 })
    const queue = small.queue<number>(name('window'), { exclusive: true })
    await queue.declare()
    await queue.send(0)
    const results = await Promise.allSettled(Array.from({ length: 100 }, (_, index) => queue.send(index)))
    const failed = results.filter((result) => result.status === 'rejected')
    assert.ok(failed.length > 0 && failed.length < 60, `${failed.length} failed`)
    assert.ok(failed.every(({ reason }) => reason instanceof WarrenError && reason.code === 'TOO_MANY_WAITING'))
    assert.equal(await queue.sendMany(Array.from({ length: 500 }, (_, index) => index)), 500)
  })

  it('publishes to a topic, with and without anybody to get it', async () => {
    const topic = client.topic<{ n: number }>(name('topic'))
    const got: number[] = []
    const consumer = await topic.subscribe('orders.*', (message) => void got.push(message.body.n))
    await topic.send('orders.new', { n: 1 })
    await topic.send('invoices.new', { n: 2 })
    assert.equal((await warrenError(topic.send('invoices.new', { n: 3 }, { mandatory: true }))).code, 'RETURNED')
    await eventually('it has come', () => got.length > 0)
    assert.deepEqual(got, [1])
    await consumer.stop()
    await topic.delete()
  })

  if (isWarren) {
    it('is held back by delay, and taken once by its deduplication id', async () => {
      const queue = client.queue<string>(name('own'), { exclusive: true, deduplication: { windowMs: 60_000 } })
      await queue.send('later', { delay: 200 })
      await queue.send('once', { dedup: 'a' })
      await queue.send('twice', { dedup: 'a' })
      assert.equal((await queue.get())?.body, 'once')
      assert.equal(await queue.get(), null)
      await eventually('the delay is over', async () => (await queue.get())?.body === 'later')
    })
  } else {
    it('refuses options that this broker would not heed', async () => {
      const queue = client.queue<string>(name('foreign'), { exclusive: true })
      for (const options of [{ delay: 5 }, { at: new Date() }, { group: 'g' }]) {
        assert.equal((await warrenError(queue.send('x', options))).code, 'BAD_OPTION')
      }
    })
  }

  it('tells its hooks, and survives what they throw', async () => {
    const seen: (string | null)[] = []
    const errors: string[] = []
    const hooked = await open({
      ...quick,
      hooks: {
        publishing: (message) => ({
          ...message,
          properties: { ...message.properties, headers: { ...message.properties.headers, traceparent: 'tp' } },
        }),
        published: ({ error }) => {
          seen.push(error === null ? null : error.name)
          throw new Error('a hook fails')
        },
      },
    })
    hooked.on('error', ({ doing }) => errors.push(doing))
    const queue = hooked.queue<number>(name('hooks'), { exclusive: true })
    await queue.send(1)
    assert.equal((await queue.get())?.headers['traceparent'], 'tp')
    assert.deepEqual(seen, [null])
    assert.deepEqual(errors, ['the hook `published`'])
  })
})

describe('connecting', () => {
  const withUrl = (change: (url: URL) => void): string => {
    const url = new URL(broker.url)
    change(url)
    return url.href
  }

  it('names what is wrong with a URL, without the password', async () => {
    for (const url of [
      'localhost',
      'http://localhost',
      'amqp://:secret@host:99999',
      'amqp://localhost/a/b',
      '',
      'amqp://a:%zz@host',
    ]) {
      const error = await warrenError(open(quick, url))
      assert.equal(error.code, 'BAD_URL', url)
      assert.doesNotMatch(error.message, /secret/)
    }
  })

  it('rejects with a typed error for a wrong password, vhost, port or host', async () => {
    const cases = [
      [withUrl((url) => (url.password = 'wrong')), 'AUTHENTICATION_REFUSED'],
      [withUrl((url) => (url.pathname = '/no-such-vhost')), 'VHOST_NOT_FOUND'],
      [withUrl((url) => (url.port = '1')), 'CONNECT_REFUSED'],
      [withUrl((url) => (url.hostname = 'no-such-host.invalid')), 'HOST_NOT_FOUND'],
      [withUrl((url) => (url.href = url.href.replace('amqp:', 'amqps:'))), 'TLS_FAILED'],
    ] as const
    const errors = await Promise.all(cases.map(([url]) => warrenError(open(quick, url))))
    assert.deepEqual(
      errors.map(({ code }) => code),
      cases.map(([, code]) => code),
    )
  })

  it('takes the first of several brokers that answers', async () => {
    const many = await open(quick, [withUrl((url) => (url.port = '1')), broker.url])
    await many.queue<number>(name('second'), { exclusive: true }).declare()
  })
})
