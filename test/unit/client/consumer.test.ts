import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ConsumeOptions, Handler } from '../../../src/client/consumer.ts'
import type { Message } from '../../../src/client/message.ts'
import { fakeClient, turns } from './fake-client.ts'

async function consumer(handler: Handler<number>, options: ConsumeOptions = {}) {
  const made = await fakeClient()
  const outcomes: string[] = []
  const queue = made.client.queue<number>('q', { declare: false })
  const started = await queue.consume(handler, options)
  const channel = made.driver.last('consuming').channels.at(-1)
  assert.ok(channel)
  return { ...made, consumer: started, channel, outcomes }
}

/** A handler whose runs a test ends one by one. */
class Held {
  readonly messages: Message<number>[] = []
  readonly #ends: ((error?: Error) => void)[] = []

  readonly handler: Handler<number> = (message) =>
    new Promise<void>((resolve, reject) => {
      this.messages.push(message)
      this.#ends.push((error) => (error === undefined ? resolve() : reject(error)))
    })

  end(index: number, error?: Error): void {
    this.#ends[index]?.(error)
  }
}

describe('a consumer', () => {
  it('acknowledges in the order its handlers end', async () => {
    const held = new Held()
    const { channel } = await consumer(held.handler, { concurrency: 3 })
    for (let index = 0; index < 4; index++) channel.deliver()
    await turns()
    assert.equal(held.messages.length, 3)
    held.end(2)
    held.end(0)
    await turns()
    assert.deepEqual(channel.settled, ['ack 3', 'ack 1'])
    assert.deepEqual(
      held.messages.map(({ body }) => body),
      [1, 2, 3, 4],
    )
  })

  it('stores the copy before it acknowledges a failed message', async () => {
    const held = new Held()
    const { channel, driver } = await consumer(held.handler, { retry: { attempts: 1 } })
    channel.deliver({ properties: { messageId: 'm', expiration: '5', userId: 'u', headers: { CC: ['x'], kept: 1 } } })
    await turns()
    held.end(0, new Error('no'))
    await turns()
    assert.deepEqual(channel.settled, [])
    const copy = driver.publishChannel.published[0]
    assert.equal(copy?.routingKey, 'q.retry.1000')
    assert.equal(copy.isMandatory, true)
    assert.equal(copy.properties.expiration, undefined)
    assert.equal(copy.properties.userId, undefined)
    assert.deepEqual(copy.properties.headers, {
      'x-warren-exchange': '',
      'x-warren-routing-key': 'q',
      'x-warren-attempt': 1,
      'x-warren-user-id': 'u',
      'x-deduplication-header': 'm~1',
      kept: 1,
    })
    driver.publishChannel.events.confirmed(1, false, false)
    await turns()
    assert.deepEqual(channel.settled, ['ack 1'])
  })

  it('gives a message back whose copy the broker does not take', async () => {
    const held = new Held()
    const { channel, driver, clock, errors } = await consumer(held.handler, { retry: false })
    channel.deliver()
    await turns()
    held.end(0, new Error('no'))
    await turns()
    assert.equal(driver.publishChannel.published[0]?.routingKey, 'q.dead')
    driver.publishChannel.events.confirmed(1, false, true)
    await turns()
    assert.deepEqual(channel.settled, [])
    clock.advance(1_000)
    await turns()
    assert.deepEqual(channel.settled, ['requeue 1'])
    assert.deepEqual(errors, ["moving a failed message of queue 'q'"])
  })

  it('rejects without a dead-letter queue, and puts back what the handler says', async () => {
    const { channel } = await consumer(
      (message) => {
        if (message.body === 1) message.requeue()
        else if (message.body === 2) message.reject()
        else throw new Error('no')
      },
      { retry: false, deadLetter: false },
    )
    for (let index = 0; index < 3; index++) channel.deliver()
    await turns()
    assert.deepEqual(channel.settled, ['requeue 1', 'reject 2', 'reject 3'])
  })

  it('settles once, whatever a handler does', async () => {
    const { channel } = await consumer((message) => {
      message.ack()
      message.requeue()
      throw new Error('after all')
    })
    channel.deliver()
    await turns()
    assert.deepEqual(channel.settled, ['ack 1'])
  })

  it('lets go of what is lost with its connection, and does not settle it elsewhere', async () => {
    const held = new Held()
    const { channel, driver, clock, consumer: one } = await consumer(held.handler, { concurrency: 1, prefetch: 5 })
    channel.deliver()
    channel.deliver()
    await turns()
    const { signal } = held.messages[0] as Message<number>
    driver.last('consuming').lose()
    assert.equal(signal.aborted, true)
    assert.equal(held.messages[0]?.extend(), false)
    clock.advance(1_000)
    await turns()
    held.end(0)
    await turns()
    const next = driver.last('consuming').channels.at(-1)
    assert.deepEqual([channel.settled, next?.settled], [[], []])
    assert.equal(one.inHandCount, 0)
    assert.equal(held.messages.length, 1)
    next?.deliver()
    await turns()
    assert.equal(held.messages.length, 2)
  })

  it('subscribes again after the broker cancelled it, and closes the old channel when all is settled', async () => {
    const held = new Held()
    const { channel, driver, clock } = await consumer(held.handler)
    channel.deliver()
    await turns()
    channel.consumers[0]?.events.cancelled()
    clock.advance(1_000)
    await turns()
    const next = driver.last('consuming').channels.at(-1)
    assert.notEqual(next, channel)
    assert.equal(next?.consumers[0]?.queue, 'q')
    assert.equal(channel.isOpen, true)
    held.end(0)
    await turns()
    assert.deepEqual(channel.settled, ['ack 1'])
    assert.equal(channel.isOpen, false)
  })

  it('says by the clock when a lease is over; Warren takes the message back by itself', async () => {
    const held = new Held()
    const { channel, clock, driver } = await consumer(held.handler, { lease: 1_000 })
    channel.deliver()
    await turns()
    const message = held.messages[0] as Message<number>
    clock.advance(900)
    assert.equal(message.extend(), true)
    assert.deepEqual(channel.published[0]?.properties.headers, { 'x-delivery-tag': 1, 'x-lease': 1_000 })
    clock.advance(999)
    assert.equal(message.signal.aborted, false)
    clock.advance(1)
    assert.equal(message.signal.aborted, true)
    held.end(0)
    await turns()
    assert.deepEqual(channel.settled, [])
    driver.isWarren = false
    channel.deliver()
    await turns()
    clock.advance(1_000)
    assert.deepEqual(channel.settled, ['requeue 2'])
  })

  it('learns from a return that a lease was over already', async () => {
    const held = new Held()
    const { channel } = await consumer(held.handler, { lease: 1_000 })
    channel.deliver()
    await turns()
    const message = held.messages[0] as Message<number>
    message.extend(5_000)
    const sent = channel.published[0]
    assert.ok(sent)
    channel.events.returned({ replyCode: 312, replyText: 'NO_ROUTE', ...sent })
    assert.equal(message.signal.aborted, true)
  })

  it('gives back what waits when it stops, and ends after what runs', async () => {
    const held = new Held()
    const { channel, consumer: one } = await consumer(held.handler, { prefetch: 5 })
    for (let index = 0; index < 3; index++) channel.deliver()
    await turns()
    let isStopped = false
    void one.stop().then(() => {
      isStopped = true
    })
    await turns()
    assert.deepEqual(channel.settled, ['requeue 2', 'requeue 3'])
    assert.equal(isStopped, false)
    held.end(0)
    await turns()
    assert.deepEqual(channel.settled, ['requeue 2', 'requeue 3', 'ack 1'])
    assert.equal(isStopped, true)
    assert.equal(channel.isOpen, false)
  })

  it('refuses options that make no sense', async () => {
    for (const options of [{ concurrency: 0 }, { prefetch: 1.5 }, { lease: -1 }, { retry: { attempts: -1 } }]) {
      await assert.rejects(
        consumer(() => undefined, options),
        { code: 'BAD_OPTION' },
      )
    }
  })
})
