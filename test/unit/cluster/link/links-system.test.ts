import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { SystemClock } from '../../../../src/base/clock.ts'
import type { Network } from '../../../../src/base/network.ts'
import { SystemNetwork } from '../../../../src/base/system-network.ts'
import { TlsNetwork, type TlsOptions } from '../../../../src/base/tls-network.ts'
import type { LinkLimits } from '../../../../src/cluster/link/link-limits.ts'
import { services } from '../../../../src/cluster/peers.ts'
import { introduce, LinkedNode } from '../../../support/cluster/linked-nodes.ts'
import { eventually, rejection } from '../../../support/eventually.ts'
import { hasCommands, leftOut, runProgram } from '../../../support/run-program.ts'
import { TcpProxy } from '../../../support/tcp-proxy.ts'

const clock = new SystemClock()
const nodes: LinkedNode[] = []

afterEach(async () => {
  await Promise.all(nodes.map((node) => node.links.close()))
  for (const { log } of nodes.splice(0)) assert.deepEqual(log.mistakes, [])
})

async function start(
  name: string,
  incarnation: number,
  network: Network,
  limits?: Partial<LinkLimits>,
): Promise<LinkedNode> {
  const node = await new LinkedNode(name, incarnation, {
    network,
    clock,
    ...(limits === undefined ? {} : { limits }),
  }).start()
  nodes.push(node)
  return node
}

function areLinked(a: LinkedNode, b: LinkedNode): boolean {
  return a.links.find(b.members.self.name) !== null && b.links.find(a.members.self.name) !== null
}

function transports(networks: () => Network): void {
  it('carries much in both directions, whole, in order, with backpressure', async () => {
    const [a, b] = [await start('a', 1, networks()), await start('b', 2, networks())]
    introduce(a, b)
    await eventually('the two are linked', () => areLinked(a, b))

    const count = 4_000
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      let next = 0
      from.shards.drained = () => more()
      const more = (): void => {
        const peer = from.peer(to.members.self.name)
        for (; next < count && !peer.isCongested; next++) {
          const bytes = Buffer.alloc(4 + ((next * 7_919) % 30_000), next)
          bytes.writeUInt32BE(next)
          peer.send(services.shards, bytes, 0, bytes.length)
        }
      }
      more()
      assert.ok(next < count, 'the sender had to wait')
    }
    await eventually('all has come', () => [a, b].every((node) => node.shards.messages.length === count), 30_000)

    for (const node of [a, b]) {
      for (const [index, bytes] of node.shards.messages.entries()) {
        assert.equal(bytes.length, 4 + ((index * 7_919) % 30_000))
        assert.equal(Buffer.from(bytes).readUInt32BE(), index)
        assert.ok(bytes.subarray(4).every((byte) => byte === (index & 255)))
      }
    }
  })

  it('tells both ends of a link that is closed, and proves the process gone', async () => {
    const [a, b] = [await start('a', 1, networks()), await start('b', 2, networks())]
    introduce(a, b)
    await eventually('the two are linked', () => areLinked(a, b))
    // The larger name knows the address only when it has probed it.
    await eventually('the address is known', () => b.links.reach('a')?.isVerified === true)

    await a.links.close()

    await eventually('the proof', () => b.members.proofs.length > 0)
    assert.deepEqual(b.members.proofs, ['a#1'])
    assert.deepEqual(b.shards.events, ['up a#1', 'down a#1'])
  })
}

describe('links over TCP', () => {
  transports(() => new SystemNetwork())

  it('are found to be half-open, and made again', async () => {
    const quick = { heartbeatMs: 100, silenceMsMax: 500 }
    const a = await start('a', 1, new SystemNetwork(), quick)
    const b = await start('b', 2, new SystemNetwork(), quick)
    const proxy = await TcpProxy.start({ host: '127.0.0.1', port: b.port })
    try {
      for (const node of [a, b]) node.members.come(a.member)
      b.members.come(b.member)
      a.members.come({ ...b.member, port: proxy.port })
      await eventually('the two are linked', () => areLinked(a, b))

      proxy.freeze()
      await eventually('both find out', () => !areLinked(a, b) && !areLinked(b, a))
      await eventually('both are told', () => a.shards.events.length === 2 && b.shards.events.length === 2)
      proxy.cut()
      proxy.thaw()

      await eventually('the two are linked again', () => areLinked(a, b))
      assert.deepEqual([...a.members.proofs, ...b.members.proofs], [])
    } finally {
      await proxy.stop()
    }
  })

  it('take a host name for refusing when all of its addresses do, and not before', async () => {
    // `localhost` may stand for ::1 and 127.0.0.1; the node listens on the latter only.
    const a = await start('a', 1, new SystemNetwork())
    const b = await start('b', 2, new SystemNetwork())
    introduce(a, b)
    a.members.come({ ...b.member, host: 'localhost' })
    await eventually('the two are linked', () => areLinked(a, b))
    for (const link of [...a.links.all]) link.cut('a test says so')
    await eventually('the two are linked again', () => areLinked(a, b))
    assert.deepEqual(a.members.proofs, [])

    await b.links.close()
    await eventually('the proof', () => a.members.proofs.length > 0)
  })

  it('give a connection up that is not made in time', async () => {
    const b = await start('b', 2, new SystemNetwork())
    const network = new SystemNetwork()
    for (const isLate of [false, true]) {
      const abort = new AbortController()
      if (!isLate) abort.abort()
      const connecting = rejection(network.connect('127.0.0.1', b.port, abort.signal))
      if (isLate) abort.abort()
      assert.match((await connecting).message, /given up/)
    }
    const abort = new AbortController()
    const socket = await network.connect('127.0.0.1', b.port, abort.signal)
    abort.abort()
    socket.destroy()
  })

  it('say which port is in use', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => holder.once('listening', resolve))
    const address = holder.address()
    assert.ok(address !== null && typeof address === 'object')
    const node = new LinkedNode('a', 1, { network: new SystemNetwork(), clock, port: address.port })
    assert.match((await rejection(node.start())).message, /EADDRINUSE/)
    holder.close()
  })
})

