import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { Route } from '../../../../src/broker/commands.ts'
import { MessageTraits } from '../../../../src/broker/message-traits.ts'
import { PlacedCluster } from '../../../support/cluster/placed-harness.ts'
import { definitionOf, messageOf } from '../../../support/shard-harness.ts'

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

  it('are no duplicates in queues of other shards that know their id', async () => {
    const deduplication = { windowMs: 60_000, idsMax: 100 }
    const cluster = await PlacedCluster.start(['a', 'b'], [definitionOf(1, 'target', true, { deduplication })])
    await cluster.own('a')
    for (const node of cluster.nodes.values()) {
      const consumer = node.consume('target')
      const send = (text: string, isDeadLetter: boolean): void => {
        const message = messageOf(text, true, { messageId: node.identity.name })
        message.traits = Object.assign(new MessageTraits(), { isDeadLetter })
        node.shard.publish(message, [node.queue('target')], 1, null, 0)
      }
      for (const text of ['first', 'again']) send(text, false)
      send('letter', true)
      await cluster.until('both came', () => consumer.received.length >= 2)
      await cluster.settle()
      assert.deepEqual(consumer.texts, ['first', 'letter'], `from ${node.identity.name}`)
      await consumer.leave()
    }
  })
})
