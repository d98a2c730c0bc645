/** Consuming over HTTP: what is taken is out for a time, settled by its token, and comes back when nobody says a word. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { Broker } from '../../src/index.ts'

const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
const connection = await amqplib.connect(broker.url)
const channel = await connection.createConfirmChannel()
after(async () => {
  await connection.close()
  await broker.stop({ drainMs: 100 })
})

interface Leased {
  readonly token: string
  readonly payload: string
  readonly payload_bytes: number
  readonly redelivered: boolean
  readonly properties: { readonly headers?: Readonly<Record<string, unknown>> }
}

interface Settled {
  readonly done: number
  readonly unknown: readonly string[]
}

const login = (user: string) => ({ authorization: `Basic ${Buffer.from(user).toString('base64')}` })

async function send(path: string, body: unknown, user = 'guest:guest'): Promise<{ status: number; json: unknown }> {
  const url = new URL(`/api/queues/%2F/${path}`, broker.httpUrl)
  const response = await fetch(url, { method: 'POST', headers: login(user), body: JSON.stringify(body) })
  return { status: response.status, json: await response.json() }
}

async function take(queue: string, wish: object = {}): Promise<Leased[]> {
  const { status, json } = await send(`${queue}/leases`, { count: 10, ...wish })
  assert.equal(status, 200, JSON.stringify(json))
  return json as Leased[]
}

async function settle(queue: string, tokens: readonly string[], outcome = 'ack'): Promise<Settled> {
  const { status, json } = await send(`${queue}/leases/settle`, { tokens, outcome })
  assert.equal(status, 200, JSON.stringify(json))
  return json as Settled
}

async function put(path: string, body: object): Promise<void> {
  const url = new URL(`/api${path}`, broker.httpUrl)
  const { status } = await fetch(url, { method: 'PUT', headers: login('guest:guest'), body: JSON.stringify(body) })
  assert(status < 300, `${path}: ${status}`)
}

async function filled(queue: string, bodies: readonly string[], args = {}): Promise<void> {
  await channel.assertQueue(queue, { arguments: args })
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
  await channel.waitForConfirms()
}

async function lengths(queue: string): Promise<readonly [ready: number, unacked: number, consumers: number]> {
  const url = new URL(`/api/queues/%2F/${queue}`, broker.httpUrl)
  const json = (await (await fetch(url, { headers: login('guest:guest') })).json()) as Record<string, number>
  return [Number(json['messages_ready']), Number(json['messages_unacknowledged']), Number(json['consumers'])]
}

const bodies = (leased: readonly Leased[]): string[] => leased.map(({ payload }) => payload)

describe('messages taken over HTTP', () => {
  it('are out until they are settled', async () => {
    await filled('jobs', ['a', 'b', 'c'])
    const first = await take('jobs', { count: 2 })
    assert.deepEqual(bodies(first), ['a', 'b'])
    assert.deepEqual(await lengths('jobs'), [1, 2, 0])
    const [a, b] = first
    assert(a !== undefined && b !== undefined)
    assert.deepEqual(await settle('jobs', [a.token]), { done: 1, unknown: [] })
    assert.deepEqual(await settle('jobs', [a.token]), { done: 0, unknown: [a.token] })
    assert.deepEqual(await settle('jobs', [b.token], 'requeue'), { done: 1, unknown: [] })
    const again = await take('jobs')
    assert.deepEqual(
      again.map(({ payload, redelivered }) => [payload, redelivered]),
      [
        ['b', true],
        ['c', false],
      ],
    )
    await settle(
      'jobs',
      again.map(({ token }) => token),
    )
    assert.deepEqual(await lengths('jobs'), [0, 0, 0])
  })

  it('come back when their time is over, and their tokens are void', async () => {
    await filled('forgotten', ['a'])
    const [leased] = await take('forgotten', { lease_ms: 1_000 })
    assert(leased !== undefined)
    assert.deepEqual(await take('forgotten'), [])
    const [again] = await take('forgotten', { wait_ms: 5_000 })
    assert.deepEqual([again?.payload, again?.redelivered], ['a', true])
    assert.deepEqual(await settle('forgotten', [leased.token]), { done: 0, unknown: [leased.token] })
    assert.deepEqual(await settle('forgotten', [again?.token ?? '']), { done: 1, unknown: [] })
  })

  it('stay out longer where that is asked for', async () => {
    await filled('slow', ['a'])
    const [leased] = await take('slow', { lease_ms: 1_000 })
    const tokens = [leased?.token]
    assert.deepEqual((await send('slow/leases/extend', { tokens, lease_ms: 60_000 })).json, { done: 1, unknown: [] })
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    assert.deepEqual(await lengths('slow'), [0, 1, 0])
    assert.equal((await settle('slow', [leased?.token ?? ''])).done, 1)
  })

  it('are waited for', async () => {
    await filled('awaited', [])
    const begin = performance.now()
    const waiting = take('awaited', { wait_ms: 10_000 })
    while ((await lengths('awaited'))[2] === 0);
    channel.sendToQueue('awaited', Buffer.from('now'))
    assert.deepEqual(bodies(await waiting), ['now'])
    assert(performance.now() - begin < 5_000)
    assert.deepEqual(await take('awaited', { wait_ms: 100 }), [])
    assert.deepEqual(await lengths('awaited'), [0, 1, 0])
  })

  it('go to the dead letters when they are rejected', async () => {
    await filled('rejects', ['a'], { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'rejected' })
    await channel.assertQueue('rejected')
    const [leased] = await take('rejects')
    await settle('rejects', [leased?.token ?? ''], 'reject')
    assert.deepEqual(bodies(await take('rejected', { wait_ms: 2_000 })), ['a'])
  })

  it('may be large', async () => {
    await filled('large', ['x'.repeat(3_000_000), 'y'])
    const leased = await take('large')
    assert.deepEqual(
      leased
        .map(({ payload_bytes, payload }) => [payload_bytes, payload.length])
        .sort((a, b) => Number(a[0]) - Number(b[0])),
      [
        [1, 1],
        [3_000_000, 3_000_000],
      ],
    )
  })

  it('are settled by those who took them, and in their queue', async () => {
    await put('/users/other', { password: 'other', tags: 'management' })
    await put('/permissions/%2F/other', { configure: '.*', write: '.*', read: '.*' })
    await filled('own', ['a'])
    await filled('another', [])
    const [leased] = await take('own')
    const tokens = [leased?.token ?? '']
    assert.deepEqual((await send('own/leases/settle', { tokens }, 'other:other')).json, { done: 0, unknown: tokens })
    assert.deepEqual((await send('another/leases/settle', { tokens })).json, { done: 0, unknown: tokens })
    assert.equal((await settle('own', tokens)).done, 1)
  })

  it('are lost with their queue', async () => {
    await filled('gone', ['a'])
    const [leased] = await take('gone')
    await channel.deleteQueue('gone')
    await filled('gone', [])
    assert.equal((await settle('gone', [leased?.token ?? ''])).done, 0)
    assert.deepEqual(await lengths('gone'), [0, 0, 0])
  })

  it('are refused what cannot be', async () => {
    await filled('bounds', [])
    for (const wish of [{ count: 0 }, { count: 1_001 }, { wait_ms: 60_001 }, { lease_ms: 999 }, { encoding: 'x' }]) {
      assert.equal((await send('bounds/leases', wish)).status, 400, JSON.stringify(wish))
    }
    assert.equal((await send('bounds/leases/settle', {})).status, 400)
    assert.equal((await send('bounds/leases/settle', { tokens: ['x'], outcome: 'eat' })).status, 400)
    await filled('a-stream', [], { 'x-queue-type': 'stream' })
    assert.equal((await send('a-stream/leases', {})).status, 400)
    await channel.assertQueue('fleeting', { autoDelete: true })
    assert.equal((await send('fleeting/leases', {})).status, 400)
  })
})

describe('a stream of messages', () => {
  it('gives as many as may be out, and more as they are settled, until its reader goes', async () => {
    await filled('streamed', ['1', '2', '3', '4', '5'])
    const gone = new AbortController()
    const url = new URL('/api/queues/%2F/streamed/consume?prefetch=2', broker.httpUrl)
    const response = await fetch(url, { headers: login('guest:guest'), signal: gone.signal })
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    assert(response.body !== null)
    const seen: string[] = []
    let text = ''
    const reader = response.body.getReader()
    while (seen.length < 4) {
      const { value, done } = await reader.read()
      assert(!done)
      text += new TextDecoder().decode(value)
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [, json] = /^event: message\ndata: (.*)$/.exec(text.slice(0, end)) ?? []
        text = text.slice(end + 2)
        if (json === undefined) continue
        const leased = JSON.parse(json) as Leased
        seen.push(leased.payload)
        assert((await lengths('streamed'))[1] <= 2)
        await settle('streamed', [leased.token])
      }
    }
    assert.deepEqual(seen, ['1', '2', '3', '4'])
    gone.abort()
    while ((await lengths('streamed'))[2] > 0) await new Promise((resolve) => setTimeout(resolve, 20))
    const [ready, unacked] = await lengths('streamed')
    assert.equal(ready + unacked, 1)
  })

  it('is none for those who only ask whether it is there', async () => {
    await filled('headed', ['a'])
    const url = new URL('/api/queues/%2F/headed/consume', broker.httpUrl)
    const { status } = await fetch(url, { method: 'HEAD', headers: login('guest:guest') })
    assert.equal(status, 200)
    assert.deepEqual(await lengths('headed'), [1, 0, 0])
  })

  it('ends with its queue', async () => {
    await filled('short', [])
    const url = new URL('/api/queues/%2F/short/consume', broker.httpUrl)
    const response = await fetch(url, { headers: login('guest:guest') })
    while ((await lengths('short'))[2] === 0);
    await channel.deleteQueue('short')
    assert.match(await response.text(), /^: messages follow\n\n$/)
  })
})
