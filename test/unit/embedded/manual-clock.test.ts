/** Time by hand: what a broker does of itself happens when the clock is moved, all of it, and in order. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { ManualClock as StepClock } from '../../../src/base/clock.ts'
import { Broker } from '../../../src/index.ts'
import { ManualClock } from '../../../src/testing.ts'
import { type Publish, RawClient } from '../../support/amqp/raw-client.ts'
import type { Table } from '../../support/amqp/wire.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-clock-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

for (const storage of ['memory', 'files'] as const) {
  void describe(`a broker with a manual clock (${storage})`, () => {
    it('lets messages expire when their time has come, and not before', async (test) => {
      const { clock, client } = await scene(test, storage)
      await client.call(1, 'queue.declare', { queue: 'q' })
      await publish(client, { routingKey: 'q', body: 'x', properties: { expiration: '7200000' } })
      await clock.advance('1h 59min')
      assert.equal(await ready(client, 'q'), 1)
      await clock.advance('1min')
      assert.equal(await ready(client, 'q'), 0)
    })

    it('has delivered what fell due when advance resolves, each at its own time', async (test) => {
      const { clock, client } = await scene(test, storage)
      await client.call(1, 'queue.declare', { queue: 'q', durable: true })
      const seen: string[] = []
      await client.call(1, 'basic.consume', { queue: 'q', noAck: true })
      for (const hours of [3, 1, 2]) {
        await publish(client, {
          routingKey: 'q',
          body: `${hours}h`,
          properties: { headers: delayed(hours * 3_600_000) },
        })
      }
      const take = (): void => void seen.push(...client.takeWaiting(1).map(({ body }) => body.toString()))
      await clock.advance('30min')
      take()
      assert.deepEqual(seen, [])
      await clock.advance('2h')
      take()
      assert.deepEqual(seen, ['1h', '2h'])
      await clock.advance('1d')
      take()
      assert.deepEqual(seen, ['1h', '2h', '3h'])
    })

    it('goes from dead letter to dead letter in one advance, each with its own time', async (test) => {
      const { clock, client } = await scene(test, storage)
      const next = (queue: string): Table => ({ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue })
      await client.call(1, 'queue.declare', { queue: 'a', arguments: { 'x-message-ttl': 60_000, ...next('b') } })
      await client.call(1, 'queue.declare', { queue: 'b', arguments: { 'x-message-ttl': 3_600_000, ...next('c') } })
      await client.call(1, 'queue.declare', { queue: 'c' })
      await publish(client, { routingKey: 'a', body: 'x' })
      await clock.advance('2h')
      const arrived = await client.get(1, 'c')
      const deaths = arrived?.properties['headers'] as { 'x-death': { queue: string; time: unknown }[] }
      assert.deepEqual(
        deaths['x-death'].map(({ queue }) => queue),
        ['b', 'a'],
      )
    })

    it('deletes a queue that nobody has used for its time', async (test) => {
      const { clock, client } = await scene(test, storage)
      await client.call(1, 'queue.declare', { queue: 'q', arguments: { 'x-expires': 86_400_000 } })
      await clock.advance('25h')
      client.send(1, 'queue.declare', { queue: 'q', passive: true })
      await client.expectChannelClose(1, 404, /no queue 'q'/)
    })

    it('keeps a stream that was put aside for the night', async (test) => {
      const { clock, client } = await scene(test, storage)
      await client.call(1, 'queue.declare', { queue: 's', durable: true, arguments: { 'x-queue-type': 'stream' } })
      await publish(client, { routingKey: 's', body: 'a' })
      await clock.advance('8h')
      await publish(client, { routingKey: 's', body: 'b' })
      await clock.advance('8h')
      await client.call(1, 'basic.qos', { prefetchCount: 10 })
      await client.call(1, 'basic.consume', { queue: 's', arguments: { 'x-stream-offset': 'first' } })
      const bodies = (await client.expectMany(1, 'basic.deliver', 2)).map(({ body }) => body.toString())
      assert.deepEqual(bodies, ['a', 'b'])
    })

    it('leaves connections alone, however many hours go by', async (test) => {
      const { clock, client } = await scene(test, storage, { heartbeat: 10 })
      await clock.advance('30d')
      await client.call(1, 'queue.declare', { queue: 'still-here' })
    })
  })
}

describe('the manual clock', () => {
  it('waits for a consumer that works in steps, and for what comes of it', async (test) => {
    const clock = new ManualClock()
    const broker = await Broker.start({ storage: 'memory', clock })
    test.after(() => broker.stop())
    const client = await broker.connect()
    const queue = client.queue<{ n: number }>('work')
    const handled: [number, number][] = []
    const start = clock.now()
    const consumer = await queue.consume(
      async ({ body }) => {
        await Promise.resolve()
        handled.push([body.n, clock.now() - start])
        if (handled.length < 3) throw new Error('not yet')
      },
      { retry: { attempts: 5, backoff: { initialMs: 600_000, factor: 1, maxMs: 600_000 } } },
    )
    await queue.send({ n: 1 })
    await clock.advance('1h')
    assert.deepEqual(handled, [
      [1, 0],
      [1, 600_000],
      [1, 1_200_000],
    ])
    await consumer.stop()
  })

  it('refuses what is no length of time', async () => {
    const clock = new ManualClock({ start: new Date('2026-01-01T00:00:00Z') })
    for (const by of ['2 hours', 'soon', '', -1, Number.NaN, '1h30']) {
      await assert.rejects(clock.advance(by), /cannot advance by .*; give milliseconds, or a text such as '2h'/)
    }
    assert.throws(() => new ManualClock({ start: new Date('never') }), /cannot start at/)
    await clock.advance('1d 2h 3min 4s 5ms')
    assert.equal(new Date(clock.now()).toISOString(), '2026-01-02T02:03:04.005Z')
  })

  it('gives up on work that never ends, and says so', async () => {
    const clock = new ManualClock({ settleMsMax: 50 })
    let isOver = false
    const again = (): void => {
      if (!isOver) clock.soon(again)
    }
    again()
    await assert.rejects(clock.advance(1), /has not come to rest within 50 ms/)
    isOver = true
    await clock.advance(1)
  })

  it('takes overlapping calls one after the other', async () => {
    const clock = new ManualClock({ start: 0 })
    const seen: number[] = []
    for (const ms of [10, 20, 30]) clock.after(ms, () => seen.push(clock.now()))
    await Promise.all([clock.advance(15), clock.advance(15)])
    assert.deepEqual(seen, [10, 20, 30])
    assert.equal(clock.now(), 30)
  })

  it('has room for a hundred thousand timers, of which most are cancelled', () => {
    const clock = new StepClock(0)
    const seen: number[] = []
    const timers = Array.from({ length: 100_000 }, (_, n) =>
      clock.after((n * 7919) % 100_000, () => seen.push(clock.now())),
    )
    for (const [n, timer] of timers.entries()) if (n % 10 !== 0) timer.cancel()
    clock.advance(100_000)
    assert.equal(seen.length, 10_000)
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    )
    assert.equal(clock.nextDue, Number.POSITIVE_INFINITY)
  })
})

interface Scene {
  readonly clock: ManualClock
  readonly client: RawClient
}

let count = 0

async function scene(
  test: { after(done: () => Promise<unknown>): void },
  storage: 'memory' | 'files',
  handshake: { heartbeat?: number } = {},
): Promise<Scene> {
  const clock = new ManualClock()
  const dir = join(scratch, `data-${++count}`)
  const broker = await Broker.start({ storage: storage === 'memory' ? 'memory' : { dir }, clock })
  test.after(() => broker.stop({ drainMs: 100 }))
  const open = async (): Promise<ReturnType<Broker['openStream']>> => broker.openStream()
  const address = { host: 'in-process', port: 0, user: 'guest', password: 'guest', open }
  return { clock, client: await RawClient.withChannel(address, handshake) }
}

async function publish(client: RawClient, message: Publish): Promise<void> {
  await client.call(2, 'channel.open')
  await client.call(2, 'confirm.select')
  client.publish(2, message)
  await client.expect(2, 'basic.ack')
  await client.call(2, 'channel.close', { replyCode: 200 })
}

async function ready(client: RawClient, queue: string): Promise<unknown> {
  return (await client.call(1, 'queue.declare', { queue, passive: true })).args['messageCount']
}

function delayed(ms: number): Table {
  return { 'x-delay': ms }
}
