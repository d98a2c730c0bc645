/** Other ways to a broker than plain TCP: TLS with and without a certificate of one's own, and any stream of Node. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import * as tls from 'node:tls'
import { hasCommands, leftOut, runProgram } from '../support/run-program.ts'
import { broker, name, open, quick, warrenError } from './stage.ts'

describe('any stream', () => {
  it('carries a connection, however it cuts what passes', async () => {
    let opened = 0
    const openStream = (): Duplex => {
      opened++
      return inPieces(net.connect(broker.port, broker.host), 7)
    }
    const client = await open({ ...quick, openStream }, broker.url)
    const queue = client.queue<string>(name('stream'), { exclusive: true })
    await queue.send('x'.repeat(3_000))
    assert.equal((await queue.get())?.body.length, 3_000)
    assert.equal(opened, 2)
  })

  it('that cannot be opened is an error like any other', async () => {
    const openStream = (): Promise<Duplex> => Promise.reject(new Error('no tunnel'))
    const error = await warrenError(open({ ...quick, openStream }, broker.url))
    assert.equal(error.code, 'CONNECT_REFUSED')
    assert.match(error.message, /no tunnel/)
  })
})

if (hasCommands('openssl')) {
  describe('TLS', () => {
    let folder = ''
    let pem: Pem
    let relay: Relay
    let asking: Relay
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'warren-tls-'))
      pem = await certificates(folder)
      const own = { cert: pem.serverCert, key: pem.serverKey }
      relay = await tlsRelay(own)
      asking = await tlsRelay({ ...own, ca: pem.ca, requestCert: true, rejectUnauthorized: true })
    })
    after(async () => {
      relay.close()
      asking.close()
      await rm(folder, { recursive: true })
    })

    it('connects to a broker whose authority is trusted', async () => {
      const client = await open({ ...quick, tls: { ca: pem.ca, servername: 'broker.test' } }, relay.url)
      const queue = client.queue<number>(name('tls'), { exclusive: true })
      await queue.sendMany([1, 2, 3])
      assert.equal((await queue.get())?.body, 1)
    })

    it('refuses one that is not, or has another name', async () => {
      const unknown = await warrenError(open(quick, relay.url))
      assert.equal(unknown.code, 'TLS_FAILED')
      assert.match(unknown.message, /tls\.ca/)
      const other = await warrenError(open({ ...quick, tls: { ca: pem.ca, servername: 'other.test' } }, relay.url))
      assert.equal(other.code, 'TLS_FAILED')
    })

    it('shows a certificate of its own to a broker that asks for one', async () => {
      const own = { ca: pem.ca, servername: 'broker.test', cert: pem.clientCert, key: pem.clientKey }
      const client = await open({ ...quick, tls: own }, asking.url)
      await client.queue(name('tls-own'), { exclusive: true }).declare()
      await warrenError(open({ ...quick, tls: { ca: pem.ca, servername: 'broker.test' } }, asking.url))
    })
  })
} else leftOut('the client over TLS', 'openssl')

interface Pem {
  readonly ca: string
  readonly serverCert: string
  readonly serverKey: string
  readonly clientCert: string
  readonly clientKey: string
}

interface Relay {
  readonly url: string
  close(): void
}

/** An authority, and what it signed for a server `broker.test` and for a client. */
async function certificates(folder: string): Promise<Pem> {
  const file = (path: string): string => join(folder, path)
  const openssl = async (...args: string[]): Promise<void> => {
    const { status, stderr } = await runProgram('openssl', args, { cwd: folder })
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`)
  }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=test authority')
  for (const [who, common] of [
    ['server', 'broker.test'],
    ['client', 'a client'],
  ] as const) {
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', `subjectAltName=DNS:${common.replace(' ', '-')}`]
    const out = ['-keyout', `${who}.key`, '-out', `${who}.pem`, '-subj', `/CN=${common}`]
    await openssl('req', '-x509', ...key, ...signed, ...out)
  }
  const read = (path: string): string => readFileSync(file(path), 'utf8')
  return {
    ca: read('ca.pem'),
    serverCert: read('server.pem'),
    serverKey: read('server.key'),
    clientCert: read('client.pem'),
    clientKey: read('client.key'),
  }
}

/** What a broker's TLS listener does, before any broker. */
async function tlsRelay(options: tls.TlsOptions): Promise<Relay> {
  const sockets = new Set<net.Socket>()
  const server = tls.createServer(options, (near) => {
    const far = net.connect(broker.port, broker.host)
    sockets.add(near)
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy())
    near.pipe(far)
    far.pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const url = new URL(broker.url)
  url.href = url.href.replace('amqp:', 'amqps:')
  url.hostname = '127.0.0.1'
  url.port = String(port)
  const close = (): void => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { url: url.href, close }
}

/** The socket as a stream that is none of `net`, and reads a few bytes at a time. */
function inPieces(socket: net.Socket, bytesMax: number): Duplex {
  const duplex = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, (error) => done(error ?? null)),
    final: (done) => void socket.end(() => done()),
    destroy: (error, done) => {
      socket.destroy()
      done(error)
    },
  })
  socket.on('data', (chunk) => {
    for (let at = 0; at < chunk.length; at += bytesMax) duplex.push(chunk.subarray(at, at + bytesMax))
  })
  socket.on('end', () => duplex.push(null))
  socket.on('error', (error) => duplex.destroy(error))
  return duplex
}
