/** Requests over a driver without a broker, and a clock that stands still. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Table } from '../../../src/client/driver/properties.ts'
import { channelClosed } from '../../../src/client/errors.ts'
import type { Hooks } from '../../../src/client/hooks.ts'
import { wire } from '../../../src/client/reply-wire.ts'
import { Requester } from '../../../src/client/request.ts'
import { type FakeClient, fakeClient, states, turns } from './fake-client.ts'
import type { FakeChannel } from './fake-driver.ts'

interface Stage extends FakeClient {
  readonly requester: Requester<number, number>
  /** Where requests go out and replies come in. */
  readonly channel: () => FakeChannel
  readonly reply: (id: string | undefined, headers: Table, body?: unknown, replyTo?: string) => void
}

async function stage(options = {}): Promise<Stage> {
  const fake = await fakeClient()
  const requester = new Requester<number, number>(fake.core, 'prices', { timeoutMs: 1_000, ...options })
  const channel = (): FakeChannel => fake.driver.publishChannel
  const reply = (id = '', headers: Table = {}, body: unknown = 0, replyTo?: string): void =>
    channel().deliver({
      properties: { correlationId: id, replyTo, headers },
      body: new TextEncoder().encode(JSON.stringify(body)),
    })
  return { ...fake, requester, channel, reply }
}

const ids = (channel: FakeChannel): (string | undefined)[] =>
  channel.published.map(({ properties }) => properties.correlationId)

describe('a request', () => {
  it('asks for direct replies, expires with its time, and must be routed', async () => {
    const { requester, channel, reply } = await stage()
    const answer = requester.request(7)
    await turns()
    const [sent] = channel().published
    assert.deepEqual(
      [channel().consumers[0]?.queue, sent?.routingKey, sent?.exchange, sent?.isMandatory],
      ['amq.rabbitmq.reply-to', 'prices', '', true],
    )
    assert.deepEqual([sent?.properties.replyTo, sent?.properties.expiration], ['amq.rabbitmq.reply-to', '1000'])
    assert.deepEqual(channel().bodies, ['7'])
    reply(ids(channel())[0], {}, 8)
    assert.equal(await answer, 8)
  })

  it('takes the first answer to each, and drops what comes late or twice', async () => {
    const { requester, channel, reply, clock } = await stage()
    const answers = [requester.request(1), requester.request(2), requester.request(3)]
    await turns()
    const [first, second, third] = ids(channel())
    reply(second, {}, 20)
    reply(second, {}, 21)
    reply('somebody else', {}, 5)
    clock.advance(1_000)
    reply(first, {}, 10)
    reply(third, {}, 30)
    assert.deepEqual(await states(answers), ['REQUEST_TIMEOUT', 'ok', 'REQUEST_TIMEOUT'])
    assert.equal(await answers[1], 20)
    assert.equal(requester.inFlight, 0)
  })

  it('cancels with the one who said that it works on it, early or late', async () => {
    const { requester, channel, reply } = await stage()
    const abort = new AbortController()
    const answer = requester.request(1, { signal: abort.signal })
    const other = requester.request(2, { signal: abort.signal })
    await turns()
    const [first, second] = ids(channel())
    const accepted = { [wire.reply]: 'accepted', [wire.call]: 'call-1' }
    reply(first, accepted, 0, 'amq.rabbitmq.reply-to.abc')
    abort.abort()
    assert.deepEqual(await states([answer, other]), ['ABORTED', 'ABORTED'])
    assert.equal(channel().published.length, 3)
    reply(second, { ...accepted, [wire.call]: 'call-2' }, 0, 'amq.rabbitmq.reply-to.abc')
    const told = channel().published.slice(2)
    assert.deepEqual(
      told.map(({ routingKey, properties }) => [routingKey, properties.correlationId, properties.headers]),
      ['call-1', 'call-2'].map((call) => ['amq.rabbitmq.reply-to.abc', call, { [wire.control]: 'cancel' }]),
    )
  })

  it('fails when it comes back, is refused, or its channel is lost; what is not sent yet waits', async () => {
    const { requester, channel, driver, clock } = await stage({ timeoutMs: 60_000 })
    const answers = [1, 2, 3, 4].map((value) => requester.request(value))
    await turns()
    const [sent] = channel().published
    assert.ok(sent !== undefined)
    channel().events.returned({ replyCode: 312, replyText: 'NO_ROUTE', ...sent })
    channel().events.confirmed(1, false, false)
    channel().events.confirmed(3, false, true)
    assert.deepEqual(await states(answers), ['RETURNED', 'pending', 'NACKED', 'pending'])
    driver.last('publishing').lose()
    assert.deepEqual(await states(answers), ['RETURNED', 'CONNECTION_LOST', 'NACKED', 'CONNECTION_LOST'])
    const next = requester.request(5)
    assert.deepEqual(await states([next]), ['pending'])
    clock.advance(30_000)
    await turns()
    assert.deepEqual(channel().bodies, ['5'])
  })

  it('goes on with a new channel when the broker has closed the one it had', async () => {
    const { requester, channel, reply } = await stage()
    const refused = requester.request(1)
    await turns()
    channel().refuse(403)
    assert.deepEqual(await states([refused]), ['CHANNEL_CLOSED'])
    const answer = requester.request(2)
    await turns()
    reply(ids(channel())[0], {}, 3)
    assert.equal(await answer, 3)
  })
})

