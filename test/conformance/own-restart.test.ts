/**
 * What Warren's own features promise holds over a restart: once after a stop in good order, once after SIGKILL. Each
 * scenario sets something up, and looks at what became of it afterwards.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { RawClient } from '../support/amqp/raw-client.ts'
import type { Table } from '../support/amqp/wire.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { ack, consume, delivery, long, message, notBefore, nothing, ready, rejectOne } from './own/steps.ts'
import {
  death,
  deaths,
  headersOf,
  int,
  pass,
  publish,
  publishTo,
  take,
  text,
  untilReady,
  worked,
} from './protocol/steps.ts'

/** While the broker is down. Longer than the short times of the scenarios. */
const downMs = 600

/** Sets up, with queues whose names begin with `name`; what it gives looks at them after the restart. */
type Scenario = (
  client: RawClient,
  name: string,
  broker: BrokerProcess,
) => Promise<(client: RawClient) => Promise<void>>

async function durable(client: RawClient, queue: string, args: Table = {}): Promise<void> {
  await client.call(1, 'queue.declare', { queue, durable: true, arguments: args })
}

const of = (name: string): ReturnType<typeof message> => message(name, { 'x-group': name.slice(0, 1) })
const withId = (body: string, messageId: string): ReturnType<typeof message> => message(body, {}, { messageId })

/** A consumer that holds `count` deliveries until the broker ends, and goes with it as a good client does. */
async function holder(broker: BrokerProcess, queue: string, count: number): Promise<void> {
  const client = await RawClient.withChannel(broker)
  await consume(client, 2, queue)
  await client.expectMany(2, 'basic.deliver', count)
  const leave = async (): Promise<void> => {
    const { name } = await client.next(0, 60_000)
    if (name === 'connection.close') client.send(0, 'connection.close-ok')
    client.destroy()
  }
  void leave()
}

/** Takes and acks one after the other. */
async function acked(client: RawClient, queue: string, count: number): Promise<(string | undefined)[]> {
  await consume(client, 2, queue, { prefetch: 1 })
  const seen: (string | undefined)[] = []
  while (seen.length < count) {
    const one = await delivery(client, 2)
    seen.push(text(one))
    ack(client, one)
  }
  return seen
}

