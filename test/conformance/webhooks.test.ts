/** Webhooks of a real node to real servers: what is sent, and what becomes of a message by what is answered. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type Channel, type ChannelModel, connect } from 'amqplib'
import { HttpReceiver, type Received, answering as status } from '../support/http-receiver.ts'
import { NodeInProcess } from '../support/node-in-process.ts'

const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

interface Shown {
  readonly state: string
  readonly reason: string | null
  readonly delivered: number
  readonly failed: number
  readonly last_status: number | null
  readonly last_error: string | null
  readonly messages_unacknowledged: number
  readonly [field: string]: unknown
}

let node: NodeInProcess
let connection: ChannelModel
let channel: Channel
/** By name; one that is not here is of the machine. */
const names = new Map<string, string[]>()

function api(method: string, path: string, body?: unknown, user = 'anna'): Promise<[number, unknown]> {
  return node.ask(method, path, body, user)
}

async function shown(name: string): Promise<Shown> {
  return (await api('GET', `/webhooks/%2F/${name}`))[1] as Shown
}

/** A queue and a webhook of that name to a receiver of its own. */
async function hook(name: string, wish: { queue?: object; hook?: object } = {}): Promise<HttpReceiver> {
  const receiver = await HttpReceiver.listen()
  receivers.push(receiver)
  await channel.assertQueue(name, { arguments: wish.queue ?? {} })
  await put(name, receiver, wish.hook)
  return receiver
}

async function put(name: string, receiver: HttpReceiver, more: object = {}): Promise<void> {
  const url = `http://127.0.0.1:${receiver.port}/${name}?token=hidden`
  const [code, answer] = await api('PUT', `/webhooks/%2F/${name}`, { queue: name, url, secret, ...more })
  assert.ok(code === 201 || code === 204, `${code} ${JSON.stringify(answer)}`)
}

const receivers: HttpReceiver[] = []

/** Resolves when what is asserted holds; rejects with the last assertion when it has not in time. */
async function held(check: () => unknown, msMax = 20_000): Promise<void> {
  for (const until = performance.now() + msMax; ; ) {
    try {
      await check()
      return
    } catch (error) {
      if (performance.now() > until) throw error
    }
    await setTimeout(10)
  }
}

async function ready(queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount
}

before(async () => {
  const resolver = {
    resolve: (host: string): Promise<readonly string[]> => {
      const found = names.get(host)
      return found === undefined ? Promise.reject(new Error(`getaddrinfo ENOTFOUND ${host}`)) : Promise.resolve(found)
    },
  }
  node = await NodeInProcess.start({ webhookAllow: '127.0.0.1' }, {}, { resolver })
  connection = await connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
  channel = await connection.createChannel()
})

after(async () => {
  await connection.close()
  await node.stop()
  for (const receiver of receivers) receiver.close()
})

