/**
 * What the nodes agree on, a bucket of NATS, is removed or put back from an old copy by hand while clients are at work. The
 * logs are there: nothing confirmed may be lost, nobody may get again as new what it had, and service must come back by itself.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { Address } from '../support/amqp/raw-client.ts'
import { isWhole, reportOf } from '../support/cluster/cluster-api.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { judgeOwnership, type ProcessEnd } from '../support/cluster/ownership-judge.ts'
import { type Traffic, trafficBetween } from '../support/cluster/traffic.ts'
import { eventually } from '../support/eventually.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'

const sessionMs = 5_000
/** Half a session until nobody serves, a session of waiting, perhaps one for an old session of the own name, and the start. */
const backMsMax = 90_000
const bucket = 'warren-warren'

if ((await natsProgram()) === null) leftOut('what nodes agree on, lost', 'nats-server')
else
  void describe('a cluster of three nodes', () => {
    let cluster: ClusterProcesses
    let traffic: Traffic[] = []
    let rounds = 0
    const killed: ProcessEnd[] = []

    before(async () => {
      const env = { WARREN_CLUSTER_SHARDS: '4', WARREN_CLUSTER_SESSION: `${sessionMs}ms` }
      cluster = await ClusterProcesses.start({ env, hasHttp: true })
    })
    after(async () => cluster.kill())

    async function begin(): Promise<void> {
      await untilWhole()
      traffic = trafficBetween(cluster.nodes.map(addressOf), `lost-${++rounds}`)
      await Promise.all(traffic.map((one) => one.start()))
    }

    async function untilWhole(): Promise<void> {
      const sees = async (node: ClusterNode): Promise<boolean> => isWhole(await reportOf(node), 3)
      for (const node of cluster.nodes) {
        await eventually(`${node.name} sees all`, () => sees(node).catch(() => false), backMsMax)
      }
    }

    async function incarnations(): Promise<number[]> {
      return (await reportOf(cluster.node(0))).nodes.map(({ incarnation }) => incarnation)
    }

    /** All nodes have begun anew, and go on. */
    async function end(t: TestContext, since: number, before: readonly number[]): Promise<void> {
      const isAnew = async (): Promise<boolean> => Math.min(...(await incarnations())) > Math.max(...before)
      await eventually('all have begun anew', () => isAnew().catch(() => false), backMsMax)
      await untilWhole()
      await Promise.all(traffic.map((one) => one.untilGoingOn(backMsMax)))
      const pauses = traffic.map((one) => one.pausesSince(since).confirms)
      t.diagnostic(`without a confirm for up to ${Math.round(Math.max(...pauses))} ms`)
      await Promise.all(traffic.map((one) => one.end(backMsMax)))
      for (const one of traffic) {
        assert.deepEqual(one.lost, [], 'confirmed and lost')
        assert.deepEqual(one.falseFresh, [], 'came again and did not say so')
      }
      const lines = cluster.nodes.flatMap(({ broker }) => {
        return readFileSync(join(broker.dataDirectory, 'ownership.jsonl'), 'utf8').trim().split('\n')
      })
      assert.deepEqual(judgeOwnership(lines, killed, { areSetBack: true }), [])
    }

    it('comes back by itself when what its nodes agree on was removed', async (t) => {
      await begin()
      const anew = await incarnations()
      const since = performance.now()
      await withNats(cluster.node(0), async (nats) => {
        await (await jetstreamManager(nats)).streams.delete(`KV_${bucket}`)
      })
      await end(t, since, anew)
    })

    it('comes back by itself when what its nodes agree on was put back from an old copy', async (t) => {
      await untilWhole()
      const copy = await withNats(cluster.node(0), keysOf)
      // What the copy does not know: a node that has begun anew, and epochs and incarnations with it.
      const victim = (await reportOf(cluster.node(2))).nodes.find(({ name }) => name === 'n3')
      await cluster.node(2).broker.kill()
      killed.push({ incarnation: victim?.incarnation ?? 0, at: Date.now() })
      cluster.node(2).broker.spawn()
      await cluster.node(2).broker.untilListening(backMsMax)
      await begin()
      const anew = await incarnations()
      const since = performance.now()
      await withNats(cluster.node(0), async (nats) => {
        const { streams } = await jetstreamManager(nats)
        const { config } = await streams.info(`KV_${bucket}`)
        await streams.delete(`KV_${bucket}`)
        await streams.add(config)
        const kv = await new Kvm(jetstream(nats)).open(bucket)
        for (const [key, value] of copy) await kv.put(key, value)
      })
      await end(t, since, anew)
    })
  })

async function keysOf(nats: NatsConnection): Promise<Map<string, string>> {
  const kv = await new Kvm(jetstream(nats)).open(bucket)
  const found = new Map<string, string>()
  for await (const key of await kv.keys()) found.set(key, (await kv.get(key))?.string() ?? '')
  return found
}

/** With the login of a node. */
async function withNats<Result>(node: ClusterNode, work: (nats: NatsConnection) => Promise<Result>): Promise<Result> {
  const config = readFileSync(join(node.broker.dataDirectory, 'nats', 'nats-server.conf'), 'utf8')
  const nats = await connect({
    servers: /^listen: "(.*)"$/m.exec(config)?.[1] ?? '',
    user: 'warren',
    pass: /user: warren, password: "(.*?)"/.exec(config)?.[1] ?? '',
  })
  try {
    return await work(nats)
  } finally {
    await nats.close()
  }
}

function addressOf({ broker: { host, port, user, password } }: ClusterNode): Address {
  return { host, port, user, password }
}
