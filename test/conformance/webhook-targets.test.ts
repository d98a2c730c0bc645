/** Where webhooks go: servers with certificates of their own, names that lead elsewhere in between, answers that are slow or endless. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { type Channel, type ChannelModel, connect } from 'amqplib'
import { BrokerProcess } from '../support/broker-process.ts'
import { TestAuthority } from '../support/certificates.ts'
import { api } from '../support/cluster/cluster-api.ts'
import { eventually } from '../support/eventually.ts'
import { HttpReceiver } from '../support/http-receiver.ts'
import { NodeInProcess } from '../support/node-in-process.ts'
import { freePort } from '../support/ports.ts'
import { runWarren } from '../support/warren-command.ts'

const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

interface Shown {
  readonly state: string
  readonly delivered: number
  readonly failed: number
  readonly last_status: number | null
  readonly last_error: string | null
}

interface Pair {
  readonly cert: string
  readonly key: string
}

describe('a webhook to a server that speaks TLS', () => {
  let authority: TestAuthority
  let broker: BrokerProcess
  let http = { httpPort: 0 }
  let connection: ChannelModel
  let channel: Channel
  const receivers: HttpReceiver[] = []

  before(async () => {
    authority = await TestAuthority.make()
    http = { httpPort: await freePort() }
    const env = { NODE_EXTRA_CA_CERTS: authority.certPath, WARREN_WEBHOOK_ALLOW: 'localhost, 127.0.0.1' }
    broker = await BrokerProcess.start({ env, args: ['--http-port', String(http.httpPort)] })
    connection = await connect(broker.url)
    channel = await connection.createChannel()
  })
  after(async () => {
    await connection.close()
    await broker.stop()
    for (const receiver of receivers) receiver.close()
    authority.remove()
  })

  /** Pushes one message and resolves when an attempt was made. */
  async function pushed(name: string, host: string, server: Pair, more: object = {}): Promise<Shown> {
    const receiver = await HttpReceiver.listen(server)
    receivers.push(receiver)
    await channel.assertQueue(name)
    const url = `https://${host}:${receiver.port}/`
    const made = await api(asNode(), `webhooks/%2F/${name}`, 'PUT', { queue: name, url, secret, ...more })
    assert.equal(made.status, 201, await made.text())
    channel.sendToQueue(name, Buffer.from(`for ${name}`))
    await eventually('an attempt', async () => (await shown(name)).delivered + (await shown(name)).failed > 0)
    const seen = await shown(name)
    assert.equal(receiver.received.length, seen.delivered, 'who is not trusted is told nothing')
    return seen
  }

  async function shown(name: string): Promise<Shown> {
    return (await (await api(asNode(), `webhooks/%2F/${name}`)).json()) as Shown
  }

  const asNode = (): Parameters<typeof api>[0] => http as Parameters<typeof api>[0]

  it('trusts an authority that was given to the node', async () => {
    const server = await authority.issue({ subject: '/CN=localhost', names: 'DNS:localhost' })
    const { delivered, last_error: why } = await pushed('own', 'localhost', server)
    assert.deepEqual([delivered, why], [1, null])
    const flags = ['--http', `http://guest:guest@127.0.0.1:${http.httpPort}`]
    const { code, stdout } = await runWarren(['webhooks', 'test', 'own', ...flags])
    assert.equal(code, 0)
    assert.match(stdout, /^the receiver of webhook 'own' has answered 200 in \d+ ms, sent by warren@/)
  })

  it('takes an address that stands in the certificate', async () => {
    const server = await authority.issue({ subject: '/CN=x', names: 'IP:127.0.0.1' })
    assert.equal((await pushed('address', '127.0.0.1', server)).delivered, 1)
  })

  it('trusts the authorities that it was given, and then no other', async () => {
    const own = await TestAuthority.make('of the receiver')
    const unused = await TestAuthority.make('unused')
    const server = await own.issue({ subject: '/CN=localhost', names: 'DNS:localhost' })
    const given = { ca_certificates: `of us\n${unused.cert}${own.cert}` }
    assert.deepEqual((await pushed('private', 'localhost', server, given)).last_error, null)
    const shown = (await (await api(asNode(), 'webhooks/%2F/private')).json()) as { ca_certificates: string }
    assert.equal(shown.ca_certificates, `${unused.cert}${own.cert}`, 'the certificates and nothing else')
    const known = await authority.issue({ subject: '/CN=localhost', names: 'DNS:localhost' })
    assert.match(
      (await pushed('private-only', 'localhost', known, given)).last_error ?? '',
      /unable to verify|self-signed/,
    )
    own.remove()
    unused.remove()
  })

  it('keeps its authorities with its definitions, and says what is none', async () => {
    const own = await TestAuthority.make('kept')
    const hook = { queue: 'kept', url: 'https://shop.example/', secret }
    const put = async (more: object): Promise<[number, string]> => {
      const response = await api(asNode(), 'webhooks/%2F/kept', 'PUT', { ...hook, ...more })
      return [response.status, await response.text()]
    }
    const { key } = await own.issue({ subject: '/CN=x', names: 'DNS:x' })
    const bad: [object, RegExp][] = [
      [{ ca_certificates: `${own.cert}${key}` }, /ca_certificates holds a PRIVATE KEY; give it certificates only/],
      [{ ca_certificates: 'x' }, /ca_certificates has to hold -----BEGIN CERTIFICATE-----/],
      [{ ca_certificates: 7 }, /ca_certificates has to be a text/],
      [{ ca_certificates: own.cert.repeat(11) }, /ca_certificates may hold 10 certificates/],
      [{ ca_certificates: ' '.repeat(40_000) }, /ca_certificates has more than 32768 characters/],
      [{ ca_certificates: own.cert.replace('MII', 'AAA').replace('MIIB', 'AAAA') }, /certificate 1 of ca_certificates/],
      [{ ca_certificates: own.cert, url: 'http://shop.example/' }, /needs a url that begins with https/],
    ]
    for (const [more, sentence] of bad) {
      const [status, text] = await put(more)
      assert.equal(status, 400)
      assert.match(text, sentence)
      for (const line of key.split('\n').slice(1, -2)) assert.ok(!text.includes(line), 'a key is not repeated')
    }
    assert.equal((await put({ ca_certificates: own.cert }))[0], 201)
    const exported = await (await api(asNode(), 'definitions')).json()
    assert.ok(JSON.stringify(exported).includes(JSON.stringify(own.cert).slice(1, -1)))
    assert.equal((await put({}))[0], 204, 'what is left out has its default')
    assert.ok((await api(asNode(), 'definitions', 'POST', exported)).ok)
    const shown = (await (await api(asNode(), 'webhooks/%2F/kept')).json()) as { ca_certificates: string }
    assert.equal(shown.ca_certificates, own.cert)
    own.remove()
  })

  it('refuses another authority, another name, and what has expired', async () => {
    const other = await TestAuthority.make('nobody knows it')
    const foreign = await other.issue({ subject: '/CN=localhost', names: 'DNS:localhost' })
    assert.match(String((await pushed('foreign', 'localhost', foreign)).last_error), /unable to verify/)
    other.remove()
    const named = await authority.issue({ subject: '/CN=shop.example', names: 'DNS:shop.example' })
    const { delivered, last_error: why } = await pushed('misnamed', 'localhost', named)
    assert.equal(delivered, 0)
    assert.match(String(why), /does not match certificate's altnames.*localhost/)
    const old = await authority.issue({ subject: '/CN=localhost', names: 'DNS:localhost', days: -1 })
    assert.match(String((await pushed('expired', 'localhost', old)).last_error), /certificate has expired/)
    const { code, stderr } = await runWarren([
      ...['webhooks', 'test', 'misnamed', '--http'],
      `http://guest:guest@127.0.0.1:${http.httpPort}`,
    ])
    assert.equal(code, 10)
    assert.match(stderr, /would not have got a message \(.*altnames/)
  })
})

