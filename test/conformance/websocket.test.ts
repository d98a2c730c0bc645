/**
 * AMQP over WebSocket: the same sentences as over TCP, a client library made for it, and peers that mean no good.
 */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { Duplex } from 'node:stream'
import { after, describe, it } from 'node:test'
import { AMQPWebSocketClient } from '@cloudamqp/amqp-client'
import { WebSocket } from 'ws'
import type { Logger } from '../../src/base/logger.ts'
import { Broker } from '../../src/index.ts'
import { protocolHeader, RawClient } from '../support/amqp/raw-client.ts'
import { method } from '../support/amqp/wire.ts'
import { runWarren, startWarren } from '../support/warren-command.ts'
import { protocol } from './protocol/protocol.ts'

const warnings: string[] = []
const logger: Logger = {
  debug: () => {},
  info: () => {},
  warn: (fields, message) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
  error: (fields, message) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
}
const broker = await Broker.start({ storage: 'memory', httpPort: 0, logger })
after(() => broker.stop({ drainMs: 100 }))
const httpUrl = new URL(broker.httpUrl)
const url = `ws://${httpUrl.host}/ws`
const address = {
  host: httpUrl.hostname,
  port: Number(httpUrl.port),
  user: 'guest',
  password: 'guest',
  isExternal: false,
  open: (): Promise<Duplex> => openStream(new WebSocket(url, 'amqp')),
}

protocol(address, { timed: 'left-out' })

describe('a client library made for WebSockets', () => {
  Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? WebSocket })

  it('publishes with confirms and consumes, also what is much larger than a frame', async () => {
    const client = new AMQPWebSocketClient({ url, frameMax: 8_192, logger: null })
    const connection = await client.connect()
    const channel = await connection.channel()
    await channel.confirmSelect()
    const { name: queue } = await channel.queueDeclare('', { exclusive: true })
    const sizes = [0, 1, 8_000, 8_184, 8_185, 100_000, 3_000_000]
    for (const size of sizes) await channel.basicPublish('', queue, new Uint8Array(size).fill(size % 251))
    const got: number[] = []
    await new Promise<void>((resolve, reject) => {
      void channel.basicConsume(queue, { noAck: false }, (message) => {
        const body = message.body ?? new Uint8Array(0)
        if (!body.every((octet) => octet === body.length % 251)) reject(new Error('another body came'))
        got.push(body.length)
        void message.ack()
        if (got.length === sizes.length) resolve()
      })
    })
    assert.deepEqual(got, sizes)
    await connection.close()
  })

  it('is told when its login is wrong', async () => {
    const client = new AMQPWebSocketClient({ url, password: 'wrong', logger: null })
    await assert.rejects(client.connect(), /ACCESS_REFUSED|not cleanly closed|Login was refused/)
  })
})

describe('what the broker sends over WebSocket', () => {
  it('is whole frames in each message, whatever their size', async () => {
    const messages: Buffer[] = []
    const socket = new WebSocket(url, 'amqp')
    socket.on('message', (data) => messages.push(data as Buffer))
    const client = await RawClient.withChannel({ ...address, open: () => openStream(socket) }, { frameMax: 4_096 })
    await client.call(1, 'queue.declare', { queue: 'framed', exclusive: true })
    for (const size of [10, 5_000, 700_000]) client.publish(1, { routingKey: 'framed', body: Buffer.alloc(size, 'x') })
    await client.call(1, 'basic.consume', { queue: 'framed', noAck: true })
    await client.expectMany(1, 'basic.deliver', 3)
    await client.close()
    assert.ok(messages.length > 5)
    for (const message of messages) assert.equal(endOfFrames(message), message.length)
  })

  it('tells the address a client has, as for TCP', async () => {
    warnings.length = 0
    const client = await RawClient.withChannel(address)
    client.send(1, 'queue.declare', { queue: 'missing', passive: true })
    await client.expectChannelClose(1, 404, /no queue/)
    await client.close()
    assert.match(warnings.join('\n'), new RegExp(`127.0.0.1:\\d+ -> 127.0.0.1:${address.port}`))
  })

  it('answers pings', async () => {
    const socket = await opened(new WebSocket(url))
    socket.ping('are you there')
    const [answer] = await once<[Buffer]>(socket, 'pong')
    assert.equal(answer.toString(), 'are you there')
    socket.terminate()
  })

  it('ends with 1001 when the broker stops, after the close of AMQP', async () => {
    const stopping = await Broker.start({ storage: 'memory', httpPort: 0 })
    const socket = new WebSocket(`${stopping.httpUrl.replace('http', 'ws')}/ws`, 'amqp')
    const client = await RawClient.withChannel({ ...address, open: () => openStream(socket) })
    const closed = once<[number]>(socket, 'close')
    const stopped = stopping.stop()
    await client.expect(0, 'connection.close')
    assert.equal((await fetch(`${stopping.httpUrl}/health`)).status, 503)
    client.send(0, 'connection.close-ok')
    assert.deepEqual([await stopped, (await closed)[0]], [true, 1001])
  })
})