describe('a webhook', () => {
  it('pushes each message once, signed, and acknowledges it by 2xx', async () => {
    const receiver = await hook('plain', { hook: { headers: { Authorization: 'Bearer hidden' } } })
    const traceparent = `00-${'a1'.repeat(16)}-${'b2'.repeat(8)}-01`
    const options = { messageId: 'm1', contentType: 'application/json', headers: { traceparent }, type: 'created' }
    channel.sendToQueue('plain', Buffer.from('{"a":1}'), options)
    await held(() => assert.equal(receiver.received.length, 1))
    const [{ headers, body, path } = { headers: {}, body: '', path: '' }] = receiver.received
    assert.deepEqual([path, body, headers['content-type']], ['/plain?token=hidden', '{"a":1}', 'application/json'])
    assert.deepEqual(
      [headers['webhook-id'], headers['warren-queue'], headers['traceparent']],
      ['m1', 'plain', traceparent],
    )
    assert.equal(headers.authorization, 'Bearer hidden')
    assert.match(String(headers['user-agent']), /^Warren\/\d/)
    const key = await crypto.subtle.importKey('raw', Buffer.alloc(32, 1), { name: 'HMAC', hash: 'SHA-256' }, false, [
      'verify',
    ])
    const [, signature = ''] = String(headers['webhook-signature']).split(',')
    const signed = Buffer.from(`m1.${headers['webhook-timestamp']}.${body}`)
    assert.ok(await crypto.subtle.verify('HMAC', key, Buffer.from(signature, 'base64'), signed))
    await held(async () => assert.equal((await shown('plain')).delivered, 1))
    assert.equal(await ready('plain'), 0)
    const { consumerCount } = await channel.checkQueue('plain')
    assert.equal(consumerCount, 1)
    const [, consumers] = (await api('GET', '/consumers/%2F')) as [
      number,
      { consumer_tag: string; prefetch_count: number }[],
    ]
    const own = consumers.find(({ consumer_tag: tag }) => tag === 'webhook-plain')
    assert.equal(own?.prefetch_count, 4)
    for (let index = 0; index < 5; index++) {
      channel.sendToQueue('plain', Buffer.from('more'))
      await held(async () => assert.equal((await shown('plain')).delivered, 2 + index))
    }
    assert.equal(receiver.connections, 1, 'the connection is used again')
  })

  it('sends large bodies whole, and as many at one time as it may', async () => {
    const receiver = await hook('large', { hook: { concurrency: 3, max_body_bytes: 400_000 } })
    const waiting: ServerResponse[] = []
    receiver.answer = (response) => void waiting.push(response)
    for (let index = 0; index < 5; index++) channel.sendToQueue('large', Buffer.alloc(300_000, `${index}`))
    await held(() => assert.equal(waiting.length, 3))
    assert.equal((await shown('large')).messages_unacknowledged, 3)
    receiver.answer = status(204)
    for (const response of waiting) response.end()
    await held(async () => assert.equal((await shown('large')).delivered, 5))
    assert.deepEqual(
      receiver.bodies.map((body) => [body.length, body[0]]).sort(),
      [0, 1, 2, 3, 4].map((i) => [300_000, `${i}`]),
    )
  })

  it('leaves retries and dead letters to the rules of the queue', async () => {
    await channel.assertQueue('failed.dead')
    const queue = { 'x-retry-attempts': 2, 'x-retry-delay': 50, 'x-retry-parking-queue': 'failed.dead' }
    const receiver = await hook('failed', { queue })
    receiver.answer = status(500)
    channel.sendToQueue('failed', Buffer.from('no'), { messageId: 'x' })
    await held(async () => assert.equal(await ready('failed.dead'), 1))
    assert.deepEqual(receiver.bodies, ['no', 'no', 'no'])
    assert.deepEqual(
      receiver.received.map(({ headers }) => headers['warren-delivery-count']),
      ['0', '1', '2'],
    )
    assert.deepEqual(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])), new Set(['x']))
    const { failed, last_error: why } = await shown('failed')
    assert.deepEqual([failed, why], [3, 'the answer was 500'])
  })

  it('waits by itself where the queue has no rules, and keeps the delivery limit', async () => {
    await channel.assertQueue('slow.dead')
    const queue = { 'x-delivery-limit': 0, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'slow.dead' }
    const receiver = await hook('slow', { queue, hook: { concurrency: 1 } })
    let answeredAt = 0
    receiver.answer = (response) => {
      answeredAt = performance.now()
      response.writeHead(302, { location: '/elsewhere' }).end()
    }
    channel.sendToQueue('slow', Buffer.from('no'))
    await held(async () => assert.equal(await ready('slow.dead'), 1))
    assert.deepEqual(
      receiver.received.map(({ path }) => path),
      ['/slow?token=hidden'],
      'redirects are not followed',
    )
    const waited = performance.now() - answeredAt
    assert.ok(waited >= 780, `${waited}`)
  })

  it('rests as long as 429 and 503 ask for, and that is no failure', async () => {
    const receiver = await hook('busy', { queue: { 'x-delivery-limit': 0 }, hook: { concurrency: 1 } })
    const times: number[] = []
    receiver.answer = (response, count) => {
      times.push(performance.now())
      if (count <= 2) response.writeHead(count === 1 ? 429 : 503, { 'retry-after': '1' }).end()
      else response.end()
    }
    channel.sendToQueue('busy', Buffer.from('a'))
    await held(async () => assert.match(String((await shown('busy')).reason), /429, with retry-after/))
    channel.sendToQueue('busy', Buffer.from('b'))
    await held(async () => assert.equal((await shown('busy')).delivered, 2))
    assert.deepEqual(receiver.bodies, ['a', 'a', 'a', 'b'])
    for (const index of [1, 2]) assert.ok((times[index] ?? 0) - (times[index - 1] ?? 0) >= 950, `${times}`)
  })

  it('is switched off by 410, for good and with a line of the log, and keeps the message', async () => {
    const receiver = await hook('gone', { queue: { 'x-delivery-limit': 0 } })
    receiver.answer = status(410)
    channel.sendToQueue('gone', Buffer.from('kept'))
    await held(async () => assert.equal((await shown('gone')).state, 'disabled'))
    const { reason, enabled } = await shown('gone')
    assert.deepEqual([reason, enabled], ['its receiver has answered 410 Gone', false])
    await held(async () => assert.equal(await ready('gone'), 1))
    assert.equal(node.said(/webhook is switched off/).length, 1)
    receiver.answer = status(200)
    await put('gone', receiver)
    await held(() => assert.deepEqual(receiver.bodies, ['kept', 'kept']))
  })

  it('gives up an answer that does not come in time', async () => {
    const receiver = await hook('silent', { queue: { 'x-retry-delay': 10 }, hook: { timeout_ms: 400 } })
    receiver.answer = (response, count) => {
      if (count > 1) response.end()
    }
    channel.sendToQueue('silent', Buffer.from('a'))
    await held(async () => assert.equal((await shown('silent')).delivered, 1))
    assert.ok((await shown('silent')).failed >= 1)
    assert.ok(node.said(/"webhook":"silent"/).some(({ message }) => /no answer in \d+ ms/.test(message)))
  })

  it('rejects what is too long', async () => {
    await channel.assertQueue('long.dead')
    const queue = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'long.dead' }
    const receiver = await hook('long', { queue, hook: { max_body_bytes: 100 } })
    channel.sendToQueue('long', Buffer.alloc(101))
    channel.sendToQueue('long', Buffer.alloc(200_000))
    channel.sendToQueue('long', Buffer.alloc(100, 'x'))
    await held(async () => assert.equal(await ready('long.dead'), 2))
    await held(() => assert.deepEqual(receiver.bodies, ['x'.repeat(100)]))
  })

  it('survives answers of every kind', async () => {
    const receiver = await hook('odd', { queue: { 'x-retry-delay': 10 } })
    const odd: readonly ((response: ServerResponse) => void)[] = [
      (response) => void response.socket?.destroy(),
      (response) => void response.socket?.end('HTTP/1.1 200'),
      (response) => void response.socket?.end('nonsense\r\n\r\n'),
      (response) => void response.socket?.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`),
      (response) =>
        void response.socket?.end('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    ]
    receiver.answer = (response, count) => (odd[count - 1] ?? status(200))(response)
    channel.sendToQueue('odd', Buffer.from('a'))
    await held(async () => assert.equal((await shown('odd')).delivered, 1))
    assert.equal((await shown('odd')).failed, odd.length)
    // An endless body is not read to its end.
    receiver.answer = (response) => {
      response.writeHead(200)
      const more = (): void => void response.write(Buffer.alloc(65_536), (error) => (error ? undefined : more()))
      more()
    }
    channel.sendToQueue('odd', Buffer.from('b'))
    await held(async () => assert.equal((await shown('odd')).delivered, 2))
  })
})

describe('an address that is not on the internet', () => {
  it('is refused where it stands in the URL, in every form', async () => {
    await channel.assertQueue('closed')
    for (const host of ['10.0.0.1', '169.254.169.254', '[::1]', '[::ffff:10.0.0.1]', '2852039166', '0xa9fea9fe']) {
      const [code, answer] = await api('PUT', '/webhooks/%2F/closed', {
        queue: 'closed',
        url: `http://${host}/`,
        secret,
      })
      assert.equal(code, 400)
      assert.match(
        String((answer as { reason: string }).reason),
        /^url: .* is not on the internet and not in webhook-allow$/,
      )
    }
  })

  it('is refused where a name leads to it, also when it did not at first', async () => {
    const receiver = await HttpReceiver.listen()
    receivers.push(receiver)
    await channel.assertQueue('rebound', { arguments: { 'x-retry-delay': 20 } })
    names.set('shop.example', ['127.0.0.2'])
    await api('PUT', '/webhooks/%2F/rebound', {
      queue: 'rebound',
      url: `http://shop.example:${receiver.port}/`,
      secret,
    })
    channel.sendToQueue('rebound', Buffer.from('a'))
    const why = /shop.example is 127.0.0.2, which is not on the internet/
    await held(async () => assert.match(String((await shown('rebound')).last_error), why))
    assert.equal(receiver.received.length, 0)
    // The machine knows no shop.example: the address that was judged is the one that is called.
    names.set('shop.example', ['127.0.0.1'])
    await held(async () => assert.equal((await shown('rebound')).delivered, 1), 15_000)
    assert.equal(receiver.received[0]?.headers.host, `shop.example:${receiver.port}`)
  })
})

