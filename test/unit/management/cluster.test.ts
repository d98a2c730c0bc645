/** What the HTTP API says of a cluster, and what it asks of it; a single node says that it is one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { LoginLedger } from '../../../src/broker/access/login-ledger.ts'
import type { ClusterFacts, ClusterReport } from '../../../src/management/cluster-facts.ts'
import { ApiHarness } from './api-harness.ts'

const path = '/api/warren/cluster'

const report: ClusterReport = {
  name: 'warren',
  status: {
    clusterId: 'c1',
    node: 'n1',
    isCurrent: true,
    nodes: [
      {
        name: 'n1',
        incarnation: 4,
        host: '10.0.0.1',
        port: 25_672,
        version: '0.1.0',
        isDraining: false,
        isReady: true,
        isSteady: false,
        startedAt: 1_000,
        owns: ['shard-0'],
      },
    ],
    shards: [
      {
        shard: 'shard-0',
        owner: 'n1',
        incarnation: 4,
        epoch: 7,
        since: 2_000,
        placedOwner: 'n1',
        standby: null,
        avoidedNodes: [],
        local: { state: 'open', isFollowing: false, failures: 0 },
      },
    ],
    missingLinks: [{ from: 'n1', to: 'n2', host: '10.0.0.2', port: 25_672 }],
  },
  positions: [
    { shard: 'shard-0', node: 'n1', position: 12 },
    { shard: 'shard-1', node: 'n1', position: 9 },
  ],
  nats: {
    servers: [{ name: 'n1', version: '2.15.1' }],
    problems: [],
    progressAgeMs: 300.4,
    progressAgeMsMax: 10_000,
  },
}

class Facts implements ClusterFacts {
  readonly name = 'warren'
  readonly node = 'n1'
  readonly otherNodes = []
  readonly loginLedger = new LoginLedger({ clock: new ManualClock(), random: new SeededRandom(1), secret: 'secret' })
  readonly remoteAlarms = new Map([['disk', ['n3']]])
  readonly asked: unknown[] = []
  refusal: string | null = null
  current = report

  report(): ClusterReport {
    return this.current
  }

  ownerOf(): string {
    return 'n1'
  }

  ask(): Promise<Uint8Array> {
    return Promise.reject(new Error('there is nobody else'))
  }

  answers(): void {}

  setDraining(isDraining: boolean): Promise<void> {
    this.asked.push(isDraining)
    return this.#answer()
  }

  removeNode(name: string): Promise<void> {
    this.asked.push(name)
    return this.#answer()
  }

  #answer(): Promise<void> {
    return this.refusal === null ? Promise.resolve() : Promise.reject(new Error(this.refusal))
  }
}

describe('the HTTP API of a single node', () => {
  it('says that it is one, and has nobody to give shards to', async () => {
    const api = await ApiHarness.open()
    assert.deepEqual((await api.send('GET', path)).json, {
      is_cluster: false,
      node: 'warren@test',
      cluster_name: 'warren@test',
    })
    const { status, json } = await api.send('PUT', `${path}/drain`)
    assert.equal(status, 400)
    assert.match(JSON.stringify(json), /is a single node and belongs to no cluster/)
  })
})

describe('the HTTP API of a node of a cluster', () => {
  it('reports nodes, shards with owners and log positions, and NATS', async () => {
    const api = await ApiHarness.open({}, new Facts())
    const { status, json } = await api.send('GET', path, { user: 'monitoring' })
    assert.equal(status, 200)
    const { nodes, shards, nats, missing_links: missingLinks, ...rest } = json as Record<string, unknown>
    const named = { name: 'warren', cluster_name: 'warren' }
    assert.deepEqual(rest, { is_cluster: true, ...named, cluster_id: 'c1', node: 'n1', is_current: true })
    assert.deepEqual(missingLinks, [{ from: 'n1', to: 'n2', host: '10.0.0.2', port: 25_672 }])
    assert.match(JSON.stringify(nodes), /"state":"running","is_steady":false,"started_at":1000,"owns":\["shard-0"\]/)
    assert.match(JSON.stringify(shards), /"owner":"n1","incarnation":4,"epoch":7.*"positions":\{"n1":12\}/)
    assert.deepEqual(nats, {
      is_healthy: true,
      progress_age_ms: 300,
      progress_age_ms_max: 10_000,
      problems: [],
      servers: [{ name: 'n1', version: '2.15.1' }],
    })
  })

  it('names the node of each alarm, whichever is asked', async () => {
    const api = await ApiHarness.open({}, new Facts())
    api.broker.broker.setAlarm('memory', true)
    const { json } = await api.send('GET', '/api/health/checks/alarms')
    assert.deepEqual((json as { alarms: unknown }).alarms, [
      { node: 'warren@test', resource: 'memory' },
      { node: 'warren@n3', resource: 'disk' },
    ])
    const local = (await api.send('GET', '/api/health/checks/local-alarms')).json as { alarms: unknown[] }
    assert.deepEqual(local.alarms, [{ node: 'warren@test', resource: 'memory' }])
  })

  it('calls NATS ill that has stored nothing for too long, whatever it says of itself', async () => {
    const facts = new Facts()
    facts.current = { ...report, nats: { ...report.nats, progressAgeMs: 10_001 } }
    const api = await ApiHarness.open({}, facts)
    assert.match((await api.send('GET', path)).text, /"is_healthy":false/)
  })

  it('drains, takes it back, and removes a node', async () => {
    const facts = new Facts()
    const api = await ApiHarness.open({}, facts)
    assert.equal((await api.send('PUT', `${path}/drain`)).status, 204)
    assert.equal((await api.send('PUT', `${path}/drain`, { body: { draining: false } })).status, 204)
    assert.equal((await api.send('DELETE', `${path}/nodes/n%204`)).status, 204)
    assert.deepEqual(facts.asked, [true, false, 'n 4'])
    facts.refusal = 'n4 still runs; stop it first'
    const { status, text } = await api.send('DELETE', `${path}/nodes/n4`)
    assert.deepEqual([status, text.includes('n4 still runs; stop it first')], [503, true])
  })

  it('lets only those look and change who may', async () => {
    const facts = new Facts()
    const api = await ApiHarness.open({}, facts)
    assert.equal((await api.send('GET', path, { user: 'management' })).status, 401)
    assert.equal((await api.send('PUT', `${path}/drain`, { user: 'monitoring' })).status, 401)
    assert.equal((await api.send('DELETE', `${path}/nodes/n2`, { user: 'policymaker' })).status, 401)
    assert.deepEqual(facts.asked, [])
  })
})