const scenarios: Readonly<Record<string, Scenario>> = {
  'what fell due meanwhile is there at once, in the order of its times': async (client, name) => {
    await durable(client, name)
    const at = (ms: number): Table => ({ 'x-deliver-at': long(Date.now() + ms) })
    await publishTo(client, name, message('2', at(1_150)), message('1', at(1_000)), message('0'))
    return async (after) => {
      await untilReady(after, name, 3)
      assert.deepEqual(await take(after, name), ['0', '1', '2'])
    }
  },

  'what is not yet due goes on to wait, until the time that was said': async (client, name) => {
    await durable(client, name)
    const due = Date.now() + 12_000
    await publishTo(
      client,
      name,
      message('a', { 'x-deliver-at': long(due) }),
      message('never', { 'x-delay': int(600_000) }),
    )
    return async (after) => {
      await consume(after, 2, name, { noAck: true })
      assert.equal(text(await delivery(after, 2)), 'a')
      notBefore(due, 0, 'x-deliver-at')
      assert.equal(await ready(after, name), 0)
    }
  },

  'a delayed message that was due stands behind what was ready': async (client, name) => {
    await durable(client, name)
    await publishTo(client, name, message('delayed', { 'x-delay': int(50) }), message('before'))
    await untilReady(client, name, 2)
    await publishTo(client, name, message('after'))
    return async (after) => {
      await untilReady(after, name, 3)
      assert.deepEqual(await take(after, name), ['before', 'after', 'delayed'])
    }
  },

  'a delayed message that was acked or purged does not come back': async (client, name) => {
    await durable(client, name)
    await publishTo(client, name, message('a', { 'x-delay': int(50) }))
    await untilReady(client, name, 1)
    await take(client, name)
    await publishTo(client, name, message('b', { 'x-delay': int(600) }))
    await client.call(1, 'queue.purge', { queue: name })
    await publishTo(client, name, message('c'))
    return async (after) => {
      await pass(300)
      assert.deepEqual(await take(after, name), ['c'])
    }
  },

  'transient delayed messages are gone': async (client, name) => {
    await durable(client, name)
    await publishTo(client, name, { body: 'gone', properties: { headers: { 'x-delay': int(400) } } })
    await publishTo(client, name, message('kept', { 'x-delay': int(400) }))
    return async (after) => {
      await untilReady(after, name, 1)
      await pass(100)
      assert.deepEqual(await take(after, name), ['kept'])
    }
  },

  'expiration of a delayed message counts from its time': async (client, name) => {
    await durable(client, `${name}-dead`)
    await durable(client, name, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': `${name}-dead` })
    await publishTo(client, name, message('a', { 'x-delay': int(100) }, { expiration: '200' }))
    await publishTo(client, name, message('b', { 'x-delay': int(100) }, { expiration: '600000' }))
    return async (after) => {
      await untilReady(after, `${name}-dead`, 1)
      assert.deepEqual(await take(after, `${name}-dead`), ['a'])
      assert.deepEqual(await take(after, name), ['b'])
    }
  },

  'what waits for its retry goes on to wait': async (client, name) => {
    await durable(client, name, { 'x-retry-delay': int(12_000), 'x-retry-jitter': int(0) })
    await publishTo(client, name, message('fails'), message('b'))
    const since = Date.now()
    rejectOne(client, await client.get(1, name, { noAck: false }))
    await publishTo(client, name, message('c'))
    return async (after) => {
      assert.deepEqual(await take(after, name), ['b', 'c'])
      await consume(after, 2, name)
      const again = await delivery(after, 2)
      notBefore(since, 12_000, 'the retry')
      assert.deepEqual(
        [text(again), headersOf(again)['x-delivery-count'], again.args['redelivered']],
        ['fails', 1, true],
      )
    }
  },

  'attempts are counted on: parked after exactly as many': async (client, name) => {
    await durable(client, `${name}-parked`)
    const retry = { 'x-retry-attempts': int(3), 'x-retry-delay': int(20), 'x-retry-parking-queue': `${name}-parked` }
    await durable(client, name, retry)
    await publishTo(client, name, message('fails', { mine: 'kept' }))
    await consume(client, 2, name)
    for (let attempt = 0; attempt < 2; attempt += 1) rejectOne(client, await delivery(client, 2))
    await client.call(2, 'channel.close', { replyCode: 200 })
    await untilReady(client, name, 1)
    await publishTo(client, name, message('behind'))
    return async (after) => {
      await consume(after, 2, name)
      const counts: unknown[] = []
      for (let attempts = 0; attempts < 2; ) {
        const one = await delivery(after, 2)
        if (text(one) === 'behind') ack(after, one)
        else {
          attempts += 1
          counts.push(headersOf(one)['x-delivery-count'])
          rejectOne(after, one)
        }
      }
      assert.equal(counts[1], Number(counts[0]) + 1)
      assert.ok(Number(counts[0]) === 2 || Number(counts[0]) === 3, `counted on: ${counts.join(', ')}`)
      await untilReady(after, `${name}-parked`, 1)
      const parked = await after.get(1, `${name}-parked`)
      assert.equal(headersOf(parked)['mine'], 'kept')
    }
  },

  'a parked message is in one queue only, with its history': async (client, name) => {
    await durable(client, `${name}-parked`)
    await durable(client, name, { 'x-retry-attempts': int(0), 'x-retry-parking-queue': `${name}-parked` })
    await publishTo(client, name, message('fails'))
    rejectOne(client, await client.get(1, name, { noAck: false }))
    await untilReady(client, `${name}-parked`, 1)
    await publishTo(client, name, message('b'))
    return async (after) => {
      assert.deepEqual(await take(after, name), ['b'])
      const parked = await after.get(1, `${name}-parked`)
      assert.ok(parked !== null)
      assert.deepEqual(
        [death(deaths(parked)[0])['reason'], death(deaths(parked)[0])['queue']],
        ['delivery_limit', name],
      )
      assert.equal(await after.get(1, `${name}-parked`), null)
    }
  },

  'what a consumer holds at the end has not failed: it comes again at once': async (client, name, broker) => {
    await durable(client, name, { 'x-retry-attempts': int(0), 'x-retry-delay': int(600_000) })
    await publishTo(client, name, message('held'))
    await holder(broker, name, 1)
    await publishTo(client, name, message('behind'))
    return async (after) => {
      await consume(after, 2, name)
      const one = await delivery(after, 2)
      assert.deepEqual(
        [text(one), one.args['redelivered'], headersOf(one)['x-delivery-count']],
        ['held', true, undefined],
      )
    }
  },

  'groups: one in flight, in order, what was held first': async (client, name, broker) => {
    await durable(client, name)
    await publishTo(client, name, ...['a1', 'b1', 'a2', 'a3', 'b2', 'c1'].map(of))
    await holder(broker, name, 3)
    await publishTo(client, name, of('b3'))
    return async (after) => {
      await consume(after, 3, name)
      const first = await after.expectMany(3, 'basic.deliver', 3)
      assert.deepEqual(first.map(text).sort(), ['a1', 'b1', 'c1'])
      await nothing(after, 3)
      await after.call(3, 'channel.close', { replyCode: 200 })
      const seen = await acked(after, name, 7)
      for (const [group, count] of [
        ['a', 3],
        ['b', 3],
        ['c', 1],
      ] as const) {
        const numbers = seen.filter((one) => one?.startsWith(group))
        assert.deepEqual(
          numbers,
          Array.from({ length: count }, (_, index) => `${group}${index + 1}`),
        )
      }
    }
  },

  'groups: what waits for its retry holds up those behind it': async (client, name) => {
    await durable(client, name, { 'x-retry-delay': int(12_000) })
    await publishTo(client, name, of('a1'), of('a2'), of('b1'))
    rejectOne(client, await client.get(1, name, { noAck: false }))
    await worked(client)
    await publishTo(client, name, of('b2'))
    return async (after) => assert.deepEqual(await acked(after, name, 4), ['b1', 'b2', 'a1', 'a2'])
  },

  'ids are remembered, also of messages that are gone': async (client, name) => {
    await durable(client, name, { 'x-message-deduplication': true })
    await publishTo(client, name, withId('a', '1'), withId('b', '2'), withId('c', '3'))
    assert.deepEqual(await take(client, name), ['a', 'b', 'c'])
    await publishTo(client, name, withId('kept', '4'))
    return async (after) => {
      await publishTo(after, name, ...['1', '2', '3', '4', '5'].map((id) => withId(`${id} again`, id)))
      assert.deepEqual(await take(after, name), ['kept', '5 again'])
    }
  },

  'a window goes on from the time of the first publish': async (client, name) => {
    await durable(client, `${name}-short`, { 'x-message-deduplication': true, 'x-deduplication-window': int(400) })
    await durable(client, `${name}-long`, { 'x-message-deduplication': true, 'x-deduplication-window': int(600_000) })
    for (const queue of [`${name}-short`, `${name}-long`]) await publishTo(client, queue, withId('a', '1'))
    return async (after) => {
      for (const queue of [`${name}-short`, `${name}-long`]) await publishTo(after, queue, withId('again', '1'))
      assert.deepEqual(await take(after, `${name}-short`), ['a', 'again'])
      assert.deepEqual(await take(after, `${name}-long`), ['a'])
    }
  },

  'no more ids are remembered than x-deduplication-size': async (client, name) => {
    await durable(client, name, { 'x-message-deduplication': true, 'x-deduplication-size': int(2) })
    await publishTo(client, name, withId('a', '1'), withId('b', '2'), withId('c', '3'))
    return async (after) => {
      const outcomes = await publish(
        after,
        ...['3', '2', '1'].map((id) => ({ routingKey: name, ...withId(`${id} again`, id) })),
      )
      assert.deepEqual(outcomes, ['ack', 'ack', 'ack'])
      assert.deepEqual(await take(after, name), ['a', 'b', 'c', '1 again'])
    }
  },

  'leases begin anew': async (client, name, broker) => {
    await durable(client, name, { 'x-consumer-timeout': int(300) })
    await publishTo(client, name, message('a'))
    await holder(broker, name, 1)
    await publishTo(client, name, message('b'))
    return async (after) => {
      await consume(after, 2, name)
      assert.deepEqual((await after.expectMany(2, 'basic.deliver', 2)).map(text), ['a', 'b'])
      const [first, second] = await after.expectMany(2, 'basic.deliver', 2)
      assert.deepEqual([text(first ?? null), text(second ?? null)].sort(), ['a', 'b'])
    }
  },
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  const broker = await BrokerProcess.start()
  const checks = new Map<string, (client: RawClient) => Promise<void>>()

  void describe(`own features after ${signal} and a new start`, { concurrency: 8, skip: broker.isExternal }, () => {
    before(async () => {
      const setUp = async ([title, scenario]: [string, Scenario], index: number): Promise<void> => {
        const client = await RawClient.withChannel(broker)
        checks.set(title, await scenario(client, `scenario-${index}`, broker))
        await client.close()
      }
      await Promise.all(Object.entries(scenarios).map(setUp))
      await broker.kill(signal)
      await pass(downMs)
      await broker.restart()
    })
    after(() => broker.stop())

    for (const title of Object.keys(scenarios)) {
      void test(title, async () => {
        const check = checks.get(title)
        assert.ok(check !== undefined)
        const client = await RawClient.withChannel(broker)
        try {
          await check(client)
        } finally {
          client.destroy()
        }
      })
    }
  })
}
