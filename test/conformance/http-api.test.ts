/** The HTTP API over its port, with real connections beside it: what rabbitmqadmin and its like live on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { Broker } from '../../src/index.ts'
import { RawClient } from '../support/amqp/raw-client.ts'

const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
after(() => broker.stop({ drainMs: 100 }))
const { hostname, port } = new URL(broker.httpUrl)

interface Got {
  readonly status: number
  readonly json: unknown
  readonly headers: Headers
}

async function send(method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<Got> {
  return await sendTo(broker.httpUrl, method, path, { body, ...more })
}

async function sendTo(
  base: string,
  method: string,
  path: string,
  { body, login = 'guest:guest', ...headers }: { body?: unknown; login?: string; [header: string]: unknown } = {},
): Promise<Got> {
  const authorization = `Basic ${Buffer.from(login).toString('base64')}`
  const response = await fetch(new URL(`/api${path}`, base), {
    method,
    headers: { authorization, ...(headers as Record<string, string>) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? null : JSON.parse(text), headers: response.headers }
}

/** What a client is told when it connects. */
async function clusterNameTo({ url }: Broker): Promise<unknown> {
  const { hostname: host, port: amqpPort } = new URL(url)
  const address = { host, port: Number(amqpPort), user: 'guest', password: 'guest' }
  const client = await RawClient.dial(address)
  const { start } = await client.logIn(address)
  client.destroy()
  return (start.args['serverProperties'] as Readonly<Record<string, unknown>>)['cluster_name']
}

async function list(path: string): Promise<Record<string, unknown>[]> {
  const { status, json } = await send('GET', path)
  assert.equal(status, 200, `${path}: ${JSON.stringify(json)}`)
  return json as Record<string, unknown>[]
}

async function queue(name: string): Promise<Record<string, unknown>> {
  return (await send('GET', `/queues/%2F/${name}`)).json as Record<string, unknown>
}

async function publish(name: string, payload: string, properties: object = {}): Promise<unknown> {
  const body = { properties, routing_key: name, payload, payload_encoding: 'string' }
  return (await send('POST', '/exchanges/%2F/amq.default/publish', body)).json
}

async function take(name: string, more: object): Promise<Record<string, unknown>[]> {
  const body = { count: 10, ackmode: 'ack_requeue_false', encoding: 'auto', ...more }
  const { status, json } = await send('POST', `/queues/%2F/${name}/get`, body)
  assert.equal(status, 200, JSON.stringify(json))
  return json as Record<string, unknown>[]
}

describe('connections', () => {
  it('are shown with channels and consumers, and closed with a reason', async () => {
    const connection = await amqplib.connect(broker.url, { clientProperties: { connection_name: 'worker' } })
    const channel = await connection.createChannel()
    await channel.assertQueue('watched')
    await channel.prefetch(7)
    await channel.consume('watched', () => {}, { consumerTag: 'me', arguments: { 'x-priority': 3 } })
    await publish('watched', 'held')

    const [shown] = await list('/connections')
    const name = String(shown?.['name'])
    assert.match(name, /^127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$/)
    const facts = {
      user: 'guest',
      vhost: '/',
      state: 'running',
      channels: 1,
      protocol: 'AMQP 0-9-1',
      peer_host: '127.0.0.1',
    }
    assert.deepEqual({ ...shown, ...facts }, shown)
    assert.equal((shown?.['client_properties'] as Record<string, unknown> | undefined)?.['connection_name'], 'worker')
    assert(Number(shown?.['recv_oct']) > 0 && Number(shown?.['send_oct']) > 0)
    assert.equal(`${String(shown?.['peer_host'])}:${String(shown?.['peer_port'])}`, name.split(' -> ')[0])

    const [shownChannel] = await list(`/connections/${encodeURIComponent(name)}/channels`)
    const channelFacts = {
      name: `${name} (1)`,
      number: 1,
      consumer_count: 1,
      prefetch_count: 7,
      messages_unacknowledged: 1,
    }
    assert.deepEqual({ ...shownChannel, ...channelFacts }, shownChannel)
    const alone = await send('GET', `/channels/${encodeURIComponent(`${name} (1)`)}`)
    assert.deepEqual((alone.json as { number: number }).number, 1)

    const [consumer] = await list('/consumers/%2F')
    const consumerFacts = {
      consumer_tag: 'me',
      queue: { name: 'watched', vhost: '/' },
      ack_required: true,
      prefetch_count: 7,
      arguments: { 'x-priority': 3 },
    }
    assert.deepEqual({ ...consumer, ...consumerFacts }, consumer)
    const detailed = await queue('watched')
    assert.deepEqual(detailed['consumer_details'], [consumer])
    assert.deepEqual([detailed['messages'], detailed['messages_unacknowledged'], detailed['consumers']], [1, 1, 1])

    const closed = once(connection, 'close')
    const { status } = await send('DELETE', `/connections/${encodeURIComponent(name)}`, undefined, {
      'x-reason': 'maintenance',
    })
    assert.equal(status, 204)
    assert.match(String((await closed)[0]), /320.*maintenance/i)
    while ((await list('/connections')).length > 0);
    assert.equal((await queue('watched'))['messages_ready'], 1)
    assert.equal((await send('DELETE', `/connections/${encodeURIComponent(name)}`)).status, 404)
  })

  it('of a user end with the user', async () => {
    await send('PUT', '/users/short', { password: 'lived', tags: '' })
    await send('PUT', '/permissions/%2F/short', { configure: '', write: '', read: '' })
    const url = new URL(broker.url)
    const connection = await amqplib.connect(`amqp://short:lived@${url.host}/%2F`)
    const closed = once(connection, 'close')
    assert.equal((await send('DELETE', '/users/short')).status, 204)
    assert.match(String((await closed)[0]), /320/)
  })
})