describe('a webhook in a hostile world', () => {
  const names = new Map<string, readonly (readonly string[])[]>()
  const asked: string[] = []
  let node: NodeInProcess
  let connection: ChannelModel
  let channel: Channel
  const servers: (Server | HttpReceiver)[] = []

  before(async () => {
    const resolve = (host: string): Promise<readonly string[]> => {
      asked.push(host)
      const answers = names.get(host) ?? []
      const [first = [], ...rest] = answers
      if (rest.length > 0) names.set(host, rest)
      return Promise.resolve(first)
    }
    node = await NodeInProcess.start({ webhookAllow: '127.0.0.1' }, {}, { resolver: { resolve } })
    connection = await connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
    channel = await connection.createChannel()
  })
  after(async () => {
    await connection.close()
    await node.stop()
    for (const server of servers) server.close()
  })

  async function hook(name: string, url: string, more: object = {}): Promise<void> {
    await channel.assertQueue(name, { arguments: { 'x-retry-delay': 10 } })
    await node.request('PUT', `/webhooks/%2F/${name}`, { queue: name, url, secret, ...more })
  }

  async function shown(name: string): Promise<Shown> {
    return (await node.request('GET', `/webhooks/%2F/${name}`)) as Shown
  }

  async function receiver(): Promise<HttpReceiver> {
    const made = await HttpReceiver.listen()
    servers.push(made)
    return made
  }

  it('connects to the address that was judged, wherever the name leads by then', async () => {
    const server = await receiver()
    // The second look, which never happens between judgement and connection, would lead to a closed address.
    names.set('rebinding.example', [['127.0.0.1'], ['127.0.0.3']])
    await hook('rebinding', `http://rebinding.example:${server.port}/`)
    for (let count = 0; count < 3; count++) channel.sendToQueue('rebinding', Buffer.from('a'))
    await eventually('all have come', async () => (await shown('rebinding')).delivered === 3)
    assert.deepEqual(
      asked.filter((host) => host === 'rebinding.example'),
      ['rebinding.example'],
    )
    assert.equal((await shown('rebinding')).failed, 0)
  })

  it('sends nothing when any of the addresses of a name is closed', async () => {
    const server = await receiver()
    names.set('mixed.example', [['127.0.0.1', '127.0.0.9']])
    await hook('mixed', `http://mixed.example:${server.port}/`)
    channel.sendToQueue('mixed', Buffer.from('a'))
    await eventually('it is refused', async () =>
      /mixed.example is 127.0.0.9, which/.test(String((await shown('mixed')).last_error)),
    )
    assert.equal(server.connections, 0)
  })

  it('follows no redirect, not even to itself', async () => {
    const [server, other] = [await receiver(), await receiver()]
    const codes = [301, 302, 303, 307, 308]
    server.answer = (response, count) => {
      const code = codes[count - 1] ?? 200
      response.writeHead(code, { location: `http://127.0.0.1:${other.port}/` }).end()
    }
    await hook('redirected', `http://127.0.0.1:${server.port}/`)
    channel.sendToQueue('redirected', Buffer.from('a'))
    await eventually('it is delivered', async () => (await shown('redirected')).delivered === 1)
    assert.deepEqual([server.received.length, other.connections], [codes.length + 1, 0])
    assert.equal((await shown('redirected')).failed, codes.length)
  })

  it('waits no longer than it may for a head that comes byte by byte', async () => {
    let [started, ended] = [0, 0]
    const slow = createServer((socket) => {
      started ||= performance.now()
      const head = Buffer.from(`HTTP/1.1 200 OK\r\nx-slow: ${'y'.repeat(10_000)}\r\n\r\n`)
      let at = 0
      const timer = setInterval(() => socket.write(head.subarray(at, ++at)), 20)
      socket.on('error', () => {})
      socket.on('close', () => {
        clearInterval(timer)
        ended ||= performance.now()
      })
    })
    servers.push(slow)
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
    await hook('slow', `http://127.0.0.1:${(slow.address() as { port: number }).port}/`, { timeout_ms: 300 })
    channel.sendToQueue('slow', Buffer.from('a'))
    await eventually('it is given up', async () => (await shown('slow')).failed > 0)
    assert.match(String((await shown('slow')).last_error), /^no answer in \d+ ms$/)
    await eventually('the connection is closed', () => ended > 0)
    assert.ok(ended - started < 5_000, `${ended - started}`)
    await node.request('DELETE', '/webhooks/%2F/slow')
  })

  it('takes the status of an answer of 10 MB, and reads little of it', async () => {
    const server = await receiver()
    let written = 0
    server.answer = (response) => {
      const part = Buffer.alloc(64 * 1024)
      const total = 10 * 1024 * 1024
      response.writeHead(200, { 'content-length': total })
      const more = (): void => {
        if (written >= total) return void response.end()
        response.write(part, (error) => {
          if (error) return
          written += part.length
          more()
        })
      }
      more()
    }
    await hook('large', `http://127.0.0.1:${server.port}/`)
    channel.sendToQueue('large', Buffer.from('a'))
    await eventually('it counts', async () => (await shown('large')).delivered === 1)
    await setTimeout(200)
    // What fits into the buffers of both ends may be on its way when the connection is closed.
    assert.ok(written < 8 * 1024 * 1024, `${written} bytes were taken`)
    server.answer = (response) => void response.end()
    channel.sendToQueue('large', Buffer.from('b'))
    await eventually('the next one too', async () => (await shown('large')).delivered === 2)
  })

  it('is tried out without a message, and says what does not fit', async () => {
    const server = await receiver()
    await hook('tried', `http://127.0.0.1:${server.port}/`, { content_mode: 'json' })
    const tried = async (): Promise<Record<string, unknown>> =>
      (await node.request('POST', '/webhooks/%2F/tried/test')) as Record<string, unknown>
    const { duration_ms: ms, ...rest } = await tried()
    assert.ok(typeof ms === 'number' && ms >= 0)
    assert.match(String(rest['node']), /^warren@/)
    assert.deepEqual([rest['is_accepted'], rest['status'], rest['error']], [true, 200, null])
    const [request] = server.received
    assert.equal(request?.headers['warren-type'], 'warren.webhook.test')
    assert.match(String(request?.headers['webhook-id']), /^test_/)
    assert.match(String(request?.headers['webhook-signature']), /^v1,\S{44}$/)
    server.answer = (response) => void response.writeHead(302, { location: '/' }).end()
    const refused = await tried()
    assert.deepEqual([refused['is_accepted'], refused['error']], [false, '302: redirects are not followed'])
    const { delivered, failed } = await shown('tried')
    assert.deepEqual([delivered, failed], [0, 0], 'it is no message')
    assert.equal((await node.ask('POST', '/webhooks/%2F/nobody/test'))[0], 404)
  })
})