describe('a secret', () => {
  it('is nowhere to be read again', async () => {
    const receiver = await hook('secretive', { hook: { previous_secret: secret, headers: { 'x-key': 'veryhidden' } } })
    receiver.answer = status(500)
    channel.sendToQueue('secretive', Buffer.from('a'))
    await held(async () => assert.ok((await shown('secretive')).failed > 0))
    const pages = [
      '/webhooks',
      '/webhooks/%2F',
      '/webhooks/%2F/secretive',
      '/parameters',
      '/parameters/webhook',
      '/definitions',
      '/definitions/%2F',
      '/consumers',
      '/queues/%2F/secretive',
    ]
    for (const page of pages) {
      const text = JSON.stringify(await api('GET', page))
      assert.ok(!text.includes(secret.slice(6)) && !text.includes('veryhidden'), page)
    }
    for (const line of node.log) {
      const text = JSON.stringify(line)
      assert.ok(!text.includes(secret.slice(6)) && !text.includes('hidden'), text)
    }
    await api('DELETE', '/webhooks/%2F/secretive')
  })

  it('has to be given again when the server is another, and so have headers', async () => {
    const receiver = await hook('moved', { hook: { headers: { 'x-key': 'k' } } })
    const body = { queue: 'moved', url: `http://127.0.0.1:${receiver.port}/other` }
    assert.equal((await api('PUT', '/webhooks/%2F/moved', body))[0], 204)
    channel.sendToQueue('moved', Buffer.from('a'))
    await held(() =>
      assert.deepEqual(
        receiver.received.map(({ headers }) => headers['x-key']),
        ['k'],
      ),
    )
    const [code, answer] = await api('PUT', '/webhooks/%2F/moved', { ...body, url: 'https://thief.example/' })
    assert.equal(code, 400)
    assert.match(JSON.stringify(answer), /be given again when the server is another/)
  })
})