if (hasCommands('openssl')) {
  describe('links over TLS', () => {
    let folder = ''
    let ours: TlsOptions
    let foreign: TlsOptions
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'warren-link-tls-'))
      ours = await certificate(folder, 'ours', 'IP:127.0.0.1,DNS:localhost')
      foreign = await certificate(folder, 'foreign', 'IP:127.0.0.1,DNS:localhost')
    })
    after(() => rm(folder, { recursive: true }))

    transports(() => new TlsNetwork(ours))

    it('refuse who shows no certificate of the authority, before a byte of ours is read', async () => {
      const a = await start('a', 1, new TlsNetwork(ours))
      const stranger = await start('0', 3, new TlsNetwork({ ...foreign, ca: ours.ca }))
      const plain = await start('1', 4, new SystemNetwork())
      introduce(a, stranger, plain)

      await eventually('the stranger is refused', () => stranger.log.lines.length > 0)
      await eventually('the plain one is refused', () => plain.log.lines.length > 0)
      assert.equal([...a.links.all].length, 0)
      assert.equal(a.log.count(/does not know|no handshake/), 0)
    })

    it('refuse a node whose certificate is not for its address', async () => {
      const elsewhere = await certificate(folder, 'ours', 'IP:192.0.2.1', 'elsewhere')
      const a = await start('a', 1, new TlsNetwork(ours))
      const b = await start('b', 2, new TlsNetwork(elsewhere))
      introduce(a, b)
      await eventually('it is said', () => a.log.count(/does not match certificate's altnames/) > 0)
      assert.ok(!areLinked(a, b))
    })

    it('survive bytes that are no TLS, and more of them than may wait', async () => {
      const [a, b] = [await start('a', 1, new TlsNetwork(ours)), await start('b', 2, new TlsNetwork(ours))]
      introduce(a, b)
      await eventually('the two are linked', () => areLinked(a, b))
      const sockets = Array.from({ length: 80 }, (_, index) => {
        const socket = net.connect(b.port, '127.0.0.1')
        socket.on('error', () => {})
        if (index % 2 === 0) socket.write('GET / HTTP/1.1\r\n\r\n')
        return socket
      })
      await eventually('those who said something are cut off', () => {
        return sockets.every((socket, index) => index % 2 === 1 || socket.closed)
      })
      for (const socket of sockets) socket.destroy()
      for (const link of [...a.links.all]) link.cut('a test says so')
      await eventually('the two are linked again', () => areLinked(a, b))
    })

    it('need certificate and key that belong together', () => {
      assert.throws(() => new TlsNetwork({ ...ours, key: foreign.key }), /key values mismatch/)
      assert.throws(() => new TlsNetwork({ ...ours, cert: 'nonsense' }))
    })
  })
} else leftOut('links over TLS', 'openssl')

/** A node's certificate by an authority of this name, which is made when there is none yet. */
async function certificate(folder: string, authority: string, names: string, node = authority): Promise<TlsOptions> {
  const openssl = async (...args: string[]): Promise<void> => {
    const { status, stderr } = await runProgram('openssl', args, { cwd: folder })
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`)
  }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const [caKey, ca] = [`${authority}-ca.key`, `${authority}-ca.pem`]
  if (node === authority)
    await openssl('req', '-x509', ...key, '-keyout', caKey, '-out', ca, '-subj', `/CN=${authority}`)
  const signed = ['-CA', ca, '-CAkey', caKey, '-addext', `subjectAltName=${names}`]
  await openssl(
    'req',
    '-x509',
    ...key,
    ...signed,
    '-keyout',
    `${node}.key`,
    '-out',
    `${node}.pem`,
    '-subj',
    `/CN=${node}`,
  )
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
  return { ca: await read(ca), cert: await read(`${node}.pem`), key: await read(`${node}.key`) }
}