describe('a WebSocket that means no good', () => {
  it('is closed with 1003 when it sends text', async () => {
    const socket = await opened(new WebSocket(url, 'amqp'))
    socket.send('AMQP as text')
    assert.equal((await once<[number]>(socket, 'close'))[0], 1003)
  })

  it('is closed with 1009 when a message is larger than the limit, and nobody else notices', async () => {
    const client = await RawClient.withChannel(address)
    const socket = await opened(new WebSocket(url, 'amqp'))
    socket.on('error', () => {})
    await login(socket)
    socket.send(Buffer.alloc(16 * 1024 * 1024 + 1))
    assert.equal((await once<[number]>(socket, 'close'))[0], 1009)
    await client.call(1, 'queue.declare', { exclusive: true })
    await client.close()
  })

  it('is closed when a message comes in more pieces than a message has', async () => {
    const socket = await opened(new WebSocket(url, 'amqp'))
    socket.on('error', () => {})
    const closed = once<[number]>(socket, 'close')
    for (let piece = 0; piece < 2_000; piece++) socket.send(Buffer.from([1]), { fin: false })
    assert.equal((await closed)[0], 1008)
  })

  it('gets the right protocol header when it sends another, and is closed', async () => {
    const socket = await opened(new WebSocket(url, 'amqp'))
    const answered = once<[Buffer]>(socket, 'message')
    const closed = once<[number]>(socket, 'close')
    socket.send(Buffer.from('GET / HT'))
    assert.deepEqual((await answered)[0], protocolHeader)
    assert.equal((await closed)[0], 1000)
  })

  it('is closed when it sends much before it has logged in', async () => {
    const socket = await opened(new WebSocket(url, 'amqp'))
    socket.on('error', () => {})
    const closed = once(socket, 'close')
    socket.send(protocolHeader)
    // Of one message, which is not whole: nothing of it has come to the broker's ears.
    for (let piece = 0; piece < 100; piece++) socket.send(Buffer.alloc(1_000), { fin: false })
    await closed
  })

  it('sends one byte at a time and is understood', async () => {
    const socket = await opened(new WebSocket(url, 'amqp'))
    await login(socket, 1)
    socket.terminate()
  })

  it('takes nothing but its own deliveries from anybody when it does not read', async () => {
    const slow = new WebSocket(url, 'amqp')
    const stream = await openStream(slow)
    const reader = await RawClient.withChannel({ ...address, open: async () => stream })
    await reader.call(1, 'queue.declare', { queue: 'slow', exclusive: false, autoDelete: true })
    await reader.call(1, 'basic.consume', { queue: 'slow', noAck: true })
    stream.pause()
    slow.pause()
    const other = await RawClient.withChannel(address)
    await other.call(1, 'confirm.select')
    const count = 300
    for (let n = 0; n < count; n++) other.publish(1, { routingKey: 'slow', body: Buffer.alloc(100_000, 'x') })
    for (let confirmed = 0; confirmed < count; ) confirmed = Number((await other.next(1)).args['deliveryTag'])
    // What it has not taken waits in the queue, not in its connection.
    const { args } = await other.call(1, 'queue.declare', { queue: 'slow', passive: true })
    assert.ok(Number(args['messageCount']) > count / 2, `${args['messageCount']} of ${count} wait in the queue`)
    slow.resume()
    stream.resume()
    await reader.expectMany(1, 'basic.deliver', count)
    await reader.close()
    await other.close()
  })

  it('asks for pings without reading and costs no more than a few of them', async () => {
    const socket = await opened(new WebSocket(url, 'amqp'))
    socket.pause()
    for (let ping = 0; ping < 20_000; ping++) socket.ping(Buffer.alloc(125))
    await new Promise((resolve) => socket.ping('', true, resolve))
    const client = await RawClient.withChannel(address)
    await client.close()
    socket.terminate()
  })
})

