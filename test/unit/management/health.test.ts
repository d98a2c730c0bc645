/** Health checks: 200 where all is well, 503 and why where it is not. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ClusterFacts, NatsServerReport, OtherNode } from '../../../src/management/cluster-facts.ts'
import { ApiHarness } from './api-harness.ts'

async function check(api: ApiHarness, name: string): Promise<[status: number, json: Record<string, unknown>]> {
  const { status, json } = await api.send('GET', `/api/health/checks/${name}`)
  return [status, json as Record<string, unknown>]
}

describe('A node that works', () => {
  it('is in service and ready for clients', async () => {
    const api = await ApiHarness.open()
    for (const name of ['is-in-service', 'ready-to-serve-clients', 'below-node-connection-limit', 'ready']) {
      assert.deepEqual(await check(api, name), [200, { status: 'ok' }], name)
    }
  })

  it('is found by each name of a protocol, and by several at a time', async () => {
    const http = { protocol: 'http', host: '*', port: 15_672 }
    const api = await ApiHarness.open({ listeners: () => [{ protocol: 'amqp', host: '*', port: 5672 }, http] })
    for (const name of ['amqp', 'AMQP', 'amqp091', 'amqp0-9-1', 'amqp0.9.1', 'amqp0_9_1']) {
      assert.deepEqual(await check(api, `protocol-listener/${name}`), [200, { status: 'ok', protocol: 'amqp' }])
    }
    const protocols = ['amqp', 'http']
    assert.deepEqual(await check(api, 'protocol-listener/amqp091,ui'), [200, { status: 'ok', protocols }])
    const [status, json] = await check(api, 'protocol-listener/amqp,mqtt')
    assert.deepEqual([status, json['missing'], json['protocols']], [503, ['mqtt'], protocols])
    assert.equal((await check(api, 'protocol-listener/amqps'))[0], 503)
  })
})

describe('A node', () => {
  it('that cannot reach a majority is not in service', async () => {
    const api = await ApiHarness.open()
    api.broker.broker.setAlarm('cluster', true)
    for (const name of ['is-in-service', 'ready-to-serve-clients', 'ready']) {
      assert.equal((await check(api, name))[0], 503, name)
    }
  })

  it('with as many connections as it may have, or no port for AMQP, is not ready for clients', async () => {
    const full = await ApiHarness.open({ connectionsMax: 0 })
    for (const name of ['below-node-connection-limit', 'ready-to-serve-clients']) {
      const [status, { reason }] = await check(full, name)
      assert.deepEqual([status, reason], [503, 'node connection limit is reached'], name)
    }
    const deaf = await ApiHarness.open({ listeners: () => [] })
    assert.equal((await check(deaf, 'ready-to-serve-clients'))[0], 503)
    assert.equal((await check(deaf, 'is-in-service'))[0], 200)
  })
})

describe('Whether a node may be stopped', () => {
  const other: OtherNode = { name: 'n2', isLive: true }
  const status = { clusterId: 'c1', node: 'n1', isCurrent: true, nodes: [], shards: [], missingLinks: [] }

  async function mayStop(servers: readonly NatsServerReport[], otherNodes: readonly OtherNode[]): Promise<boolean> {
    const nats = { servers, problems: [], progressAgeMs: 0, progressAgeMsMax: 1 }
    const facts: Partial<ClusterFacts> = {
      node: 'n1',
      otherNodes,
      report: () => ({ name: 'warren', status, positions: [], nats }),
    }
    const api = await ApiHarness.open({}, facts as ClusterFacts)
    const [code] = await check(api, 'node-is-quorum-critical')
    return code === 200
  }

  function servers(...versions: readonly (string | null)[]): NatsServerReport[] {
    return versions.map((version, index) => ({ name: `n${index + 1}`, version }))
  }

  it('is no question for one on its own', async () => {
    const api = await ApiHarness.open()
    assert.deepEqual((await check(api, 'node-is-quorum-critical'))[0], 200)
  })

  it('is yes while the NATS servers of the others are a majority', async () => {
    assert.equal(await mayStop(servers('2.15', '2.15', '2.15'), [other]), true)
    assert.equal(await mayStop(servers('2.15', '2.15', null), [other]), false)
    assert.equal(await mayStop(servers('2.15', '2.15'), [other]), false)
    assert.equal(await mayStop(servers('2.15', '2.15', '2.15', '2.15', null), [other]), true)
  })

  it('is yes where the servers are not its own, and no where no other node runs', async () => {
    const apart = [{ name: 'nats-a', version: '2.15' }]
    assert.equal(await mayStop(apart, [other]), true)
    assert.equal(await mayStop(apart, [{ name: 'n2', isLive: false }]), false)
    assert.equal(await mayStop(servers('2.15', '2.15', '2.15'), []), false)
  })
})
