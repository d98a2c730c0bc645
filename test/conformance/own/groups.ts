/** docs/groups.md, sentence by sentence. */
import assert from 'node:assert/strict'
import type { Arrival, Publish, RawClient } from '../../support/amqp/raw-client.ts'
import { type Table, typed } from '../../support/amqp/wire.ts'
import type { Sentences } from '../protocol/sentences.ts'
import { headersOf, int, mortal, publishTo, scene, take, text, until, untilReady, worked } from '../protocol/steps.ts'
import {
  ack,
  bodies,
  consume,
  delivery,
  durable,
  durableScene,
  long,
  message,
  nack,
  nothing,
  ready,
  refused,
  refusedArguments,
  rejectOne,
} from './steps.ts'

/** Messages named by their group and a number: a1 is of the group a. A digit first: of none. */
const of = (...names: readonly string[]): Publish[] =>
  names.map((name) => message(name, /^\d/.test(name) ? {} : { 'x-group': name.slice(0, 1) }))

export function groups(sentences: Sentences): void {
  oneAtATime(sentences)
  order(sentences)
  turns(sentences)
  combinations(sentences)
  whatIsRefused(sentences)
}

function oneAtATime(sentences: Sentences): void {
  sentences.prove('of each group one is in flight, and the next comes when it is settled', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await consume(client, 2, queue)
    await publishTo(client, queue, ...of('a1', 'a2', 'b1', 'b2', '0', 'a3'))
    const first = await client.expectMany(2, 'basic.deliver', 3)
    assert.deepEqual(first.map(text).sort(), ['0', 'a1', 'b1'])
    await nothing(client, 2)
    ack(client, named(first, 'a1'))
    const a2 = await delivery(client, 2)
    assert.equal(text(a2), 'a2')
    await nothing(client, 2)
    rejectOne(client, a2, { requeue: false })
    assert.equal(text(await delivery(client, 2)), 'a3')
  })

  sentences.prove('it holds over all consumers, channels and connections of a queue, and for gets', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const other = await stage.client()
    await consume(client, 2, queue)
    await consume(client, 3, queue)
    await consume(other, 2, queue)
    await publishTo(client, queue, ...of('a1', 'a2', 'a3', 'a4'))
    const first = await client.nextOnAny().catch(() => null)
    const holder = first ?? (await delivery(other, 2))
    assert.equal(text(holder), 'a1')
    await nothing(client, 2)
    await nothing(client, 3, 0)
    await nothing(other, 2, 0)
    assert.equal(await client.get(1, queue, { noAck: false }), null)
    assert.equal(await ready(client, queue), 3, 'those that wait for their turn are counted as ready')
  })

  sentences.prove('a get takes the first of each group', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await publishTo(client, queue, ...of('a1', 'a2', 'b1'))
    const seen: (string | undefined)[] = []
    for (let count = 0; count < 3; count += 1) seen.push(text(await client.get(1, queue, { noAck: false })))
    assert.deepEqual(seen, ['a1', 'b1', undefined])
  })

  sentences.prove('no-ack deliveries are settled at once: all come, each group in order', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await publishTo(client, queue, ...of('a1', 'a2', 'b1', 'a3', 'b2'))
    await consume(client, 2, queue, { noAck: true })
    const seen = await bodies(client, 2, 5)
    assert.deepEqual(ofGroup(seen, 'a'), ['a1', 'a2', 'a3'])
    assert.deepEqual(ofGroup(seen, 'b'), ['b1', 'b2'])
  })

  sentences.prove('each queue has groups of its own', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const other = await durable(stage, client)
    await publishTo(client, queue, ...of('a1'))
    await publishTo(client, other, ...of('a2'))
    assert.equal(text(await client.get(1, queue, { noAck: false })), 'a1')
    assert.equal(text(await client.get(1, other, { noAck: false })), 'a2')
  })

  sentences.prove('x-group-limit: so many of a group are in flight, in order', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-group-limit': int(3) })
    await consume(client, 2, queue)
    await publishTo(client, queue, ...of('a1', 'a2', 'a3', 'a4', 'a5', 'b1'))
    const first = await client.expectMany(2, 'basic.deliver', 4)
    assert.deepEqual(first.map(text).sort(), ['a1', 'a2', 'a3', 'b1'])
    await nothing(client, 2)
    ack(client, named(first, 'a2'))
    assert.equal(text(await delivery(client, 2)), 'a4')
    await nothing(client, 2)
    ack(client, named(first, 'a1'))
    assert.equal(text(await delivery(client, 2)), 'a5')
  })
}