describe('a webhook’s user', () => {
  it('must be able to read the queue, at its making and ever after', async () => {
    const receiver = await hook('rights', { hook: { user: 'ben' } })
    channel.sendToQueue('rights', Buffer.from('a'))
    await held(() => assert.deepEqual(receiver.bodies, ['a']))
    const permissions = { configure: '.*', write: '.*', read: '^other' }
    await api('PUT', '/permissions/%2F/ben', permissions)
    channel.sendToQueue('rights', Buffer.from('b'))
    await held(async () =>
      assert.match(String((await shown('rights')).reason), /read access to queue 'rights'.*refused for user 'ben'/),
    )
    assert.deepEqual(receiver.bodies, ['a'])
    await held(async () => assert.equal(await ready('rights'), 1))
    const [code] = await api('PUT', '/webhooks/%2F/rights', {
      queue: 'rights',
      url: `http://127.0.0.1:${receiver.port}/`,
      user: 'ben',
    })
    assert.equal(code, 401)
  })

  it('is somebody else only by the word of an administrator', async () => {
    await api('PUT', '/users/pia', { password: 'secret', tags: 'policymaker' })
    await api('PUT', '/permissions/%2F/pia', { configure: '', write: '', read: '^theirs$' })
    await channel.assertQueue('theirs')
    const body = { queue: 'theirs', url: 'https://shop.example/', secret, enabled: false }
    const as = async (changes: object): Promise<number> =>
      (await api('PUT', '/webhooks/%2F/theirs', { ...body, ...changes }, 'pia'))[0]
    assert.equal(await as({ user: 'anna' }), 401)
    assert.equal(await as({ queue: 'plain' }), 401)
    assert.equal(await as({}), 201)
    assert.equal((await shown('theirs'))['user'], 'pia')
    assert.equal((await api('GET', '/webhooks/%2F/theirs', undefined, 'ben'))[0], 401)
  })
})

