/** Messages that are looked at, changed, taken away and sent back over HTTP, with a real broker and its clients beside. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { Broker } from '../../src/index.ts'

const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
const connection = await amqplib.connect(broker.url)
after(async () => {
  await connection.close()
  await broker.stop({ drainMs: 100 })
})

interface Shown {
  readonly sequence: number
  readonly state: string
  readonly redelivered: boolean
  readonly payload: string
  readonly payload_bytes: number
  readonly payload_encoding: string
  readonly routing_key: string
  readonly deliver_at: number | null
  readonly properties: { readonly headers?: Readonly<Record<string, unknown>>; readonly priority?: number }
}

interface Run {
  readonly state: string
  readonly moved: number
  readonly skipped: number
  readonly undo_until: number | null
  readonly undo: { readonly state: string; readonly undone: number; readonly taken: number | null } | null
}

async function send(method: string, path: string, body?: unknown): Promise<{ status: number; json: unknown }> {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const response = await fetch(new URL(`/api/queues/%2F${path}`, broker.httpUrl), {
    method,
    headers: { authorization },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? null : JSON.parse(text) }
}

async function browse(queue: string, query = ''): Promise<Shown[]> {
  const { status, json } = await send('GET', `/${queue}/messages${query}`)
  assert.equal(status, 200, JSON.stringify(json))
  return json as Shown[]
}

async function filled(queue: string, bodies: readonly string[], args = {}): Promise<amqplib.ConfirmChannel> {
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue(queue, { arguments: args })
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body), { persistent: true })
  await channel.waitForConfirms()
  return channel
}

describe('messages of a queue', () => {
  it('are listed where they are, page by page, and stay as they were', async () => {
    const channel = await filled('looked-at', ['a', 'b', 'c', 'd', 'e'])
    const held = await channel.get('looked-at')
    assert(held !== false)
    channel.publish('', 'looked-at', Buffer.from('later'), { headers: { 'x-delay': 600_000 } })
    await channel.waitForConfirms()
    const first = await browse('looked-at', '?limit=4')
    assert.deepEqual(
      first.map(({ payload, state }) => [payload, state]),
      [
        ['a', 'unacked'],
        ['b', 'ready'],
        ['c', 'ready'],
        ['d', 'ready'],
      ],
    )
    const rest = await browse('looked-at', `?limit=4&after=${first.at(-1)?.sequence}`)
    assert.deepEqual(
      rest.map(({ payload, state, deliver_at }) => [payload, state, deliver_at !== null]),
      [
        ['e', 'ready', false],
        ['later', 'waiting', true],
      ],
    )
    const next = await channel.get('looked-at', { noAck: true })
    assert(next !== false)
    assert.deepEqual([next.content.toString(), next.fields.redelivered], ['b', false])
    await channel.close()
  })

  it('are cut where that is asked for, and shown whole one by one', async () => {
    const channel = await filled('cut', ['x'.repeat(10_000), 'y'.repeat(2_000_000)])
    const [small, large] = await browse('cut', '?truncate=5')
    assert.deepEqual([small?.payload, small?.payload_bytes], ['xxxxx', 10_000])
    assert.deepEqual([large?.payload, large?.payload_bytes], ['yyyyy', 2_000_000])
    const { json } = await send('GET', `/cut/messages/${small?.sequence}`)
    assert.equal((json as Shown).payload.length, 10_000)
    const cut = (await send('GET', `/cut/messages/${large?.sequence}`)).json as Shown
    assert.equal(cut.payload.length, 256 * 1024)
    await channel.close()
  })

  it('are taken away one by one, but for those that somebody holds', async () => {
    const channel = await filled('picked', ['a', 'b', 'c'])
    const [a, b] = await browse('picked')
    await channel.get('picked')
    assert.equal((await send('DELETE', `/picked/messages/${a?.sequence}`)).status, 409)
    assert.equal((await send('DELETE', `/picked/messages/${b?.sequence}`)).status, 204)
    assert.equal((await send('DELETE', `/picked/messages/${b?.sequence}`)).status, 404)
    assert.equal((await send('DELETE', '/picked/messages/99')).status, 404)
    assert.equal((await send('DELETE', '/picked/messages/x')).status, 404)
    const left = await browse('picked')
    assert.deepEqual(
      left.map(({ payload }) => payload),
      ['a', 'c'],
    )
    await channel.close()
  })

  it('are changed: the new one goes to the end', async () => {
    const channel = await filled('edited', ['wrong', 'other'])
    const [wrong] = await browse('edited')
    const path = `/edited/messages/${wrong?.sequence}`
    assert.equal((await send('PUT', path, { payload: 'right' })).status, 204)
    assert.equal((await send('PUT', path, { payload: 'again' })).status, 404)
    const messages = await browse('edited')
    assert.deepEqual(
      messages.map(({ payload }) => payload),
      ['other', 'right'],
    )
    const properties = { priority: 7, headers: { fixed: true } }
    assert.equal((await send('PUT', `/edited/messages/${messages[1]?.sequence}`, { properties })).status, 204)
    const last = (await browse('edited')).at(-1)
    assert.deepEqual(
      [last?.payload, last?.properties.priority, last?.properties.headers],
      ['right', 7, { fixed: true }],
    )
    await channel.close()
  })

  it('of a stream are not', async () => {
    await filled('stream', ['a'], { 'x-queue-type': 'stream' })
    assert.equal((await send('GET', '/stream/messages')).status, 400)
  })

  it('are refused what cannot be', async () => {
    await filled('bounds', [])
    for (const query of ['?limit=0', '?limit=1001', '?after=x', '?truncate=-1']) {
      assert.equal((await send('GET', `/bounds/messages${query}`)).status, 400, query)
    }
    assert.equal((await send('GET', '/nowhere/messages')).status, 404)
    for (const body of [{ rate: 0 }, { rate: 10_001 }, { count: 0 }, { queue: 5 }]) {
      assert.equal((await send('POST', '/bounds/redrive', body)).status, 400, JSON.stringify(body))
    }
    assert.equal((await send('GET', '/bounds/redrive')).status, 404)
  })
})

/** Two queues whose rejected messages come to `dead`. */
async function withDead(dead: string, bodies: readonly string[]): Promise<amqplib.ConfirmChannel> {
  const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead }
  const channel = await filled(dead, [])
  for (const name of [`${dead}-1`, `${dead}-2`]) {
    await channel.assertQueue(name, { arguments: args })
    for (const body of bodies) channel.sendToQueue(name, Buffer.from(body), { headers: { kept: true } })
  }
  await channel.waitForConfirms()
  for (const name of [`${dead}-1`, `${dead}-2`]) {
    for (let message = await channel.get(name); message !== false; message = await channel.get(name)) {
      channel.nack(message, false, false)
    }
  }
  while ((await browse(dead)).length < 2 * bodies.length);
  return channel
}