describe('what a request depends on', () => {
  it('fails with what the broker says when there are no direct replies', async () => {
    const { requester, driver, errors, clock } = await stage()
    driver.operation = (what) => {
      if (what.startsWith('consume')) throw channelClosed(403, 'ACCESS_REFUSED', 'a subscription')
    }
    assert.deepEqual(await states([requester.request(1)]), ['CHANNEL_CLOSED'])
    assert.deepEqual(errors, ['opening a channel for requests and replies'])
    driver.operation = () => undefined
    clock.advance(1_000)
    const answer = requester.request(2)
    await turns()
    assert.deepEqual(driver.publishChannel.bodies, ['2'])
    assert.deepEqual(await states([answer]), ['pending'])
  })

  it('is told to the hooks, which may add headers, from the request to its answer', async () => {
    const ended: string[] = []
    const hooks: Hooks = {
      publishing: (message) => ({ ...message, properties: { ...message.properties, headers: { traced: true } } }),
      published: ({ routingKey, ms, error }) => ended.push(`${routingKey} ${ms} ${error?.message ?? 'ok'}`),
    }
    const { core, driver, clock } = await fakeClient({ hooks })
    const answer = new Requester<number, number>(core, 'prices', {}).request(1)
    await turns()
    const [sent] = driver.publishChannel.published
    assert.equal(sent?.properties.headers?.['traced'], true)
    clock.advance(7)
    driver.publishChannel.deliver({ properties: { correlationId: sent.properties.correlationId } })
    assert.equal(await answer, 1)
    assert.deepEqual(ended, ['prices 7 ok'])
  })
})

describe('a stream of replies', () => {
  it('that is left before it was asked for asks nothing', async () => {
    const { requester, driver } = await stage()
    const stream = requester.stream(1)
    const first = stream.next()
    await stream.return?.()
    assert.equal((await first).done, true)
    await turns()
    assert.equal(requester.inFlight, 0)
    assert.equal(driver.connections.length, 1)
  })

  const part = (number: number): Table => ({ [wire.reply]: 'part', [wire.part]: number, [wire.call]: 'call' })

  it('gives credit as it is read, and says that it is there', async () => {
    const { requester, channel, reply, clock } = await stage({ window: 4 })
    const stream = requester.stream(1)
    const first = stream.next()
    await turns()
    const [id] = ids(channel())
    assert.equal(channel().published[0]?.properties.headers?.[wire.window], 4)
    for (const number of [0, 1, 2, 3]) reply(id, part(number), number, 'back')
    const credits = (): unknown[] =>
      channel()
        .published.slice(1)
        .map(({ properties }) => properties.headers?.[wire.credit])
    assert.deepEqual([(await first).value, (await stream.next()).value, (await stream.next()).value], [0, 1, 2])
    assert.deepEqual(credits(), [2])
    clock.advance(10_000)
    assert.deepEqual(credits(), [2, 0])
    assert.equal((await stream.next()).value, 3)
    assert.deepEqual(credits(), [2, 0, 2])
    reply(id, { [wire.reply]: 'end', [wire.part]: 4 })
    assert.equal((await stream.next()).done, true)
    clock.advance(60_000)
    assert.deepEqual(credits(), [2, 0, 2])
    assert.equal(requester.inFlight, 0)
  })

  it('reads what came before an error, and misses no part unnoticed', async () => {
    const { requester, channel, reply } = await stage()
    const stream = requester.stream(1)
    const first = stream.next()
    await turns()
    const [id] = ids(channel())
    reply(id, part(0), 'a', 'back')
    reply(id, part(2), 'c', 'back')
    assert.equal((await first).value, 'a')
    assert.deepEqual(await states([stream.next()]), ['REPLY_LOST'])
    assert.equal((await stream.next()).done, true)
  })

  it('has a time for each part that is waited for, not for the reader', async () => {
    const { requester, channel, reply, clock } = await stage()
    const stream = requester.stream(1)
    const first = stream.next()
    await turns()
    const [id] = ids(channel())
    reply(id, part(0), 'a', 'back')
    assert.equal((await first).value, 'a')
    clock.advance(5_000)
    const second = stream.next()
    await turns()
    clock.advance(999)
    assert.deepEqual(await states([second]), ['pending'])
    clock.advance(1)
    assert.deepEqual(await states([second]), ['REQUEST_TIMEOUT'])
    assert.equal(channel().published.at(-1)?.properties.headers?.[wire.control], 'cancel')
  })
})