describe('statistics', () => {
  it('count what channels do, and tell rates when they were looked at twice', async () => {
    interface Stats {
      readonly [name: string]: number | { readonly rate: number }
    }
    const statsOf = async (path: string): Promise<Stats> => {
      const { json } = await send('GET', path)
      return (json as { message_stats?: Stats }).message_stats ?? {}
    }
    const connection = await amqplib.connect(broker.url)
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('counted')
    for (let sent = 0; sent < 20; sent++) channel.sendToQueue('counted', Buffer.from('x'))
    channel.publish('', 'nowhere', Buffer.from('x'))
    channel.publish('', 'nowhere', Buffer.from('x'), { mandatory: true })
    await channel.waitForConfirms()
    await channel.get('counted', { noAck: true })
    const kept = await channel.get('counted')
    assert(kept !== false)
    channel.ack(kept)
    await channel.prefetch(5)
    const { consumerTag } = await channel.consume('counted', (message) => {
      if (message !== null && message.fields.deliveryTag % 2 === 0) channel.ack(message)
    })
    while (Number((await queue('counted'))['messages_ready']) > 9);
    await channel.cancel(consumerTag)
    channel.nackAll()
    await channel.get('counted')
    const name = (await list('/channels'))[0]?.['name']
    const [ofQueue, ofChannel] = [
      await statsOf('/queues/%2F/counted'),
      await statsOf(`/channels/${encodeURIComponent(String(name))}`),
    ]
    assert.deepEqual([ofQueue['publish'], ofQueue['get_no_ack'], ofQueue['get']], [20, 1, 2])
    const [{ deliver = 0, ack = 0, redeliver = 0 }] = [ofQueue as Record<string, number>]
    assert(deliver >= 9 && ack >= 4 && redeliver >= 1, JSON.stringify(ofQueue))
    assert.equal(ofQueue['deliver_get'], deliver + 3)
    const { publish: published, confirm, return_unroutable, drop_unroutable } = ofChannel
    assert.deepEqual([published, confirm, return_unroutable, drop_unroutable], [22, 22, 1, 1])
    const isMoving = async (): Promise<boolean> => {
      const stats = await statsOf('/queues/%2F/counted')
      return (stats['publish_details'] as { rate: number }).rate > 0
    }
    while (!(await isMoving())) await new Promise((resolve) => setTimeout(resolve, 100))
    assert(((await statsOf('/overview'))['publish_details'] as { rate: number }).rate > 0)
    await connection.close()
  })
})