describe('an upgrade', () => {
  const upgrade = (headers: Record<string, string>, path = '/ws'): Promise<number> =>
    new Promise((resolve, reject) => {
      const { host } = httpUrl
      const asked = request(`http://${host}${path}`, {
        headers: {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': Buffer.alloc(16).toString('base64'),
          ...headers,
        },
      })
      asked.once('upgrade', (response, socket) => {
        socket.destroy()
        resolve(response.statusCode ?? 0)
      })
      asked.once('response', (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      asked.once('error', reject)
      asked.end()
    })

  it('is taken from programs and from pages of the same host, on any port', async () => {
    assert.equal(await upgrade({}), 101)
    assert.equal(await upgrade({ origin: 'http://127.0.0.1:3000' }), 101)
    assert.equal(await upgrade({ origin: 'https://localhost', host: 'localhost' }), 101)
  })

  it('is refused for pages of other hosts, and for names that were made to point here', async () => {
    assert.equal(await upgrade({ origin: 'https://evil.example' }), 403)
    assert.equal(await upgrade({ origin: 'null' }), 403)
    assert.equal(await upgrade({ origin: 'https://evil.example', host: 'evil.example' }), 403)
    for (const site of ['cross-site', 'same-site']) assert.equal(await upgrade({ 'sec-fetch-site': site }), 403)
    assert.equal(await upgrade({ 'sec-fetch-site': 'same-origin' }), 101)
  })

  it('is taken from the origins that are named, and only those', async (test) => {
    const limits = { httpOrigins: 'https://shop.example, http://127.0.0.1:3000' }
    const strict = await Broker.start({ storage: 'memory', httpPort: 0, limits })
    test.after(() => strict.stop())
    const status = async (origin: string): Promise<string> => {
      const socket = new WebSocket(`${strict.httpUrl.replace('http', 'ws')}/ws`, { origin })
      const outcome = await new Promise<string>((resolve) => {
        socket.once('open', () => resolve('open'))
        socket.once('error', ({ message }) => resolve(message))
      })
      socket.terminate()
      return outcome
    }
    assert.equal(await status('https://shop.example'), 'open')
    assert.equal(await status('http://127.0.0.1:3000'), 'open')
    assert.match(await status('http://127.0.0.1:3001'), /403/)
  })

  it('must be for AMQP and at the right place', async () => {
    assert.equal(await upgrade({ 'sec-websocket-protocol': 'mqtt' }), 400)
    assert.equal(await upgrade({ 'sec-websocket-protocol': 'mqtt, amqp' }), 101)
    assert.equal(await upgrade({}, '/other'), 404)
    assert.equal(await upgrade({}, '//'), 404)
    assert.equal(await upgrade({ 'sec-websocket-version': '7' }), 400)
    assert.equal(await upgrade({ 'sec-websocket-key': 'short' }), 400)
  })
})

describe('the port for HTTP', () => {
  const status = async (path: string, init: RequestInit = {}): Promise<number> =>
    (await fetch(`${broker.httpUrl}${path}`, init)).status

  it('says what it is, whether it works, and that there is nothing else', async () => {
    assert.match(await (await fetch(broker.httpUrl)).text(), /This is Warren, a message broker\./)
    assert.deepEqual(
      [await status('/?x=1'), await status('/health'), await status('/constructor'), await status('/ws')],
      [200, 200, 404, 426],
    )
    assert.equal(await status('/', { method: 'HEAD' }), 200)
    assert.equal(await status('/', { method: 'POST', body: 'x' }), 405)
  })

  it('survives requests that are none', async () => {
    for (const bytes of [
      'GET // HTTP/1.1\r\nhost: x\r\n\r\n',
      'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n',
      '\0\0\0',
      'AMQP\0\0\t\x01',
    ]) {
      const socket = connect(address.port, address.host)
      socket.on('error', () => {})
      socket.end(bytes)
      socket.resume()
      await once(socket, 'close')
    }
    assert.equal(await status('/health'), 200)
  })

  it('is closed with the broker when requests are under way', async () => {
    const stopping = await Broker.start({ storage: 'memory', httpPort: 0 })
    const { port, hostname } = new URL(stopping.httpUrl)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    const closed = once(socket, 'close')
    socket.write('GET / HTTP/1.1\r\n')
    await once(socket, 'connect')
    assert.equal(await stopping.stop(), true)
    await closed
  })

  it('is named by `warren serve`, may be none, and is refused with the mend when it is taken', async () => {
    const data = `${process.env['TMPDIR'] ?? '/tmp'}/warren-http-${process.pid}`
    const serve = ['serve', '--port', '0', '--host', '127.0.0.1', '--data']
    const one = startWarren([...serve, `${data}-1`, '--http-port', '0'])
    const [, port] = await one.printed(/listens on http:\/\/127\.0\.0\.1:(\d+), AMQP over WebSocket at \/ws\n/)
    const refused = await runWarren([...serve, `${data}-2`, '--http-port', String(port)])
    assert.equal(refused.code, 4)
    assert.match(
      refused.stderr,
      /cannot listen on port \d+ of 127\.0\.0\.1 for HTTP \(EADDRINUSE\): .*--http-port none/,
    )
    assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200)
    one.child.kill('SIGTERM')
    assert.equal((await one.result).code, 0)
    const none = startWarren([...serve, `${data}-1`], { WARREN_HTTP_PORT: 'none' })
    await none.printed(/listens on amqp/)
    none.child.kill('SIGTERM')
    assert.doesNotMatch((await none.result).stdout, /http:/)
  })
})

async function opened(socket: WebSocket): Promise<WebSocket> {
  await once(socket, 'open')
  return socket
}

/** The WebSocket as a stream; what is written at once goes out in messages that are not too long. */
async function openStream(socket: WebSocket): Promise<Duplex> {
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      for (let at = 0; at < chunk.length; at += messageBytes) socket.send(chunk.subarray(at, at + messageBytes))
      done()
    },
    destroy: (error, done) => {
      socket.terminate()
      done(error)
    },
  })
  socket.on('message', (data) => stream.push(data))
  socket.on('error', () => stream.destroy())
  socket.on('close', () => stream.destroy())
  await opened(socket)
  return stream
}

