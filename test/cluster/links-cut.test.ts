/**
 * Links between nodes are cut, and nothing else: NATS and clients go on. Each node has a network of its own, which takes
 * root on Linux; elsewhere this is left out, and says so.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { relinkedMsMax } from '../../src/cluster/membership/link-watch.ts'
import { addressOf, getsThrough } from '../chaos/service-times.ts'
import { declareStage } from '../crash/stage.ts'
import { RawClient } from '../support/amqp/raw-client.ts'
import { isWhole, type ReportedCluster } from '../support/cluster/cluster-api.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { type Direction, linkPort, NodeNetworks } from '../support/cluster/node-networks.ts'
import { eventually } from '../support/eventually.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'

/** Silence on the link, what is waited for then, until all nodes have said so, and the moves; what is measured is reported. */
const giveOverMsMax = (5_000 + 5_000 + 2_000 + 8_000) * 2
const backMsMax = relinkedMsMax + giveOverMsMax
const shards = 6

const networks = (await natsProgram()) === null ? null : await NodeNetworks.open(3, { resets: true }).catch(() => null)
if (networks === null) leftOut('links that are cut', 'nats-server, and root on Linux for network namespaces')
else
  void describe('a cluster of three nodes whose links are cut, while NATS goes on', () => {
    let cluster: ClusterProcesses

    before(async () => {
      const env = { WARREN_CLUSTER_SHARDS: String(shards) }
      cluster = await ClusterProcesses.start({ env, networks, hasHttp: true })
      const client = await RawClient.withChannel(addressOf(cluster.node(0)))
      await declareStage(client)
      await client.close()
      await untilWhole()
    })
    after(async () => cluster.kill())

    async function untilWhole(): Promise<void> {
      for (const node of cluster.nodes) {
        await eventually(`${node.name} sees all`, () => sees(node, (report) => isWhole(report, 3)), backMsMax)
      }
    }

    /** Milliseconds until a message to queues of every shard is confirmed through each of these nodes. */
    async function untilServed(nodes: readonly ClusterNode[], msMax: number): Promise<number> {
      const began = Date.now()
      for (const node of nodes) {
        await eventually(`${node.name} serves`, () => getsThrough(addressOf(node), 2_000), msMax)
      }
      return Date.now() - began
    }

    it('takes the shards of a node that no other reaches, names the pairs, and gives them back', async (t) => {
      const [one, two, three] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
      const mend = networks.cut(between([1, 0], [1, 2]), 'links')
      said(t, 'a node without links', await untilServed([one, three], giveOverMsMax))
      await eventually('n2 owns nothing', () => sees(one, (report) => ownedBy(report, 'n2') === 0), giveOverMsMax)
      const expected = [
        { from: 'n1', to: 'n2', host: networks.peerHost(1), port: linkPort },
        { from: 'n2', to: 'n3', host: networks.peerHost(2), port: linkPort },
      ]
      const isNamed = ({ missing_links: missing }: ReportedCluster): boolean => {
        return JSON.stringify(missing) === JSON.stringify(expected)
      }
      await eventually('the pairs are named', () => sees(one, isNamed), giveOverMsMax)
      // What is declared is answered also while the node is there and reached by nobody.
      const client = await RawClient.withChannel(addressOf(three))
      await client.call(1, 'queue.declare', { queue: 'while-cut', durable: true })
      await client.close()
      assert.equal(await getsThrough(addressOf(two), 1_000), false, 'it lets nobody in')
      mend()
      said(t, 'after healing', await untilServed([two], giveOverMsMax))
      await untilWhole()
    })

    for (const answer of ['unreachable', 'reset'] as const) {
      it(`serves clients of two nodes by the third when a firewall between them rejects (${answer})`, async (t) => {
        const [, , three] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
        const incarnations = await incarnationsAt(three)
        const began = Date.now()
        const mend = networks.cut(between([0, 1]), 'links', answer)
        const isNamed = ({ missing_links: missing }: ReportedCluster): boolean => {
          const pair = { from: 'n1', to: 'n2', host: networks.peerHost(1), port: linkPort }
          return JSON.stringify(missing) === JSON.stringify([pair])
        }
        for (const node of cluster.nodes)
          await eventually(`${node.name} names the pair`, () => sees(node, isNamed), giveOverMsMax)
        t.diagnostic(`the pair is named after ${Date.now() - began} ms`)
        const ownsAll = (report: ReportedCluster): boolean => ownedBy(report, 'n3') === shards + 1
        await eventually('n3 owns all', () => sees(three, ownsAll), giveOverMsMax)
        said(t, 'two nodes without a link', await untilServed(cluster.nodes, giveOverMsMax))
        const mended = Date.now()
        mend()
        await eventually(
          'no pair is named',
          () => sees(three, ({ missing_links: missing }) => missing.length === 0),
          backMsMax,
        )
        t.diagnostic(`the pair is named no more ${Date.now() - mended} ms after healing`)
        await untilWhole()
        assert.deepEqual(await incarnationsAt(three), incarnations, 'no node was taken for gone')
      })
    }
  })

function said(t: TestContext, what: string, ms: number): void {
  t.diagnostic(`${what}: served after ${ms} ms`)
}

function between(...pairs: readonly (readonly [number, number])[]): Direction[] {
  return pairs.flatMap(([one, other]) => [
    { from: one, to: other },
    { from: other, to: one },
  ])
}

function ownedBy({ shards: all }: ReportedCluster, name: string): number {
  return all.filter(({ owner }) => owner === name).length
}

async function incarnationsAt(node: ClusterNode): Promise<number[]> {
  return (await reportOf(node)).nodes.map(({ incarnation }) => incarnation)
}

async function sees(node: ClusterNode, isSo: (report: ReportedCluster) => boolean): Promise<boolean> {
  try {
    return isSo(await reportOf(node))
  } catch {
    return false
  }
}

async function reportOf({ broker: { host, user, password }, httpPort }: ClusterNode): Promise<ReportedCluster> {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const answer = await fetch(`http://${host}:${httpPort}/api/warren/cluster`, { headers: { authorization } })
  return (await answer.json()) as ReportedCluster
}