function order(sentences: Sentences): void {
  const ways: Readonly<Record<string, (client: RawClient, one: Arrival) => void>> = {
    'basic.nack': nack,
    'basic.reject': (client, one) => rejectOne(client, one),
    'basic.recover': (client, one) => client.send(one.channel, 'basic.recover', { requeue: true }),
  }
  for (const [way, giveBack] of Object.entries(ways)) {
    sentences.prove(`what ${way} gives back comes again before those behind it`, async (stage) => {
      const { client, queue } = await durableScene(stage)
      await consume(client, 2, queue)
      await publishTo(client, queue, ...of('a1', 'a2', 'a3'))
      for (let count = 0; count < 3; count += 1) {
        const one = await client.expect(
          2,
          count === 0 || way !== 'basic.recover' ? 'basic.deliver' : 'basic.recover-ok',
        )
        giveBack(client, one.name === 'basic.deliver' ? one : await delivery(client, 2))
      }
      const seen: (string | undefined)[] = []
      while (seen.length < 3) {
        const one = await client.next(2)
        if (one.name !== 'basic.deliver') continue
        seen.push(text(one))
        ack(client, one)
      }
      assert.deepEqual(seen, ['a1', 'a2', 'a3'])
    })
  }

  sentences.prove('what a lost consumer held comes again before those behind it', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-group-limit': int(2) })
    const other = await stage.client()
    await consume(other, 2, queue)
    await publishTo(client, queue, ...of('a1', 'a2', 'a3', 'b1', 'b2', 'b3'))
    await other.expectMany(2, 'basic.deliver', 4)
    await consume(client, 2, queue, { prefetch: 1 })
    await nothing(client, 2)
    other.destroy()
    const seen = await acked(client, 2, 6)
    assert.deepEqual(ofGroup(seen, 'a'), ['a1', 'a2', 'a3'])
    assert.deepEqual(ofGroup(seen, 'b'), ['b1', 'b2', 'b3'])
  })

  sentences.prove('with retry the others of its group wait until it is done', async (stage) => {
    const retry = { 'x-retry-attempts': int(3), 'x-retry-delay': int(80) }
    const { client, queue } = await durableScene(stage, retry)
    await consume(client, 2, queue)
    await publishTo(client, queue, ...of('a1', 'a2', 'b1'))
    const first = await client.expectMany(2, 'basic.deliver', 2)
    ack(client, named(first, 'b1'))
    rejectOne(client, named(first, 'a1'))
    const again = await delivery(client, 2)
    assert.deepEqual([text(again), headersOf(again)['x-delivery-count']], ['a1', 1])
    ack(client, again)
    assert.equal(text(await delivery(client, 2)), 'a2')
  })

  sentences.prove('what is parked, dead-lettered or expires lets the next one of its group go', async (stage) => {
    const { client, queue, dead } = await mortal(stage, { 'x-retry-attempts': int(1), 'x-retry-delay': int(20) })
    await consume(client, 2, queue)
    await publishTo(client, queue, ...of('a1', 'a2'))
    for (let count = 0; count < 2; count += 1) {
      const one = await delivery(client, 2)
      assert.equal(text(one), 'a1')
      rejectOne(client, one)
    }
    assert.equal(text(await dead.next()), 'a1')
    assert.equal(text(await delivery(client, 2)), 'a2')
    const group = { 'x-group': 'c' }
    await client.call(2, 'basic.qos', { prefetchCount: 1, global: true })
    await publishTo(client, queue, message('c1', group, { expiration: '80' }), message('c2', group))
    assert.equal(text(await dead.next()), 'c1')
    assert.deepEqual(await take(client, queue), ['c2'])
  })

  sentences.prove('a delayed message takes its place by the order of publishing when it is due', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const group = { 'x-group': 'a' }
    const due = { 'x-deliver-at': long(Date.now() + 1_500) }
    await publishTo(client, queue, message('a1', { ...group, ...due }), message('a2', group), message('a3', group))
    await consume(client, 2, queue)
    const held = await delivery(client, 2)
    assert.equal(text(held), 'a2', 'while it waits it does not hold up its group')
    await untilReady(client, queue, 2)
    ack(client, held)
    assert.deepEqual(await acked(client, 2, 2), ['a1', 'a3'])
  })
}

