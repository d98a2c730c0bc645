/**
 * What RabbitMQ's extensions decide about messages holds over a restart: deadlines, order, counts, limits and the history
 * of dead letters are as durable as the messages. Once after a stop in good order, once after SIGKILL.
 *
 * Each scenario sets something up, and after the restart looks at what became of it. Warren's own process only.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Arrival, type Publish, RawClient } from '../support/amqp/raw-client.ts'
import type { Table } from '../support/amqp/wire.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import {
  counts,
  death,
  deaths,
  exists,
  headersOf,
  int,
  pass,
  publish,
  publishTo,
  reject,
  take,
  text,
  until,
  untilReady,
  worked,
} from './protocol/steps.ts'

/** While the broker is down. Longer than the short times of the scenarios. */
const downMs = 700

/** Sets up, with queues whose names begin with `name`; what it gives looks at them after the restart. */
type Scenario = (client: RawClient, name: string) => Promise<(client: RawClient) => Promise<void>>

const durable = async (client: RawClient, queue: string, args: Table = {}): Promise<void> => {
  await client.call(1, 'queue.declare', { queue, durable: true, arguments: args })
}

const persistent = (...bodies: readonly string[]): Publish[] =>
  bodies.map((body) => ({ body, properties: { deliveryMode: 2 } }))

const to = (queue: string): Table => ({ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue })

async function fail(client: RawClient, queue: string): Promise<Arrival | null> {
  const got = await client.get(1, queue, { noAck: false })
  client.send(1, 'basic.reject', { deliveryTag: got?.args['deliveryTag'] ?? 0, requeue: true })
  return got
}