const messageBytes = 100_000

interface Emitter {
  once(event: string, listener: (...args: unknown[]) => void): unknown
}

function once<T extends unknown[]>(emitter: unknown, event: string): Promise<T> {
  return new Promise((resolve) => (emitter as Emitter).once(event, (...args) => resolve(args as T)))
}

/** Where the last whole frame in it ends. */
function endOfFrames(message: Buffer): number {
  let at = 0
  while (at + 8 <= message.length) {
    const end = at + 8 + message.readUInt32BE(at + 3)
    if (end > message.length) break
    assert.equal(message[end - 1], 0xce)
    at = end
  }
  return at
}

/** Class and method of `connection.tune`. */
const tuneMethod = Buffer.from([0, 10, 0, 30])

/** Until the broker has taken the password. */
async function login(socket: WebSocket, messageBytesMax = Number.POSITIVE_INFINITY): Promise<void> {
  const tuned = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      if ((data as Buffer).includes(tuneMethod)) resolve()
    })
  })
  const bytes = Buffer.concat([protocolHeader, startOk()])
  for (let at = 0; at < bytes.length; at += messageBytesMax) socket.send(bytes.subarray(at, at + messageBytesMax))
  await tuned
}

function startOk(): Buffer {
  const args = { clientProperties: {}, mechanism: 'PLAIN', response: Buffer.from('\0guest\0guest'), locale: 'en_US' }
  return method(0, 'connection.start-ok', args)
}