describe('a node with webhooks', () => {
  it('lets requests come to an end when it stops, gives back what does not, and goes on after a start', async () => {
    const dataDirectory = mkdtempSync(join(tmpdir(), 'warren-webhooks-'))
    const receiver = await HttpReceiver.listen()
    receivers.push(receiver)
    const waiting: ServerResponse[] = []
    receiver.answer = (response) => void waiting.push(response)
    const start = (): Promise<NodeInProcess> =>
      NodeInProcess.start({ webhookAllow: '127.0.0.1', dataDirectory }, { storage: 'files' })
    const first = await start()
    const url = `http://127.0.0.1:${receiver.port}/`
    await first.request('PUT', '/queues/%2F/kept', { durable: true })
    await first.request('PUT', '/webhooks/%2F/kept', { queue: 'kept', url, secret })
    const publish = { routing_key: 'kept', payload_encoding: 'string', properties: { delivery_mode: 2 } }
    for (const payload of ['ends', 'stays']) {
      await first.request('POST', '/exchanges/%2F/amq.default/publish', { ...publish, payload })
    }
    await held(() => assert.equal(waiting.length, 2))
    const stopping = first.daemon.stop(500)
    waiting[receiver.bodies.indexOf('ends')]?.end()
    assert.equal(await stopping, true)
    receiver.answer = status(200)
    const second = await start()
    await held(() => assert.equal(receiver.received.length, 3))
    const { body, headers }: Pick<Received, 'body' | 'headers'> = receiver.received[2] ?? { body: '', headers: {} }
    assert.deepEqual([body, headers['warren-redelivered']], ['stays', 'true'])
    assert.equal(headers['webhook-id'], receiver.received[receiver.bodies.indexOf('stays')]?.headers['webhook-id'])
    await second.request('DELETE', '/webhooks/%2F/kept')
    await second.stop()
    const third = await start()
    assert.deepEqual(await third.request('GET', '/webhooks'), [])
    await third.stop()
    rmSync(dataDirectory, { recursive: true })
  })
})