function turns(sentences: Sentences): void {
  sentences.prove('groups take turns, however much one of them has', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const many = Array.from({ length: 40 }, (_, index) => `a${index}`)
    await publishTo(client, queue, ...of(...many, 'b0', 'b1', 'b2', 'c0'))
    await consume(client, 2, queue, { prefetch: 1 })
    const seen = await acked(client, 2, 44)
    assert.deepEqual(seen.slice(0, 7), ['a0', 'b0', 'c0', 'a1', 'b1', 'a2', 'b2'])
    assert.deepEqual(ofGroup(seen, 'a'), many)
  })

  sentences.prove('a message without a group keeps its place among them', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await publishTo(client, queue, ...of('a0', 'a1', '0', 'a2', '1'))
    await consume(client, 2, queue, { prefetch: 1 })
    assert.deepEqual(await acked(client, 2, 5), ['a0', '0', '1', 'a1', 'a2'])
  })

  sentences.prove('a thousand groups go on side by side', async (stage) => {
    const { client, queue } = await durableScene(stage)
    const names = Array.from({ length: 2_000 }, (_, index) => `${index % 1_000}:${Math.floor(index / 1_000)}`)
    const messages = names.map((name) => message(name, { 'x-group': name.split(':')[0] ?? '' }))
    await publishTo(client, queue, ...messages)
    await consume(client, 2, queue)
    const first = await client.expectMany(2, 'basic.deliver', 1_000)
    assert.deepEqual(first.map(text), names.slice(0, 1_000))
    client.send(2, 'basic.ack', { deliveryTag: 0, multiple: true })
    assert.deepEqual(await bodies(client, 2, 1_000), names.slice(1_000))
  })
}

function combinations(sentences: Sentences): void {
  sentences.prove('priority: between groups that of the first of each counts, in a group the order', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-max-priority': int(5) })
    const one = (body: string, priority: number): Publish =>
      message(body, { 'x-group': body.slice(0, 1) }, { priority })
    await publishTo(
      client,
      queue,
      one('a1', 1),
      one('a2', 5),
      one('b1', 3),
      one('b2', 0),
      message('0', {}, { priority: 2 }),
    )
    await consume(client, 2, queue, { prefetch: 1 })
    assert.deepEqual(await acked(client, 2, 5), ['b1', '0', 'a1', 'a2', 'b2'])
  })

  sentences.prove('a single active consumer gets one of each group as well', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-single-active-consumer': true })
    await consume(client, 2, queue)
    await consume(client, 3, queue)
    await publishTo(client, queue, ...of('a1', 'a2', 'b1'))
    assert.deepEqual((await bodies(client, 2, 2)).sort(), ['a1', 'b1'])
    await nothing(client, 2)
    assert.deepEqual(client.waiting(3), [])
  })

  sentences.prove('a dead letter is of the same group in the queue it comes to', async (stage) => {
    const client = await stage.client()
    const dead = await durable(stage, client)
    const queue = await durable(stage, client, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead })
    await publishTo(client, queue, ...of('a1', 'a2'))
    for (let count = 0; count < 2; count += 1) {
      // The first holds its group until its dead letter is stored, which is on another node perhaps.
      let taken: Arrival | null = null
      await until('the next of the group can be taken', async () => {
        taken = await client.get(1, queue, { noAck: false })
        return taken !== null
      })
      rejectOne(client, taken, { requeue: false })
    }
    await untilReady(client, dead, 2)
    assert.equal(text(await client.get(1, dead, { noAck: false })), 'a1')
    assert.equal(await client.get(1, dead, { noAck: false }), null)
  })

  sentences.prove(
    'purge takes those that wait; the next of a group goes when what is held is settled',
    async (stage) => {
      const { client, queue } = await durableScene(stage)
      await publishTo(client, queue, ...of('a1', 'a2', 'a3'))
      const held = await client.get(1, queue, { noAck: false })
      assert.equal((await client.call(1, 'queue.purge', { queue })).args['messageCount'], 2)
      await publishTo(client, queue, ...of('a4'))
      assert.equal(await client.get(1, queue, { noAck: false }), null)
      ack(client, held)
      assert.equal(text(await client.get(1, queue)), 'a4')
    },
  )

  sentences.prove('x-max-length: the oldest goes, whatever its group', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-max-length': int(2) })
    await publishTo(client, queue, ...of('a1', 'b1', 'a2', 'b2'))
    assert.deepEqual((await take(client, queue)).sort(), ['a2', 'b2'])
  })

  sentences.prove('x-max-length: what waits behind a message in flight counts and goes as well', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-max-length': int(2) })
    await publishTo(client, queue, ...of('a1'))
    const held = await client.get(1, queue, { noAck: false })
    await publishTo(client, queue, ...of('a2', 'a3', 'a4', 'a5'))
    assert.equal(await ready(client, queue), 2)
    ack(client, held)
    assert.deepEqual(await take(client, queue), ['a4', 'a5'])
  })

  sentences.prove('x-message-ttl: what waits behind a message in flight expires as well', async (stage) => {
    const { client, queue, dead } = await mortal(stage, { 'x-message-ttl': int(1_000) })
    await publishTo(client, queue, ...of('a1'))
    await client.get(1, queue, { noAck: false })
    await publishTo(client, queue, ...of('a2'))
    assert.equal(text(await dead.next()), 'a2')
  })

  sentences.prove('purge of what waits for its retry lets the next one go', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-retry-delay': int(60_000) })
    await publishTo(client, queue, ...of('a1'))
    rejectOne(client, await client.get(1, queue, { noAck: false }))
    await worked(client)
    await client.call(1, 'queue.purge', { queue })
    await publishTo(client, queue, ...of('a2'))
    assert.equal(text(await client.get(1, queue)), 'a2')
  })

  sentences.prove('tx: what is acked lets the next one go at the commit', async (stage) => {
    const { client, queue } = await durableScene(stage)
    await publishTo(client, queue, ...of('a1', 'a2'))
    await client.call(2, 'channel.open')
    await client.call(2, 'tx.select')
    await client.call(2, 'basic.consume', { queue })
    ack(client, await delivery(client, 2))
    await nothing(client, 2)
    client.send(2, 'tx.commit')
    // Which of the two comes first is left open.
    const both = [await client.next(2), await client.next(2)]
    assert.deepEqual(both.map(({ name }) => name).sort(), ['basic.deliver', 'tx.commit-ok'])
    assert.equal(text(both.find(({ name }) => name === 'basic.deliver') ?? null), 'a2')
  })

  sentences.prove('a lease that ends gives its message back before those behind it', async (stage) => {
    const { client, queue } = await durableScene(stage, { 'x-consumer-timeout': int(1_000) })
    await publishTo(client, queue, ...of('a1', 'a2'))
    await consume(client, 2, queue, { prefetch: 1 })
    assert.equal(text(await delivery(client, 2)), 'a1')
    await consume(client, 3, queue, { args: { 'x-priority': int(1) } })
    const again = await delivery(client, 3)
    assert.deepEqual([text(again), again.args['redelivered']], ['a1', true])
    ack(client, again)
    assert.equal(text(await delivery(client, 3)), 'a2')
  })

  sentences.prove('large messages and transient ones have groups too', async (stage) => {
    const { client, queue } = await scene(stage)
    const group: Table = { 'x-group': 'a' }
    const body = 'large '.repeat(60_000)
    await publishTo(
      client,
      queue,
      { body, properties: { headers: group } },
      { body: '2', properties: { headers: group } },
    )
    const held = await client.get(1, queue, { noAck: false })
    assert.equal(text(held), body)
    assert.equal(await client.get(1, queue, { noAck: false }), null)
    ack(client, held)
    assert.equal(text(await client.get(1, queue)), '2')
  })
}

