/** TLS as clients meet it: real sockets, real clients, certificates of openssl. */
import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import * as https from 'node:https'
import * as net from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as tls from 'node:tls'
import { type AMQPBaseClient, AMQPWebSocketClient } from '@cloudamqp/amqp-client'
import amqplib from 'amqplib'
import WebSocket from 'ws'
import type { Config } from '../../src/config.ts'
import { type Issued, TestAuthority } from '../support/certificates.ts'
import { eventually, rejection } from '../support/eventually.ts'
import { NodeInProcess } from '../support/node-in-process.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

let authority: TestAuthority
let foreign: TestAuthority
let server: Issued
const nodes: NodeInProcess[] = []

async function start(options: Partial<Config> = {}): Promise<NodeInProcess> {
  const { certPath: tlsCertificate, keyPath: tlsKey } = server
  const node = await NodeInProcess.start({
    tlsPort: 0,
    httpsPort: 0,
    failedLoginDelayMs: 0,
    tlsCertificate,
    tlsKey,
    ...options,
  })
  nodes.push(node)
  return node
}

function asking(tlsVerify: Config['tlsVerify'], more: Partial<Config> = {}): Promise<NodeInProcess> {
  return start({ tlsVerify, tlsAuthority: authority.certPath, ...more })
}

interface Shown {
  readonly auth?: string
  readonly headers?: Record<string, string>
  readonly cert?: string
  readonly key?: string
}

/** Logs in with the password of anna, or by EXTERNAL with a certificate. */
async function connect(node: NodeInProcess, shown: Shown = {}, external = false): Promise<amqplib.ChannelModel> {
  const options = { ca: [authority.cert], servername: 'localhost', ...shown }
  const credentials = external ? { credentials: amqplib.credentials.external() } : {}
  const login = external ? '' : 'anna:secret@'
  return await amqplib.connect(`amqps://${login}127.0.0.1:${node.port('amqps')}/%2f`, { ...options, ...credentials })
}

interface Answer {
  readonly status: number
  readonly body: string
}

function get(node: NodeInProcess, path: string, shown: Shown = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      {
        host: '127.0.0.1',
        port: node.port('https'),
        path,
        ca: authority.cert,
        auth: 'anna:secret',
        agent: false,
        servername: 'localhost',
        ...shown,
      },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
    request.on('error', reject)
  })
}

/** What a TLS client of these options sees: the protocol, or that it was cut off. */
function handshake(port: number, options: tls.ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
    let protocol = ''
    socket.on('secureConnect', () => {
      protocol = socket.getProtocol() ?? ''
      // In TLS 1.3 the client has done its part before the server looks at the certificate: it is in when it gets an answer.
      socket.write('AMQP\0\0\x09\x01')
    })
    socket.on('data', () => socket.destroy())
    socket.on('error', (error) => resolve(`error ${error.message}`))
    socket.on('end', () => resolve('cut off'))
    socket.on('close', () => resolve(protocol))
  })
}

