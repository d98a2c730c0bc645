import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { tableOf } from '../../../../src/amqp/field-table.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import type { Route } from '../../../../src/broker/commands.ts'
import type { QueueDefinition } from '../../../../src/broker/topology/queue-definition.ts'
import { PlacedCluster, type PlacedNode } from '../../../support/cluster/placed-harness.ts'
import { definitionOf, messageOf } from '../../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const settings = { deadLetterExchange: '', deadLetterRoutingKey: 'target' }
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => 1 + index)
const stream = { ...definitionOf(2, 'target'), arguments: tableOf({ 'x-queue-type': 'stream' }) }

/** Two shards of the same nodes: `source` and `also` are in the first, `target` in the second. */
async function twoShards(
  target: QueueDefinition,
  { seed, isAlsoNear }: { seed: number; isAlsoNear: boolean },
): Promise<[PlacedCluster, PlacedCluster]> {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const sources = [definitionOf(1, 'source', true, settings), definitionOf(4, 'also')]
  const near = await PlacedCluster.start(names, sources, { seed })
  const far = await PlacedCluster.start(names, [target], { seed: seed + 1 })
  for (const name of names) {
    const handle = far.node(name).queue('target')
    near.node(name).topology.reroute = (_vhost, _exchange, _keys, _message, route: Route) => {
      route.queues[0] = handle
      route.queues[1] = near.node(name).queue('also')
      route.count = isAlsoNear ? 2 : 1
      return true
    }
  }
  return [near, far]
}

describe('dead letters from one shard to another are stored once while both change owners', () => {
  for (const [kind, target, isAlsoNear] of [
    ['queue', definitionOf(2, 'target'), false],
    ['stream', stream, false],
    ['queue, and to one of their own shard', definitionOf(2, 'target'), true],
  ] as const) {
    for (const seed of numbers(6)) {
      it(`to a ${kind}, seed ${seed}`, async () => {
        const [near, far] = await twoShards(target, { seed, isAlsoNear })
        const random = new SeededRandom(seed)
        await near.own('a')
        await far.own('b')
        const consumer = near.node('f').consume('source', { limit: 20 })
        const rejectSome = (): void => consumer.settle('reject', random.below(20))
        for (const number of numbers(400)) {
          near.node('e').publish(`m${number}`, 'source')
          if (number % 5 === 0) await near.settle(random.below(4))
          if (random.below(3) === 0) rejectSome()
          // A node dies as a whole, and with it what it forwards to the other shard.
          if (number === 100) for (const cluster of [near, far]) cluster.kill('a')
          if (number === 110) await near.own('c')
          if (number === 200) for (const cluster of [near, far]) cluster.kill('b')
          if (number === 210) await far.own('c')
          if (number === 300) for (const cluster of [near, far]) cluster.kill('c')
          if (number === 305) await far.own('d')
          if (number === 310) await near.own('d')
        }
        await near.until('all is delivered and rejected', () => {
          rejectSome()
          return new Set(consumer.texts).size === 400 && consumer.unsettled.length === 0
        })
        const reader = far
          .node('e')
          .consume('target', { limit: 10_000, arguments: tableOf({ 'x-stream-offset': 'first' }) })
        await far.until('all are there', () => new Set(reader.texts).size === 400, 10_000)
        await near.settle()
        await far.settle()
        const all = numbers(400).map((number) => `m${number}`)
        assert.deepEqual([...reader.texts].sort(), all.sort())
        if (isAlsoNear) {
          const nearReader = near.node('e').consume('also', { limit: 10_000 })
          await near.until('all are there too', () => new Set(nearReader.texts).size === 400, 10_000)
          await near.settle()
          assert.deepEqual([...nearReader.texts].sort(), all)
        }
        assert.deepEqual(await near.node('e').status('source'), { ready: 0, unacked: 0, consumers: 1 })
      })
    }
  }
})

const largeCount = 60
/** A size of its own tells each from the others. */
const sizeOf = (number: number): number => 70_000 + number * 1_000

function publishLarge(node: PlacedNode, number: number): void {
  const queue = node.queue('source')
  const bodyBytes = sizeOf(number)
  const writer = queue.shard.openBody(true, bodyBytes)
  const piece = new Uint8Array(50_000).fill(number)
  for (let at = 0; at < bodyBytes; at += piece.length) writer.append(piece, 0, Math.min(piece.length, bodyBytes - at))
  const message = messageOf('', true)
  message.bodyBytes = bodyBytes
  message.chunks = writer
  queue.shard.publish(message, [queue], 1, null, 0)
}

describe('dead letters with large bodies from one shard to another are stored once, whole', () => {
  for (const seed of numbers(6)) {
    it(`while the owner of their target is killed, and then their own, seed ${seed}`, async () => {
      const [near, far] = await twoShards(definitionOf(2, 'target'), { seed, isAlsoNear: seed % 2 === 0 })
      const random = new SeededRandom(seed)
      await near.own('a')
      await far.own('b')
      const consumer = near.node('f').consume('source', { limit: 20 })
      const rejectSome = (): void => consumer.settle('reject', random.below(20))
      for (const number of numbers(largeCount)) {
        publishLarge(near.node('e'), number)
        await near.settle(random.below(8))
        if (random.below(3) === 0) rejectSome()
        if (number === 20) for (const cluster of [near, far]) cluster.kill('b')
        if (number === 25) await far.own('c')
        if (number === 40) for (const cluster of [near, far]) cluster.kill('a')
        if (number === 42) await near.own('c')
        if (number === 50) for (const cluster of [near, far]) cluster.kill('c')
        if (number === 53) await far.own('d')
        if (number === 55) await near.own('e')
      }
      const all = numbers(largeCount).map((number) => `chunks:${sizeOf(number)}`)
      await near.until('all is delivered and rejected', () => {
        rejectSome()
        return new Set(consumer.texts).size === largeCount && consumer.unsettled.length === 0
      })
      const targets: [PlacedCluster, string][] = [[far, 'target']]
      if (seed % 2 === 0) targets.push([near, 'also'])
      for (const [cluster, name] of targets) {
        const reader = cluster.node('f').consume(name, { limit: 10_000 })
        await cluster.until(`all are in ${name}`, () => new Set(reader.texts).size === largeCount)
        await near.settle()
        await far.settle()
        assert.deepEqual([...reader.texts].sort(), [...all].sort())
      }
      assert.deepEqual(await near.node('f').status('source'), { ready: 0, unacked: 0, consumers: 1 })
    })
  }
})