function whatIsRefused(sentences: Sentences): void {
  sentences.prove('a group is a string of 1 to 255 bytes; anything else is 406', async (stage) => {
    const { client, queue } = await scene(stage)
    const publish = (group: Table[string]): Publish => ({
      routingKey: queue,
      properties: { headers: { 'x-group': group ?? null } },
    })
    await refused(client, publish(''), /invalid header 'x-group': 0 bytes, 1 to 255 are possible/)
    await refused(client, publish('é'.repeat(128)), /invalid header 'x-group': 256 bytes, 1 to 255 are possible/)
    await refused(client, publish(int(7)), /invalid header 'x-group': \{unacceptable_type,signedint\}/)
    await refused(client, publish(typed('S', Buffer.from([0xff]))), /invalid header 'x-group': not UTF-8/)
    await publishTo(client, queue, { properties: { headers: { 'x-group': 'é'.repeat(127) } } })
  })

  sentences.prove('x-group-limit is from 1 to 1,000,000', async (stage) => {
    const client = await stage.client()
    await refusedArguments(stage, client, [
      [{ 'x-group-limit': int(0) }, /invalid arg 'x-group-limit' for queue .*: \{value_zero,0\}/],
      [{ 'x-group-limit': int(-1) }, /value_negative,-1/],
      [{ 'x-group-limit': int(1_000_001) }, /max_value_exceeded,1000001/],
      [{ 'x-group-limit': 'many' }, /expected integer, got longstr/],
    ])
  })
}

/** Takes and acks one after the other. */
async function acked(client: RawClient, channel: number, count: number): Promise<(string | undefined)[]> {
  const seen: (string | undefined)[] = []
  while (seen.length < count) {
    const one = await delivery(client, channel)
    seen.push(text(one))
    ack(client, one)
  }
  return seen
}

function named(all: readonly Arrival[], body: string): Arrival | null {
  return all.find((one) => text(one) === body) ?? null
}

function ofGroup(seen: readonly (string | undefined)[], group: string): (string | undefined)[] {
  return seen.filter((one) => one?.startsWith(group))
}