async function ended(queue: string): Promise<Run> {
  for (;;) {
    const run = (await send('GET', `/${queue}/redrive`)).json as Run
    if (run.state !== 'running') return run
  }
}

interface Group {
  readonly vhost?: string
  readonly holder?: string
  readonly queue: string
  readonly reason: string
  readonly exchange: string
  readonly messages: number
  readonly first_died_at: number
  readonly last_arrived_at: number
}

function shown({ queue, reason, exchange, messages }: Group): unknown {
  return [queue, reason, exchange, messages]
}

describe('dead letters', () => {
  it('are counted by where and of what they died', async () => {
    await withDead('dead-a', ['1', '2', '3'])
    const { json } = await send('GET', '/dead-a/deaths')
    const { is_complete: isComplete, groups } = json as { is_complete: boolean; groups: readonly Group[] }
    assert.equal(isComplete, true)
    assert.deepEqual(groups.map(shown), [
      ['dead-a-1', 'rejected', '', 3],
      ['dead-a-2', 'rejected', '', 3],
    ])
    for (const group of groups) {
      assert(Math.abs(Date.now() - group.first_died_at) < 60_000, String(group.first_died_at))
      assert(Math.abs(Date.now() - group.last_arrived_at) < 60_000, String(group.last_arrived_at))
    }
  })

  it('go back where they died, those that are chosen', async () => {
    const channel = await withDead('dead-b', ['1', '2', '3'])
    const { status } = await send('POST', '/dead-b/redrive', { queue: 'dead-b-1', reason: 'rejected', rate: 1_000 })
    assert.equal(status, 202)
    const { state, moved, skipped } = await ended('dead-b')
    assert.deepEqual([state, moved, skipped], ['done', 3, 0])
    const back = await browse('dead-b-1')
    assert.deepEqual(back.map(({ payload }) => payload).sort(), ['1', '2', '3'])
    assert.equal(back[0]?.properties.headers?.['kept'], true)
    assert.equal((await browse('dead-b')).length, 3)
    assert.equal((await browse('dead-b-2')).length, 0)
    await channel.close()
  })

  it('that fail again at once do not go round', async () => {
    const channel = await withDead('dead-c', ['1', '2'])
    await channel.prefetch(1)
    await channel.consume('dead-c-1', (message) => message !== null && channel.nack(message, false, false))
    await send('POST', '/dead-c/redrive', { queue: 'dead-c-1' })
    assert.equal((await ended('dead-c')).moved, 2)
    while ((await browse('dead-c')).length < 4);
    await channel.close()
  })

  it('without a queue to go back to stay', async () => {
    const channel = await withDead('dead-d', ['1'])
    await channel.deleteQueue('dead-d-1')
    await send('POST', '/dead-d/redrive', {})
    const { moved, skipped } = await ended('dead-d')
    assert.deepEqual([moved, skipped], [1, 1])
    assert.equal((await browse('dead-d')).length, 1)
    await channel.close()
  })

  it('go no faster than was asked, and no further when they are stopped', async () => {
    await withDead('dead-e', ['1', '2', '3', '4', '5', '6'])
    const begun = performance.now()
    await send('POST', '/dead-e/redrive', { rate: 2 })
    assert.equal((await send('POST', '/dead-e/redrive', {})).status, 400)
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.equal((await send('DELETE', '/dead-e/redrive')).status, 204)
    const { state, moved } = await ended('dead-e')
    assert.equal(state, 'stopped')
    const most = 3 + (2 * (performance.now() - begun)) / 1_000
    assert(moved >= 1 && moved <= most, `${moved}, and at most ${most}`)
  })

  it('of any size go back, and whole', async () => {
    const body = Buffer.alloc(3_000_001, 'x')
    for (let at = 0; at + 4 < body.length; at += 1_000) body.writeUInt32BE(at, at)
    const channel = await withDead('dead-f', [])
    channel.sendToQueue('dead-f-1', body, { persistent: true, headers: { CC: ['elsewhere'] }, messageId: 'large' })
    await channel.waitForConfirms()
    const message = await channel.get('dead-f-1')
    assert(message !== false)
    channel.nack(message, false, false)
    while ((await browse('dead-f', '?truncate=0')).length < 1);
    await send('POST', '/dead-f/redrive', {})
    assert.equal((await ended('dead-f')).moved, 1)
    const back = await channel.get('dead-f-1', { noAck: true })
    assert(back !== false)
    assert.equal(back.properties.messageId, 'large')
    assert(back.content.equals(body), 'the body is another')
    assert.equal((await browse('dead-f')).length, 0)
    await channel.close()
  })

  it('that are large can be given other properties', async () => {
    const channel = await filled('edited-large', ['y'.repeat(1_000_000)])
    const [large] = await browse('edited-large', '?truncate=0')
    const { status } = await send('PUT', `/edited-large/messages/${large?.sequence}`, { properties: { priority: 3 } })
    assert.equal(status, 204)
    const changed = await channel.get('edited-large', { noAck: true })
    assert(changed !== false)
    assert.deepEqual([changed.properties.priority, changed.content.length], [3, 1_000_000])
    await channel.close()
  })

  it('go back one by one', async () => {
    await withDead('dead-g', ['1', '2'])
    const [, second] = await browse('dead-g')
    await send('POST', '/dead-g/redrive', { sequence: second?.sequence })
    assert.equal((await ended('dead-g')).moved, 1)
    const left = await browse('dead-g')
    assert.equal(left.length, 3)
    assert(!left.some(({ sequence }) => sequence === second?.sequence))
  })

  it('come back when that is asked for, but for those that were taken', async () => {
    const bodies = Array.from({ length: 20 }, (_, index) => `${index}`)
    const channel = await withDead('dead-h', bodies)
    assert.equal((await send('POST', '/dead-h/redrive/undo')).status, 404)
    await send('POST', '/dead-h/redrive', { rate: 10_000 })
    assert.equal((await ended('dead-h')).moved, 40)
    // Two are consumed, one is held.
    for (const noAck of [true, true, false]) await channel.get('dead-h-1', { noAck })
    assert.equal((await send('POST', '/dead-h/redrive/undo')).status, 202)
    let run = await ended('dead-h')
    while (run.undo?.state === 'running') run = await ended('dead-h')
    assert.deepEqual(
      [run.undo?.state, run.undo?.undone, run.undo?.taken, run.undo_until],
      ['done', 37, 3, null],
      JSON.stringify(run),
    )
    assert.equal((await browse('dead-h')).length, 37)
    assert.equal((await browse('dead-h-1')).length, 1)
    assert.equal((await browse('dead-h-2')).length, 0)
    assert.equal((await send('POST', '/dead-h/redrive/undo')).status, 400)
    // They are dead letters as before, and can go back again.
    await send('POST', '/dead-h/redrive', { rate: 10_000 })
    assert.equal((await ended('dead-h')).moved, 37)
    await channel.close()
  })

  it('come back to a run that is stopped for it, behind what was there already', async () => {
    const channel = await withDead('dead-i', ['1', '2', '3', '4', '5'])
    for (let index = 0; index < 500; index++) channel.sendToQueue('dead-i-1', Buffer.from('older'))
    await channel.waitForConfirms()
    await send('POST', '/dead-i/redrive', { rate: 2 })
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal((await send('POST', '/dead-i/redrive/undo')).status, 202)
    let run = await ended('dead-i')
    while (run.undo?.state === 'running') run = await ended('dead-i')
    assert.deepEqual([run.state, run.undo?.undone, run.undo?.taken], ['stopped', run.moved, 0])
    assert.equal((await browse('dead-i')).length, 10)
    assert.equal((await browse('dead-i-1', '?limit=1000')).length, 500)
    await channel.close()
  })

  it('of all queues are told together, in as many answers as it takes', async () => {
    const channel = await withDead('dead-j', ['1', '2'])
    // Messages that have not died are no dead letters, however many there are.
    for (let index = 0; index < 50; index++) channel.sendToQueue('alive', Buffer.from('x'))
    await channel.assertQueue('alive')
    const found: Group[] = []
    let next: string | null = ''
    while (next !== null) {
      const path: string = `/api/warren/dead-letters${next === '' ? '' : `?after=${next}`}`
      const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
      const response = await fetch(new URL(path, broker.httpUrl), { headers: { authorization } })
      assert.equal(response.status, 200)
      const answer = (await response.json()) as { groups: readonly Group[]; next: string | null }
      found.push(...answer.groups)
      next = answer.next
    }
    const here = found.filter(({ holder }) => holder === 'dead-j')
    assert.deepEqual(here.map(shown), [
      ['dead-j-1', 'rejected', '', 2],
      ['dead-j-2', 'rejected', '', 2],
    ])
    assert.equal(here[0]?.vhost, '/')
    assert(found.some(({ holder }) => holder === 'dead-a'))
    assert(!found.some(({ holder }) => holder === 'alive' || holder === 'dead-b-1'))
    await channel.close()
  })
})
