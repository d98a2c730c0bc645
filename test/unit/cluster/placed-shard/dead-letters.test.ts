import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { Route } from '../../../../src/broker/commands.ts'
import { PlacedCluster } from '../../../support/cluster/placed-harness.ts'
import { definitionOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

describe('dead letters of a shard that is served on one of several nodes', () => {
  it('go to queues of the same shard in the record that ends their source', async () => {
    const source = definitionOf(1, 'source', true, { deadLetterExchange: '', deadLetterRoutingKey: 'target' })
    const cluster = await PlacedCluster.start(['a', 'b'], [source, definitionOf(2, 'target')])
    const a = cluster.node('a')
    a.topology.reroute = (_vhost, _exchange, _keys, _message, route: Route) => {
      route.queues[0] = a.queue('target')
      route.count = 1
      return true
    }
    await cluster.own('a')
    const consumer = cluster.node('b').consume('source')
    const target = cluster.node('b').consume('target')
    for (const text of ['one', 'two', 'three']) cluster.node('b').publish(text, 'source')
    await cluster.until('all come', () => consumer.received.length === 3)
    const before = cluster.log.appended
    consumer.settle('reject')
    await cluster.until('all are dead letters', () => target.received.length === 3)
    assert.deepEqual(target.texts, ['one', 'two', 'three'])
    await cluster.settle()
    assert.ok(cluster.log.appended > before)
    assert.deepEqual(await a.status('source'), { ready: 0, unacked: 0, consumers: 1 })
    assert.deepEqual(await a.status('target'), { ready: 0, unacked: 3, consumers: 1 })
  })
})
