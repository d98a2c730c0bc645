/**
 * Nodes that were given certificates talk to each other by TLS only, links and the routes of their NATS servers alike: who
 * shows none, or one of another authority, is not let in on either.
 */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import * as tls from 'node:tls'
import { RawClient } from '../support/amqp/raw-client.ts'
import { type Issued, TestAuthority } from '../support/certificates.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'

const ofNodes = { subject: '/CN=node', names: 'IP:127.0.0.1' }

if ((await natsProgram()) === null) leftOut('nodes with certificates', 'nats-server')
else describe('nodes with certificates', withCertificates)

function withCertificates(): void {
  let authority: TestAuthority
  let own: Issued
  let foreign: Issued
  let foreigners: TestAuthority
  let cluster: ClusterProcesses

  before(async () => {
    authority = await TestAuthority.make()
    foreigners = await TestAuthority.make('another authority')
    own = await authority.issue(ofNodes)
    foreign = await foreigners.issue(ofNodes)
    cluster = await ClusterProcesses.start({
      env: {
        WARREN_CLUSTER_SHARDS: '3',
        WARREN_CLUSTER_TLS_CA: authority.certPath,
        WARREN_CLUSTER_TLS_CERT: own.certPath,
        WARREN_CLUSTER_TLS_KEY: own.keyPath,
      },
    })
  })
  after(async () => {
    await cluster.stop()
    authority.remove()
    foreigners.remove()
  })

  it('are one broker', async () => {
    const [near, , far] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    const publisher = await RawClient.withChannel(near.broker)
    await publisher.call(1, 'confirm.select')
    for (const name of ['a', 'b', 'c', 'd']) {
      await publisher.call(1, 'queue.declare', { queue: name, durable: true })
      publisher.publish(1, { exchange: '', routingKey: name, body: name, properties: { deliveryMode: 2 } })
      assert.match((await publisher.next(1)).name, /^basic\.ack$/)
    }
    const consumer = await RawClient.withChannel(far.broker)
    for (const name of ['a', 'b', 'c', 'd']) {
      const { name: answer } = await consumer.call(1, 'basic.get', { queue: name, noAck: true })
      assert.equal(answer, 'basic.get-ok')
    }
    publisher.destroy()
    consumer.destroy()
  })

  for (const [what, portOf] of [
    ['a link', (node: ClusterNode) => node.linkPort],
    ['a route of their NATS servers', (node: ClusterNode) => node.routePort],
  ] as const) {
    it(`let nobody in on ${what} who shows no certificate of theirs`, async () => {
      for (const node of cluster.nodes) {
        const port = portOf(node)
        assert.equal(await isLetIn(await opened(port), null), false, 'no certificate')
        assert.equal(await isLetIn(await opened(port), foreign), false, 'one of another authority')
        assert.equal(await isLetIn(await opened(port), own), true)
        assert.equal(await isAnsweredPlain(port), false, 'no TLS')
      }
    })
  }

  /** After the handshake: with TLS 1.3 a refusal comes when one thought to be done. */
  async function isLetIn(socket: Socket, shown: Issued | null): Promise<boolean> {
    const certificate = shown === null ? {} : { cert: shown.cert, key: shown.key }
    const secured = tls.connect({ socket, ca: authority.cert, servername: '', checkServerIdentity, ...certificate })
    const refused = new Promise<boolean>((resolve) => {
      secured.once('error', () => resolve(false)).once('close', () => resolve(false))
    })
    const silent = new Promise<boolean>((resolve) => {
      secured.once('secureConnect', () => setTimeout(() => resolve(true), refusalMsMax))
    })
    secured.resume()
    const result = await Promise.race([refused, silent])
    secured.destroy()
    return result
  }
}

/** Within this a refusal comes, in milliseconds. Whoever is let in and says nothing is left alone for seconds. */
const refusalMsMax = 500

function checkServerIdentity(_name: string, certificate: tls.PeerCertificate): Error | undefined {
  return tls.checkServerIdentity('127.0.0.1', certificate)
}

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1', () => resolve(socket))
    socket.once('error', reject)
  })
}

/** Whether anything but the end comes back to what NATS says on a route that is not encrypted. */
async function isAnsweredPlain(port: number): Promise<boolean> {
  const socket = await opened(port)
  const heard: Buffer[] = []
  socket.on('error', () => undefined).on('data', (bytes) => heard.push(bytes))
  socket.write('CONNECT {"verbose":false}\r\nPING\r\n')
  await new Promise((resolve) => socket.once('close', resolve))
  // A TLS alert is no answer.
  return /INFO|PONG/.test(Buffer.concat(heard).toString())
}
