/**
 * What clients see does not depend on the node they are connected to: the same sentences and libraries as for a broker on
 * its own, against three nodes, each connection to the next of them. So the two ends of nearly everything are on different
 * nodes, and most queues on a third.
 */
import { after, describe } from 'node:test'
import { nodeClients } from '../conformance/clients/behaviours.ts'
import { deduplication } from '../conformance/own/deduplication.ts'
import { delays } from '../conformance/own/delay.ts'
import { groups } from '../conformance/own/groups.ts'
import { leases } from '../conformance/own/lease.ts'
import { retries } from '../conformance/own/retry.ts'
import { extensions } from '../conformance/protocol/extensions.ts'
import { protocol } from '../conformance/protocol/protocol.ts'
import { Sentences } from '../conformance/protocol/sentences.ts'
import { ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const cluster = await ClusterProcesses.start({ env: { WARREN_CLUSTER_SHARDS: '6' } })
let connections = 0
const spread = await TcpProxy.start({
  host: '127.0.0.1',
  get port() {
    return cluster.node(connections++ % cluster.nodes.length).broker.port
  },
})
after(async () => {
  await spread.stop()
  await cluster.stop()
})

const url = `amqp://guest:guest@127.0.0.1:${spread.port}/%2f`
const broker = { host: '127.0.0.1', port: spread.port, user: 'guest', password: 'guest', isExternal: false }

// Most of what takes time is waiting: parts run side by side.
void describe('with clients spread over three nodes', { concurrency: 2 }, () => {
  protocol(broker, { timed: 'left-out' })
  extensions(broker)
  void describe('own features', { concurrency: 8 }, () => {
    const sentences = new Sentences(broker)
    for (const prove of [delays, retries, groups, deduplication, leases]) prove(sentences)
  })
})
void describe('with libraries spread over three nodes', () => nodeClients(url))

// What these files prove of any broker they prove of this one: streams, and clients of other languages.
process.env['WARREN_TEST_URL'] = url
process.env['WARREN_TEST_PRODUCT'] = 'warren'
await import('../conformance/streams.test.ts')
await import('../conformance/other-clients.test.ts')