describe('events', () => {
  it('tell the rates after each look, until their reader goes', async () => {
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const gone = new AbortController()
    const url = new URL('/api/warren/rates', broker.httpUrl)
    const response = await fetch(url, { headers: { authorization }, signal: gone.signal })
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    const times: number[] = []
    for await (const part of response.body ?? []) {
      const [, json = ''] = /^event: rates\ndata: (.*)\n\n$/.exec(new TextDecoder().decode(part)) ?? []
      const event = JSON.parse(json) as { at: number; object_totals: { queues: number } }
      assert.equal(typeof event.object_totals.queues, 'number')
      if (times.push(event.at) === 2) break
    }
    gone.abort()
    assert(Number(times[1]) >= Number(times[0]) + 4_000, times.join(' '))
  })
})

describe('connections of a vhost', () => {
  it('end with it', async () => {
    await send('PUT', '/vhosts/gone', {})
    await send('PUT', '/queues/gone/q', {})
    const connection = await amqplib.connect(`amqp://guest:guest@${new URL(broker.url).host}/gone`)
    const closed = once(connection, 'close')
    assert.equal((await send('DELETE', '/vhosts/gone')).status, 204)
    assert.match(String((await closed)[0]), /320.*vhost 'gone' is deleted/)
    assert.equal((await send('GET', '/vhosts/gone')).status, 404)
  })
})

describe('messages', () => {
  it('go in and come out with all their properties', async () => {
    await send('PUT', '/queues/%2F/box', {})
    const properties = {
      content_type: 'text/plain',
      delivery_mode: 2,
      priority: 3,
      correlation_id: 'c',
      message_id: 'm',
      timestamp: 1_700_000_000,
      app_id: 'a',
      headers: { text: 'x', number: 5, half: 0.5, yes: true, list: [1, 'two'], object: { a: null } },
    }
    assert.deepEqual(await publish('box', 'héllo', properties), { routed: true })
    const [message] = await take('box', {})
    assert.deepEqual(message, {
      payload_bytes: 6,
      redelivered: false,
      exchange: '',
      routing_key: 'box',
      message_count: 0,
      properties,
      payload: 'héllo',
      payload_encoding: 'string',
    })
    assert.deepEqual(await publish('nobody', 'x'), { routed: false })
  })

  it('are settled as was asked', async () => {
    await send('PUT', '/queues/%2F/dead', {})
    const args = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
    await send('PUT', '/queues/%2F/alive', { arguments: args })
    await publish('alive', 'first')
    await publish('alive', 'second')
    const bodies = async (more: object): Promise<unknown[]> => (await take('alive', more)).map(({ payload }) => payload)
    assert.deepEqual(await bodies({ ackmode: 'ack_requeue_true' }), ['first', 'second'])
    const again = await take('alive', { ackmode: 'reject_requeue_true', count: 1 })
    assert.deepEqual([again[0]?.['redelivered'], again[0]?.['message_count']], [true, 1])
    assert.deepEqual(await bodies({ ackmode: 'reject_requeue_false', count: 1 }), ['first'])
    assert.deepEqual(await bodies({ ackmode: 'ack_requeue_false' }), ['second'])
    assert.deepEqual(await bodies({}), [])
    assert.equal((await take('dead', {}))[0]?.['payload'], 'first')
  })

  it('may be large, and no text', async () => {
    await send('PUT', '/queues/%2F/large', { durable: true })
    const bytes = Buffer.alloc(1_000_001, 'abc\xff', 'latin1')
    const body = {
      properties: { delivery_mode: 2 },
      routing_key: 'large',
      payload: bytes.toString('base64'),
      payload_encoding: 'base64',
    }
    assert.deepEqual((await send('POST', '/exchanges/%2F/amq.default/publish', body)).json, { routed: true })
    const [cut] = await take('large', { ackmode: 'ack_requeue_true', truncate: 70_000 })
    assert.equal(cut?.['payload_bytes'], bytes.length)
    assert.deepEqual(Buffer.from(String(cut?.['payload']), 'base64'), bytes.subarray(0, 70_000))
    const [whole] = await take('large', {})
    assert.deepEqual(
      [whole?.['payload_encoding'], Buffer.from(String(whole?.['payload']), 'base64').equals(bytes)],
      ['base64', true],
    )
  })

  it('wait for their time, and can be looked at, moved and cancelled until then', async () => {
    await send('PUT', '/queues/%2F/later', {})
    await publish('later', 'tomorrow', { message_id: 'a', headers: { 'x-delay': 86_400_000 } })
    await publish('later', 'never', { message_id: 'b', headers: { 'x-delay': 86_400_000 } })
    const waiting = await list('/queues/%2F/later/scheduled')
    assert.deepEqual(
      waiting.map((one) => [one['message_id'], one['payload_bytes'], one['is_retry']]),
      [
        ['a', 8, false],
        ['b', 5, false],
      ],
    )
    const next = await list(`/queues/%2F/later/scheduled?limit=1&after=${String(waiting[0]?.['sequence'])}`)
    assert.equal(next[0]?.['message_id'], 'b')
    assert.equal((await send('DELETE', '/queues/%2F/later/scheduled/b')).status, 204)
    assert.equal((await send('DELETE', '/queues/%2F/later/scheduled/b')).status, 404)
    assert.equal((await send('PUT', '/queues/%2F/later/scheduled/a', { deliver_at: -1 })).status, 400)
    assert.equal((await send('PUT', '/queues/%2F/later/scheduled/a', { deliver_at: 1 })).status, 204)
    let due: Record<string, unknown>[] = []
    while (due.length === 0) due = await take('later', {})
    assert.equal(due[0]?.['payload'], 'tomorrow')
    assert.deepEqual(await list('/queues/%2F/later/scheduled'), [])
  })

  it('are refused as they are on a channel', async () => {
    await send('PUT', '/exchanges/%2F/inner', { type: 'fanout', internal: true })
    const body = { properties: {}, routing_key: '', payload: '', payload_encoding: 'string' }
    assert.equal((await send('POST', '/exchanges/%2F/inner/publish', body)).status, 401)
    const refused = [
      { expiration: 'soon' },
      { user_id: 'somebody' },
      { headers: { CC: 'x' } },
      { headers: { 'x-delay': 'x' } },
      { priority: 256 },
      { reply_to: 'amq.rabbitmq.reply-to' },
    ]
    for (const properties of refused) {
      const { status } = await send('POST', '/exchanges/%2F/amq.fanout/publish', { ...body, properties })
      assert.equal(status, 400, JSON.stringify(properties))
    }
  })
})