const scenarios: Readonly<Record<string, Scenario>> = {
  'what expired meanwhile is never delivered, and is dead-lettered': async (client, name) => {
    await durable(client, `${name}-dead`)
    await durable(client, name, to(`${name}-dead`))
    const short = { deliveryMode: 2, expiration: '500' }
    await publishTo(client, name, { body: 'a', properties: short }, ...persistent('stays'), {
      body: 'b',
      properties: short,
    })
    return async (after) => {
      assert.equal(text(await after.get(1, name)), 'stays')
      assert.equal(await after.get(1, name), null)
      await untilReady(after, `${name}-dead`, 2)
      const letter = await after.get(1, `${name}-dead`)
      assert.ok(letter !== null)
      const { reason, queue, 'original-expiration': expiration } = death(deaths(letter)[0])
      assert.deepEqual([reason, queue, expiration], ['expired', name, '500'])
    }
  },

  'what has time left goes when it is over': async (client, name) => {
    await durable(client, name, { 'x-message-ttl': int(3_000) })
    await publishTo(client, name, ...persistent('a', 'b'))
    return async (after) => untilReady(after, name, 0)
  },

  'a long deadline is kept': async (client, name) => {
    await durable(client, name, { 'x-message-ttl': int(600_000) })
    await publishTo(client, name, ...persistent('a'))
    return async (after) => assert.deepEqual(await take(after, name), ['a'])
  },

  'priorities give the order': async (client, name) => {
    await durable(client, name, { 'x-max-priority': int(10) })
    const messages = [1, 9, 5, 9, 1].map((priority, index) => ({
      body: `${priority}${'abcde'[index]}`,
      properties: { deliveryMode: 2, priority },
    }))
    await publishTo(client, name, ...messages)
    assert.equal(text(await fail(client, name)), '9b')
    return async (after) => assert.deepEqual(await take(after, name), ['9b', '9d', '5c', '1a', '1e'])
  },

  'x-delivery-count goes on, and the delivery limit counts what was before': async (client, name) => {
    await durable(client, `${name}-dead`)
    await durable(client, name, { 'x-delivery-limit': int(2), ...to(`${name}-dead`) })
    await publishTo(client, name, ...persistent('a'))
    for (let failures = 0; failures < 2; failures += 1) await fail(client, name)
    await worked(client)
    await publishTo(client, name, ...persistent('behind'))
    return async (after) => {
      const got = await fail(after, name)
      assert.deepEqual([text(got), headersOf(got)['x-delivery-count'], got?.args['redelivered']], ['a', 2, true])
      await untilReady(after, `${name}-dead`, 1)
      const letter = await after.get(1, `${name}-dead`)
      assert.ok(letter !== null)
      assert.equal(death(deaths(letter)[0])['reason'], 'delivery_limit')
      assert.deepEqual(await take(after, name), ['behind'])
    }
  },

  'a dead letter is in one queue only, with its history, which goes on': async (client, name) => {
    await durable(client, name, to(`${name}-dead`))
    await durable(client, `${name}-dead`, to(name))
    await publishTo(client, name, ...persistent('a'))
    await reject(client, name)
    await untilReady(client, `${name}-dead`, 1)
    await publishTo(client, name, ...persistent('b'))
    return async (after) => {
      assert.deepEqual(await take(after, name), ['b'])
      const letter = await reject(after, `${name}-dead`)
      assert.deepEqual(death(deaths(letter)[0]), {
        count: 1,
        reason: 'rejected',
        queue: name,
        exchange: '',
        'routing-keys': [name],
      })
      await untilReady(after, name, 1)
      await reject(after, name)
      await untilReady(after, `${name}-dead`, 1)
      const again = await after.get(1, `${name}-dead`)
      assert.ok(again !== null)
      assert.deepEqual(
        deaths(again).map((entry) => [entry['queue'], entry['count']]),
        [
          [name, 2],
          [`${name}-dead`, 1],
        ],
      )
    }
  },

  'a large dead letter is whole': async (client, name) => {
    const body = 'large '.repeat(60_000)
    await durable(client, `${name}-dead`)
    await durable(client, name, to(`${name}-dead`))
    await publishTo(client, name, ...persistent(body))
    await reject(client, name)
    await untilReady(client, `${name}-dead`, 1)
    await publishTo(client, name, ...persistent('later'))
    return async (after) => assert.equal(text(await after.get(1, `${name}-dead`)), body)
  },

  'length limits count what was there': async (client, name) => {
    await durable(client, `${name}-n`, { 'x-max-length': int(3) })
    await durable(client, `${name}-b`, { 'x-max-length-bytes': int(10) })
    await publishTo(client, `${name}-n`, ...persistent('a', 'b', 'c', 'd'))
    await publishTo(client, `${name}-b`, ...persistent('1234', '5678'))
    return async (after) => {
      await publishTo(after, `${name}-n`, ...persistent('e'))
      await publishTo(after, `${name}-b`, ...persistent('90a'))
      assert.deepEqual(await take(after, `${name}-n`), ['c', 'd', 'e'])
      assert.deepEqual(await take(after, `${name}-b`), ['5678', '90a'])
    }
  },

  'a full queue goes on to refuse': async (client, name) => {
    await durable(client, name, { 'x-max-length': int(2), 'x-overflow': 'reject-publish' })
    await publishTo(client, name, ...persistent('a', 'b'))
    return async (after) => {
      const message = { routingKey: name, body: 'c', properties: { deliveryMode: 2 } }
      assert.deepEqual(await publish(after, message), ['nack'])
      assert.equal(text(await after.get(1, name)), 'a')
      assert.deepEqual(await publish(after, message), ['ack'])
      assert.deepEqual(await take(after, name), ['b', 'c'])
    }
  },

  'transient messages are gone and count no more': async (client, name) => {
    await durable(client, name, { 'x-max-length': int(2), 'x-overflow': 'reject-publish', 'x-max-priority': int(5) })
    await publishTo(client, name, { body: 'transient' }, ...persistent('persistent'))
    return async (after) => {
      assert.deepEqual(await counts(after, name), [1, 0])
      await publishTo(after, name, ...persistent('more'))
      assert.deepEqual(await take(after, name), ['persistent', 'more'])
    }
  },

  'x-expires begins anew: the queue is there, and goes when nobody uses it': async (client, name) => {
    await durable(client, name, { 'x-expires': int(1_000) })
    return async (after) => {
      await until('the queue is gone', async () => {
        await pass(1_300)
        return !(await exists(after, name))
      })
    }
  },

  'a single active consumer is single': async (client, name) => {
    await durable(client, name, { 'x-single-active-consumer': true })
    await publishTo(client, name, ...persistent('a', 'b'))
    return async (after) => {
      for (const channel of [2, 3]) {
        await after.call(channel, 'channel.open')
        await after.call(channel, 'basic.qos', { prefetchCount: 1 })
        await after.call(channel, 'basic.consume', { queue: name })
      }
      assert.equal(text(await after.expect(2, 'basic.deliver')), 'a')
      after.send(2, 'basic.ack', { deliveryTag: 1 })
      assert.equal(text(await after.expect(2, 'basic.deliver')), 'b')
      await worked(after, 3)
    }
  },

  'arguments are compared with those of the declaration': async (client, name) => {
    const args = { 'x-message-ttl': int(60_000), 'x-max-priority': int(3), ...to('nowhere') }
    await durable(client, name, args)
    return async (after) => {
      await durable(after, name, args)
      after.send(1, 'queue.declare', { queue: name, durable: true, arguments: { ...args, 'x-max-priority': int(4) } })
      const about = `PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue '${name}' in vhost '/'`
      await after.expectChannelClose(1, 406, `${about}: received '4' but current is '3'`)
    }
  },
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  const broker = await BrokerProcess.start()
  const checks = new Map<string, (client: RawClient) => Promise<void>>()

  void describe(`after ${signal} and a new start`, { concurrency: 8, skip: broker.isExternal }, () => {
    before(async () => {
      for (const [index, [title, scenario]] of Object.entries(scenarios).entries()) {
        const client = await RawClient.withChannel(broker)
        checks.set(title, await scenario(client, `scenario-${index}`))
        await client.close()
      }
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