if (hasCommands('openssl')) {
  before(async () => {
    authority = await TestAuthority.make()
    foreign = await TestAuthority.make('another authority')
    server = await authority.issue({ subject: '/CN=broker', names: 'DNS:localhost,IP:127.0.0.1' })
  })
  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
    authority.remove()
    foreign.remove()
  })

  describe('AMQP over TLS', () => {
    it('carries messages of every size in both directions', async () => {
      const node = await start()
      const connection = await connect(node)
      const channel = await connection.createConfirmChannel()
      await channel.assertQueue('sizes')
      const sizes = [0, 1, 16_000, 131_072, 3_000_000]
      for (const size of sizes) channel.sendToQueue('sizes', Buffer.alloc(size, size % 251))
      await channel.waitForConfirms()
      for (const size of sizes) {
        const message = await channel.get('sizes', { noAck: true })
        assert.ok(message !== false && message.content.equals(Buffer.alloc(size, size % 251)), `${size} bytes`)
      }
      await connection.close()
    })

    it('shows protocol, cipher and the names of the certificate in the management API', async () => {
      const node = await asking('optional')
      const client = await authority.issue({ subject: '/O=shop/CN=anna' })
      const connection = await connect(node, client, true)
      const plain = await amqplib.connect(`amqp://anna:secret@127.0.0.1:${node.port('amqp')}`)
      const rows = JSON.parse((await get(node, '/api/connections')).body) as Record<string, unknown>[]
      const [encrypted] = rows.filter((row) => row['ssl'] === true)
      assert.equal(encrypted?.['auth_mechanism'], 'EXTERNAL')
      assert.equal(encrypted['ssl_protocol'], 'tlsv1.3')
      assert.match(String(encrypted['ssl_cipher']), /^TLS_AES/)
      assert.equal(encrypted['peer_cert_subject'], 'O=shop,CN=anna')
      assert.equal(encrypted['peer_cert_issuer'], 'CN=test authority')
      const [other] = rows.filter((row) => row['ssl'] === false)
      assert.deepEqual([other?.['auth_mechanism'], other?.['ssl_protocol']], ['PLAIN', null])
      await connection.close()
      await plain.close()
    })

    it('speaks TLS 1.2 and 1.3 and nothing older; 1.3 alone where that is asked for', async () => {
      const [both, newest] = [await start(), await start({ tlsMinVersion: '1.3' })]
      const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
      assert.match(await handshake(both.port('amqps'), old), /error/)
      assert.equal(await handshake(both.port('amqps'), { maxVersion: 'TLSv1.2' }), 'TLSv1.2')
      assert.equal(await handshake(both.port('amqps'), {}), 'TLSv1.3')
      assert.match(await handshake(newest.port('amqps'), { maxVersion: 'TLSv1.2' }), /error/)
      assert.equal(await handshake(newest.port('amqps'), {}), 'TLSv1.3')
    })

    it('does not renegotiate', async () => {
      const node = await start()
      const outcome = await new Promise<string>((resolve) => {
        const socket = tls.connect({
          host: '127.0.0.1',
          port: node.port('amqps'),
          rejectUnauthorized: false,
          maxVersion: 'TLSv1.2',
        })
        socket.on('secureConnect', () =>
          socket.renegotiate({}, (error) => resolve(error === null ? 'done' : 'refused')),
        )
        socket.on('error', () => resolve('refused'))
        socket.on('close', () => resolve('refused'))
      })
      assert.equal(outcome, 'refused')
    })
  })

  describe('Certificates of clients', () => {
    it('are not asked for unless tls-verify says so', async () => {
      const node = await start()
      const client = await foreign.issue({ subject: '/CN=anna' })
      assert.equal(await handshake(node.port('amqps'), { cert: client.cert, key: client.key }), 'TLSv1.3')
      await rejection(connect(node, client, true))
      assert.equal((await connect(node).then(async (one) => [await one.close()])).length, 1)
    })

    it('of a foreign authority, expired ones and missing ones are refused where one is required', async () => {
      const node = await asking('required')
      const port = node.port('amqps')
      const [strange, late, good] = [
        await foreign.issue({ subject: '/CN=anna' }),
        await authority.issue({ subject: '/CN=anna', days: -1 }),
        await authority.issue({ subject: '/CN=anna' }),
      ]
      for (const shown of [{}, strange, late]) {
        for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
          const { cert, key } = shown as Shown
          const options = { maxVersion, ...(cert === undefined ? {} : { cert, key }) }
          assert.match(await handshake(port, options), /cut off|error/)
        }
      }
      assert.equal(await handshake(port, { cert: good.cert, key: good.key }), 'TLSv1.3')
      assert.ok(node.said(/the client showed no certificate/).length > 0)
      assert.ok(node.said(/CERT_HAS_EXPIRED/).length > 0)
      await rejection(get(node, '/api/whoami'))
      assert.equal((await get(node, '/api/whoami', good)).status, 200)
    })

    it('that are shown must be in order even where none is required', async () => {
      const node = await asking('optional')
      const strange = await foreign.issue({ subject: '/CN=anna' })
      assert.match(await handshake(node.port('amqps'), { cert: strange.cert, key: strange.key }), /cut off|error/)
      const connection = await connect(node)
      await connection.close()
    })

    it('log in the user they name by EXTERNAL, who has that user’s rights', async () => {
      const node = await asking('optional')
      const [ben, nobody, both] = [
        await authority.issue({ subject: '/CN=ben' }),
        await authority.issue({ subject: '/CN=carl' }),
        await authority.issue({ subject: '/CN=anna/CN=ben' }),
      ]
      const connection = await connect(node, ben, true)
      const channel = await connection.createChannel()
      await channel.assertQueue('of ben')
      await connection.close()
      assert.match((await rejection(connect(node, nobody, true))).message, /ACCESS.REFUSED|403/i)
      assert.match((await rejection(connect(node, both, true))).message, /ACCESS.REFUSED|403/i)
      // Without a certificate the mechanism is not even offered.
      assert.match((await rejection(connect(node, {}, true))).message, /EXTERNAL is not provided/)
    })

    it('log in by the alternative name that tls-user-from says', async () => {
      for (const [tlsUserFrom, names] of [
        ['dns', 'DNS:anna'],
        ['email', 'email:ben'],
        ['uri', 'URI:anna'],
      ] as const) {
        const node = await asking('optional', { tlsUserFrom })
        const named = await authority.issue({ subject: '/CN=ben', names })
        await (await connect(node, named, true)).close()
        const unnamed = await authority.issue({ subject: '/CN=anna' })
        await rejection(connect(node, unnamed, true))
      }
    })

    it('do not let guest in from elsewhere, nor take the place of a password', async () => {
      const node = await asking('optional')
      const ben = await authority.issue({ subject: '/CN=ben' })
      const options = { ca: [authority.cert], servername: 'localhost', cert: ben.cert, key: ben.key }
      await rejection(amqplib.connect(`amqps://ben:wrong@127.0.0.1:${node.port('amqps')}`, options))
      assert.equal((await get(node, '/api/whoami', ben)).status, 200)
    })
  })

  describe('HTTPS', () => {
    it('serves the API and the health page, and AMQP by WebSocket', async () => {
      const node = await start()
      assert.equal((await get(node, '/api/overview')).status, 200)
      assert.match((await get(node, '/health')).body, /works/)
      const socket = new WebSocket(`wss://127.0.0.1:${node.port('https')}/ws`, 'amqp', { ca: authority.cert })
      const first = new Promise<Buffer>((resolve, reject) => {
        socket.on('message', (data) => resolve(data as Buffer))
        socket.on('error', reject)
      })
      socket.on('open', () => socket.send(Buffer.from('AMQP\0\0\x09\x01', 'latin1')))
      assert.equal((await first).readUInt16BE(7), 10)
      socket.terminate()
    })

    it('log in the user they name by HTTPS, unless a password or token is said', async () => {
      const node = await asking('optional')
      const anna = await authority.issue({ subject: '/CN=anna' })
      const stranger = await authority.issue({ subject: '/CN=nobody-here' })
      const two = await authority.issue({ subject: '/CN=anna/CN=ben' })
      const whoami = async (shown: Shown & { auth?: string; headers?: Record<string, string> }) =>
        await get(node, '/api/whoami', { auth: '', ...shown })
      const { status, body } = await whoami(anna)
      assert.deepEqual([status, (JSON.parse(body) as { name: string }).name], [200, 'anna'])
      assert.equal((await whoami({})).status, 401, 'no certificate')
      assert.equal((await whoami(stranger)).status, 401, 'of nobody who is known')
      assert.equal((await whoami(two)).status, 401, 'of two names none is chosen')
      assert.equal((await whoami({ ...anna, auth: 'anna:wrong' })).status, 401, 'what is said goes first')
      const foreignPage = { 'sec-fetch-site': 'cross-site' }
      assert.equal((await whoami({ ...anna, headers: foreignPage })).status, 403, 'pages of others use no certificate')
      const audit = node.log.filter(({ part, fields }) => part === 'audit' && fields['proof'] === 'certificate')
      assert.deepEqual(
        audit.map(({ message, fields }) => [message, fields['user'], fields['via']]),
        [
          ['login', 'anna', 'http'],
          ['login refused', 'nobody-here', 'http'],
          ['login refused', null, 'http'],
        ],
      )
    })

    it('can be all that listens', async () => {
      const node = await asking('required', { port: 'none', httpPort: 'none' })
      assert.deepEqual(
        node.daemon.addresses.map((address) => address.replace(/:.*/, '')),
        ['amqps', 'https'],
      )
      const anna = await authority.issue({ subject: '/CN=anna' })
      await (await connect(node, anna, true)).close()
    })

    it('offers EXTERNAL to a WebSocket with a certificate', async () => {
      const node = await asking('optional')
      const ben = await authority.issue({ subject: '/CN=ben' })
      const options = { ca: authority.cert, cert: ben.cert, key: ben.key }
      const socket = new WebSocket(`wss://127.0.0.1:${node.port('https')}/ws`, 'amqp', options)
      const first = new Promise<Buffer>((resolve) => socket.on('message', (data) => resolve(data as Buffer)))
      socket.on('open', () => socket.send(Buffer.from('AMQP\0\0\x09\x01', 'latin1')))
      assert.ok((await first).includes('PLAIN AMQPLAIN EXTERNAL'))
      socket.terminate()
    })
  })

  describe('Files of certificates', () => {
    it('are read again when they change; connections that are there stay', async () => {
      const [certPath, keyPath] = ['live.pem', 'live.key'].map((name) => join(authority.folder, name)) as [
        string,
        string,
      ]
      copyFileSync(server.certPath, certPath)
      copyFileSync(server.keyPath, keyPath)
      const node = await start({ tlsCertificate: certPath, tlsKey: keyPath })
      const connection = await connect(node)
      const channel = await connection.createChannel()
      const webSocket = await connectByWebSocket(node, authority)
      const [channelThere, foreignIssued] = [await webSocket.channel(), await foreign.issue(localhost)]

      writeFileSync(certPath, 'nonsense')
      await eventually(
        'the log says that the old one stays',
        () => node.said(/the old TLS certificate stays/).length > 0,
      )
      await (await connect(node)).close()
      await (await connectByWebSocket(node, authority)).close()

      const next = await authority.issue({ subject: '/CN=the next one', names: 'DNS:localhost' })
      copyFileSync(next.certPath, certPath)
      copyFileSync(next.keyPath, keyPath)
      await eventually('new connections see it', async () => (await subjectOf(node)) === 'the next one')
      assert.equal((await channel.assertQueue('still')).queue, 'still')
      assert.equal((await channelThere.queueDeclare('still by WebSocket')).name, 'still by WebSocket')

      copyFileSync(foreignIssued.certPath, certPath)
      copyFileSync(foreignIssued.keyPath, keyPath)
      const isForeign = (): Promise<boolean> =>
        connectByWebSocket(node, foreign).then(
          async (one) => [await one.close()].length === 1,
          () => false,
        )
      await eventually('new WebSockets see one of another authority', isForeign)
      // What the library rejects with is an event of its socket.
      await assert.rejects(connectByWebSocket(node, authority))
      await eventually('the log says what that client may think', () => node.said(/may not trust/).length > 0)
      assert.equal((await channel.checkQueue('still by WebSocket')).queue, 'still by WebSocket')
      assert.equal((await channelThere.queueDeclare('still', { passive: true })).name, 'still')
      await connection.close()
      await webSocket.close()
    })

    it('that are bad end the start with a sentence', async () => {
      const bad = join(authority.folder, 'bad.pem')
      writeFileSync(bad, 'nonsense')
      for (const options of [
        { tlsCertificate: bad },
        { tlsKey: bad },
        { tlsKey: (await authority.issue({ subject: '/CN=x' })).keyPath },
        { tlsVerify: 'required', tlsAuthority: bad },
        { tlsCertificate: join(authority.folder, 'missing.pem') },
      ] as const) {
        const error = await rejection(start(options))
        assert.match(error.message, /^(TLS cannot be used|tls-cert = .*cannot be read \(ENOENT\)).*give /)
      }
      const { message } = await rejection(NodeInProcess.start({ tlsPort: 0 }))
      assert.match(message, /tls-port is set without a certificate/)
    })
  })

  describe('Who does not finish the handshake', () => {
    it('is counted by address, and cut off in time', async () => {
      const node = await start({ unauthenticatedPerAddressMax: 3, handshakeMsMax: 3_000 })
      const sockets = [1, 2, 3, 4].map(() => net.connect(node.port('amqps'), '127.0.0.1'))
      const closed = sockets.map((socket) => new Promise<void>((resolve) => socket.on('close', () => resolve())))
      for (const socket of sockets) socket.on('error', () => {})
      await Promise.race(closed)
      assert.ok(node.said(/limit of 3 TLS handshakes from one address/).length > 0)
      await Promise.all(closed)
      // What was counted is counted off.
      for (let round = 0; round < 6; round++) await (await connect(node)).close()
    })

    it('and only looks whether a port is there, keeps no place and is no line of the log', async () => {
      const node = await start({ unauthenticatedPerAddressMax: 1, handshakeMsMax: 60_000 })
      for (const scheme of ['amqps', 'https', 'amqps', 'https']) {
        const socket = net.connect(node.port(scheme), '127.0.0.1')
        socket.on('error', () => {})
        socket.resume()
        socket.end()
        await new Promise<void>((resolve) => socket.on('close', () => resolve()))
      }
      await eventually('one comes in', () =>
        connect(node).then(
          async (one) => [await one.close()].length === 1,
          () => false,
        ),
      )
      assert.deepEqual(node.said(/refused: .*(timeout|hang up|gone)/), [])
    })

    it('and sends nonsense, or goes away, harms nobody', async () => {
      const node = await start()
      const hello = Buffer.from('16030100', 'hex')
      const inputs = [
        Buffer.from('AMQP\0\0\x09\x01'),
        Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        hello,
        Buffer.alloc(70_000, 0x16),
        Buffer.alloc(0),
      ]
      for (const scheme of ['amqps', 'https']) {
        for (const input of inputs) {
          const socket = net.connect(node.port(scheme), '127.0.0.1')
          socket.on('error', () => {})
          socket.write(input)
          setTimeout(() => socket.resetAndDestroy(), 30)
          await new Promise<void>((resolve) => socket.on('close', () => resolve()))
        }
      }
      await (await connect(node)).close()
      assert.equal((await get(node, '/health')).status, 200)
    })
  })
} else leftOut('TLS listeners', 'openssl')

const localhost = { subject: '/CN=localhost', names: 'DNS:localhost,IP:127.0.0.1' }

/** AMQP over WebSocket over TLS, by a client that trusts this authority alone. */
async function connectByWebSocket(node: NodeInProcess, { cert: ca }: TestAuthority): Promise<AMQPBaseClient> {
  class Trusting extends WebSocket {
    constructor(url: string, protocol: string) {
      super(url, protocol, { ca })
    }
  }
  Object.assign(globalThis, { WebSocket: Trusting })
  const url = `wss://127.0.0.1:${node.port('https')}/ws`
  return await new AMQPWebSocketClient({ url, username: 'anna', password: 'secret', logger: null }).connect()
}

async function subjectOf(node: NodeInProcess): Promise<string> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port: node.port('amqps'),
    ca: authority.cert,
    servername: 'localhost',
  })
  await new Promise((resolve) => socket.once('secureConnect', resolve))
  const { CN } = socket.getPeerCertificate().subject
  socket.destroy()
  return String(CN)
}