describe('what exists', () => {
  it('is declared, bound, purged and deleted', async () => {
    const declared = { durable: true, arguments: { 'x-max-length': 5 } }
    assert.equal((await send('PUT', '/queues/%2F/made', declared)).status, 201)
    assert.equal((await send('PUT', '/queues/%2F/made', declared)).status, 204)
    const other = await send('PUT', '/queues/%2F/made', { durable: false })
    assert.deepEqual(other.json, {
      error: 'bad_request',
      reason: "inequivalent arg 'durable' for queue 'made' in vhost '/': received 'false' but current is 'true'",
    })
    assert.equal((await send('PUT', '/exchanges/%2F/from', { type: 'topic', durable: true })).status, 201)
    const bound = await send('POST', '/bindings/%2F/e/from/q/made', { routing_key: 'a.#' })
    assert.deepEqual([bound.status, bound.headers.get('location')], [201, 'made/a.%2523'])
    const withArguments = await send('POST', '/bindings/%2F/e/from/q/made', { routing_key: 'b', arguments: { k: 1 } })
    const location = String(withArguments.headers.get('location'))
    assert.equal((await list('/bindings/%2F/e/from/q/made')).length, 2)
    // The location is relative to the path that was posted to, whose last segment it says again.
    assert.equal((await send('DELETE', `/bindings/%2F/e/from/q/${location}`)).status, 204)
    assert.equal((await send('GET', '/bindings/%2F/e/from/q/made/a.%2523')).status, 200)

    await publish('made', 'x')
    assert.match(
      String(((await send('DELETE', '/queues/%2F/made?if-empty=true')).json as { reason: string }).reason),
      /not empty/,
    )
    assert.equal((await send('DELETE', '/queues/%2F/made/contents')).status, 204)
    assert.equal((await send('DELETE', '/exchanges/%2F/from?if-unused=true')).status, 400)
    assert.equal((await send('DELETE', '/queues/%2F/made?if-empty=true')).status, 204)
    assert.equal((await send('DELETE', '/exchanges/%2F/from?if-unused=true')).status, 204)
    assert.equal((await send('DELETE', '/queues/%2F/made')).status, 404)
  })

  it('goes out as definitions and comes back the same', async () => {
    await send('PUT', '/vhosts/round', { description: 'a trip', tags: 'one,two' })
    await send('PUT', '/queues/round/q', { durable: true, arguments: { 'x-max-length': 3 } })
    await send('PUT', '/exchanges/round/e', { type: 'headers', durable: true })
    await send('POST', '/bindings/round/e/e/q/q', { routing_key: '', arguments: { 'x-match': 'any', a: 1 } })
    await send('PUT', '/policies/round/p', {
      pattern: '^q',
      definition: { 'message-ttl': 5 },
      priority: 1,
      'apply-to': 'queues',
    })
    await send('PUT', '/vhost-limits/round/max-queues', { value: 10 })
    await send('PUT', '/users/trip', { password: 'x', tags: ['management'] })
    await send('PUT', '/permissions/round/trip', { configure: 'a', write: 'b', read: 'c' })
    await send('PUT', '/topic-permissions/round/trip', { exchange: 'e', write: 'b', read: 'c' })
    await send('PUT', '/user-limits/trip/max-channels', { value: 3 })
    await send('PUT', '/global-parameters/trip', { value: { a: [1, null, { arguments: {} }] } })
    const before = (await send('GET', '/definitions')).json
    assert.equal((await send('DELETE', '/vhosts/round')).status, 204)
    assert.equal((await send('DELETE', '/users/trip')).status, 204)
    assert.equal((await send('DELETE', '/global-parameters/trip')).status, 204)
    assert.equal((await send('POST', '/definitions', before)).status, 204)
    const sorted = (json: unknown): unknown =>
      JSON.parse(JSON.stringify(json), (_, value) =>
        Array.isArray(value) ? value.map((one) => JSON.stringify(one)).sort() : value,
      )
    assert.deepEqual(sorted((await send('GET', '/definitions')).json), sorted(before))
    assert.equal((await queueOf('round', 'q'))['policy'], 'p')
    assert.equal((await send('DELETE', '/vhosts/round')).status, 204)
    assert.equal((await send('DELETE', '/users/trip')).status, 204)
  })

  it('is there after a start', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'warren-api-'))
    after(() => rmSync(directory, { recursive: true, force: true }))
    const first = await Broker.start({ storage: { dir: directory }, httpPort: 0 })
    const done: number[] = []
    for (const [method, path, body] of [
      ['PUT', '/vhosts/kept', {}],
      ['PUT', '/queues/kept/q', { durable: true }],
      ['POST', '/bindings/kept/e/amq.topic/q/q', { routing_key: 'k' }],
      ['PUT', '/global-parameters/kept', { value: { a: [1] } }],
      ['PUT', '/cluster-name', { name: 'kept shop' }],
      ['PUT', '/users/kept', { password: 'secret', tags: 'management' }],
      ['PUT', '/permissions/kept/kept', { configure: '', write: '', read: '.*' }],
      [
        'POST',
        '/exchanges/kept/amq.topic/publish',
        { properties: { delivery_mode: 2 }, routing_key: 'k', payload: 'p', payload_encoding: 'string' },
      ],
    ] as const) {
      done.push((await sendTo(first.httpUrl, method, path, { body })).status)
    }
    assert.deepEqual(done, [201, 201, 201, 201, 204, 201, 201, 200])
    await first.stop()
    const second = await Broker.start({ storage: { dir: directory }, port: 0, httpPort: 0 })
    after(() => second.stop())
    const body = { count: 1, ackmode: 'ack_requeue_false', encoding: 'auto' }
    const got = await sendTo(second.httpUrl, 'POST', '/queues/kept/q/get', { body, login: 'kept:secret' })
    assert.equal((got.json as { payload: string }[])[0]?.payload, 'p')
    const parameters = await sendTo(second.httpUrl, 'GET', '/global-parameters')
    assert.deepEqual(parameters.json, [
      { name: 'cluster_name', value: 'kept shop' },
      { name: 'kept', value: { a: [1] } },
    ])
    assert.equal(await clusterNameTo(second), 'kept shop')
    await sendTo(second.httpUrl, 'DELETE', '/global-parameters/cluster_name')
    assert.equal(await clusterNameTo(second), 'warren@localhost')
    await second.stop()
  })

  it('is alive', async () => {
    assert.deepEqual((await send('GET', '/aliveness-test/%2F')).json, { status: 'ok' })
    const listeners = ((await send('GET', '/overview')).json as { listeners: { port: number }[] }).listeners
    assert.deepEqual(
      listeners.map((one) => one.port),
      [Number(new URL(broker.url).port), Number(port)],
    )
    assert.equal((await send('GET', `/health/checks/port-listener/${port}`)).status, 200)
    assert.equal((await send('GET', '/health/checks/port-listener/1')).status, 503)
    assert.equal((await send('GET', '/health/checks/protocol-listener/amqp')).status, 200)
  })
})