describe('definitions', () => {
  it('hold webhooks without their secrets: those that are there keep them, others need one', async () => {
    const receiver = await hook('defined', { hook: { headers: { 'x-key': 'k' }, concurrency: 2 } })
    const [, all] = (await api('GET', '/definitions')) as [number, { parameters: { name: string; value: object }[] }]
    const entry = all.parameters.find(({ name }) => name === 'defined')
    assert.ok(entry !== undefined)
    const changed = { ...entry, value: { ...entry.value, concurrency: 7 } }
    await node.request('POST', '/definitions', { parameters: [changed] })
    assert.equal((await shown('defined'))['concurrency'], 7)
    channel.sendToQueue('defined', Buffer.from('a'))
    await held(() => assert.equal(receiver.received[0]?.headers['x-key'], 'k'))
    assert.match(String(receiver.received[0]?.headers['webhook-signature']), /^v1,\S{44}$/)
    const other = { ...changed, name: 'copied' }
    await node.request('POST', '/definitions', { parameters: [other] })
    assert.equal((await api('GET', '/webhooks/%2F/copied'))[0], 404, 'it has no secret')
    await node.request('POST', '/definitions', { parameters: [{ ...other, value: { ...other.value, secret } }] })
    assert.equal((await shown('copied'))['concurrency'], 7)
    await api('DELETE', '/webhooks/%2F/copied')
    const wrong = { ...changed, value: { ...changed.value, secret: 'x' } }
    const [code, answer] = await api('POST', '/definitions', { parameters: [wrong] })
    assert.deepEqual(
      [code, /parameters\[0\] \('defined'\): webhook 'defined': secret has/.test(JSON.stringify(answer))],
      [400, true],
    )
  })
})

describe('what does not fit', () => {
  const base = { queue: 'q', url: 'https://shop.example/', secret }
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ url: 'ftp://shop.example/' }, /begin with https/],
    [{ url: 'https://u:p@shop.example/' }, /may not hold a user or a password/],
    [{ url: 'nonsense' }, /url is no address/],
    [{ url: 'https://shop.example/#a' }, /behind a #/],
    [{ url: `https://shop.example/${'x'.repeat(2_048)}` }, /more than 2048/],
    [{ secret: 'short' }, /secret has to be whsec_/],
    [{ secret: undefined }, /secret has to be whsec_/],
    [{ previous_secret: 'whsec_AAAA' }, /previous_secret has to be whsec_/],
    [{ concurrency: 0 }, /concurrency has to be a whole number from 1 to 100/],
    [{ timeout_ms: 1 }, /timeout_ms has to be/],
    [{ max_body_bytes: 1e12 }, /max_body_bytes has to be/],
    [{ headers: { 'a b': 'x' } }, /header name "a b" is none/],
    [{ headers: { host: 'x' } }, /header host is not for you to set/],
    [{ headers: { 'Webhook-Id': 'x' } }, /header webhook-id is not for you to set/],
    [{ headers: { a: 'x\r\ny: z' } }, /visible ASCII/],
    [{ content_mode: 'xml' }, /content_mode has to be one of binary, json/],
    [{ enabled: 'yes' }, /enabled has to be true or false/],
    [{ batch: 5 }, /there is no field batch/],
  ]
  for (const [changes, sentence] of wrong) {
    it(`is refused with a sentence: ${JSON.stringify(changes).slice(0, 60)}`, async () => {
      const [code, answer] = await api('PUT', '/webhooks/%2F/wrong', { ...base, ...changes })
      const { reason } = answer as { reason: string }
      assert.equal(code, 400)
      assert.match(reason, sentence)
      assert.ok(!reason.includes(secret.slice(6)))
    })
  }
})

describe('metrics', () => {
  it('count what was delivered and what failed, of each webhook', async () => {
    const response = await fetch(`http://127.0.0.1:${node.port('http')}/metrics`, {
      headers: { authorization: `Basic ${Buffer.from('anna:secret').toString('base64')}` },
    })
    const text = await response.text()
    assert.match(text, /^warren_webhook_delivered_total\{vhost="\/",webhook="plain"\} 6$/m)
    assert.match(text, /^warren_webhook_failed_total\{vhost="\/",webhook="failed"\} 3$/m)
    assert.match(text, /^warren_webhook_request_seconds_count\{vhost="\/",webhook="failed"\} 3$/m)
  })
})