async function queueOf(vhost: string, name: string): Promise<Record<string, unknown>> {
  return (await send('GET', `/queues/${vhost}/${name}`)).json as Record<string, unknown>
}

describe('peers that mean no good', () => {
  const login = `authorization: Basic ${Buffer.from('guest:guest').toString('base64')}`

  /** Sends it as it stands, and reads until the other side ends. */
  async function raw(text: string): Promise<string> {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    let answer = ''
    socket.setEncoding('latin1').on('data', (part: string) => {
      answer += part
    })
    socket.write(text)
    await once(socket, 'close')
    return answer
  }

  /** Drips until the other side ends; rejects when it has not after ten seconds. */
  async function cutOff(to: number, host: string, first: string, drop: string): Promise<void> {
    const socket = connect(to, host)
    socket.on('error', () => {}).resume()
    socket.write(first)
    const dripping = setInterval(() => socket.write(drop), 100)
    try {
      await once(socket, 'close', { signal: AbortSignal.timeout(10_000) })
    } finally {
      clearInterval(dripping)
      socket.destroy()
    }
  }

  it('are told when a body is too large, before it has come', async () => {
    const answer = await raw(
      `PUT /api/queues/%2F/x HTTP/1.1\r\nhost: a\r\n${login}\r\ncontent-length: 99999999999\r\n\r\n{`,
    )
    assert.match(answer, /^HTTP\/1\.1 413 /)
    assert.match(answer, /connection: close/i)
  })

  it('are not listened to when they have no login', async () => {
    const answer = await raw('POST /api/definitions HTTP/1.1\r\nhost: a\r\ncontent-length: 20000000\r\n\r\n{')
    assert.match(answer, /^HTTP\/1\.1 401 /)
  })

  it('get no path that is another', async () => {
    const answer = await raw(`GET /api/queues/../users HTTP/1.1\r\nhost: a\r\n${login}\r\nconnection: close\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 404 /)
    const absolute = await raw(
      `GET http://other/api/users HTTP/1.1\r\nhost: a\r\n${login}\r\nconnection: close\r\n\r\n`,
    )
    assert.match(absolute, /^HTTP\/1\.1 404 /)
  })

  it('are cut off when a request does not arrive in time, however much of it still comes', async () => {
    const slow = await Broker.start({ storage: 'memory', port: 0, httpPort: 0, limits: { handshakeMsMax: 500 } })
    const at = new URL(slow.httpUrl)
    const begun = `GET /api/whoami HTTP/1.1\r\nhost: a\r\n`
    const requests: readonly [begun: string, drop: string][] = [
      ['', ''],
      [begun, 'x-more: 1\r\n'],
      [`${begun}${login}\r\ncontent-length: 1000\r\n\r\n`.replace('GET', 'PUT'), ' '],
      [`${begun}${login}\r\ntransfer-encoding: chunked\r\n\r\n`.replace('GET', 'PUT'), '1\r\n \r\n'],
    ]
    try {
      await Promise.all(requests.map(([first, drop]) => cutOff(Number(at.port), at.hostname, first, drop)))
    } finally {
      await slow.stop({ drainMs: 0 })
    }
  })

  it('may go away in the middle of an answer', async () => {
    const socket = connect(Number(port), hostname)
    socket.write(`GET /api/definitions HTTP/1.1\r\nhost: a\r\n${login}\r\n\r\n`)
    await once(socket, 'readable')
    socket.destroy()
    assert.equal((await send('GET', '/whoami')).status, 200)
  })
})
