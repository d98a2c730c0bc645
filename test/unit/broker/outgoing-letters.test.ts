import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { Route } from '../../../src/broker/commands.ts'
import type { ConfirmSink, Queue, ShardCommands } from '../../../src/broker/ports.ts'
import { lettersUnderWayMax } from '../../../src/broker/shard/outgoing-letters.ts'
import { eventually } from '../../support/eventually.ts'
import { definitionOf, ShardHarness } from '../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)
const texts = (count: number): string[] => numbers(count).map((number) => `m${number}`)

/** Two shards: what dies in `source` of the first goes to `target` of the second. */
class Pair {
  readonly near: ShardHarness
  readonly far: ShardHarness
  /** What becomes of answers. */
  answers: 'heard' | 'held' | 'lost' = 'heard'
  sent = 0
  /** Dead letters go to `also` of the first shard too. */
  isAlsoNear = false
  readonly held: (() => void)[] = []
  /** Called before each letter is taken. */
  onLetter = (): void => {}

  constructor(source: Parameters<typeof definitionOf>[3] = {}, target: Parameters<typeof definitionOf>[3] = {}) {
    const deadLetters = { deadLetterExchange: '', deadLetterRoutingKey: 'target' }
    const sourceDefinition = definitionOf(1, 'source', true, { ...deadLetters, ...source })
    this.near = new ShardHarness([sourceDefinition, definitionOf(4, 'also')])
    this.far = new ShardHarness([definitionOf(2, 'target', true, target), definitionOf(3, 'filler')])
    const publish: ShardCommands['publish'] = (message, _queues, _count, confirms, sequence) => {
      this.onLetter()
      this.sent++
      this.far.shard.publish(message, [this.far.queue('target')], 1, confirms && this.#answer(confirms), sequence)
    }
    const handle: Queue = { definition: definitionOf(2, 'target'), shard: { publish } as ShardCommands }
    this.near.topology.reroute = (_vhost, _exchange, _keys, _message, route: Route) => {
      route.queues[0] = handle
      route.queues[1] = this.near.queue('also')
      route.count = this.isAlsoNear ? 2 : 1
      return true
    }
  }

  #answer({ confirm, refuse }: ConfirmSink): ConfirmSink {
    const pass = (answer: (sequence: number) => void) => (sequence: number) => {
      if (this.answers === 'heard') answer(sequence)
      else if (this.answers === 'held') this.held.push(() => answer(sequence))
    }
    return { confirm: pass(confirm), refuse: pass(refuse) }
  }

  async start(): Promise<this> {
    await Promise.all([this.near.start(), this.far.start()])
    return this
  }

  /** Publishes to the source and rejects all that it gives. */
  async reject(count: number, from = 0): Promise<void> {
    for (const number of numbers(count)) this.near.publish(`m${from + number}`, ['source'])
    await this.rejectAgain()
  }

  async rejectAgain(): Promise<void> {
    const { consumer, ...sink } = this.near.consume('source', { limit: 0 })
    await this.near.settle()
    const { queue } = consumer
    for (const one of sink.unsettled) queue.shard.settle(queue, consumer, one.sequence, one.sequence, 'reject')
    this.near.shard.unregister(consumer, { done: () => {}, failed: () => {} })
    await this.settle()
  }

  async settle(): Promise<void> {
    await this.near.settle()
    await this.far.settle()
    await this.near.settle()
  }

  async received(shard = this.far, name = 'target'): Promise<string[]> {
    const consumer = shard.consume(name, { limit: 0 })
    await shard.settle()
    return consumer.received.map(({ text }) => text)
  }
}

describe('dead letters to a queue of another shard', () => {
  it('go many at a time, and no more than may be under way', async () => {
    const pair = await new Pair().start()
    pair.answers = 'held'
    await pair.reject(1_000)
    assert.equal(pair.sent, lettersUnderWayMax)
    assert.equal(pair.near.queue('source').entries.live, 1_000)
    while (pair.near.queue('source').entries.live > 0) {
      for (const answer of pair.held.splice(0)) answer()
      await pair.settle()
    }
    assert.equal(pair.sent, 1_000)
    assert.deepEqual(await pair.received(), texts(1_000))
  })

  it('are stored once when answers are lost, and both shards begin again', async () => {
    const pair = await new Pair().start()
    pair.answers = 'lost'
    await pair.reject(100)
    assert.equal(pair.sent, 100)
    await pair.near.restart()
    // So much that the records of the letters stand in a segment whose digest is read instead.
    for (let index = 0; index < 600; index++) pair.far.publish('x'.repeat(4_000), ['filler'])
    await pair.far.settle()
    assert.ok(pair.far.log.segments.length > 2)
    await pair.far.restart()
    pair.answers = 'heard'
    await pair.reject(20, 100)
    assert.equal(pair.sent, 220)
    assert.equal(pair.near.queue('source').entries.live, 0)
    assert.deepEqual(await pair.received(), texts(120))
  })

  it('go as many at a time when a queue of this shard is to have them too, which has them last', async () => {
    const pair = await new Pair().start()
    pair.isAlsoNear = true
    pair.answers = 'held'
    await pair.reject(1_000)
    assert.equal(pair.sent, lettersUnderWayMax)
    assert.equal(pair.near.queue('also').entries.live, 0)
    while (pair.near.queue('source').entries.live > 0) {
      for (const answer of pair.held.splice(0)) answer()
      await pair.settle()
    }
    assert.equal(pair.sent, 1_000)
    assert.deepEqual(await pair.received(), texts(1_000))
    assert.deepEqual(await pair.received(pair.near, 'also'), texts(1_000))
  })

  it('are stored once in both shards when answers are lost, and when they come at once', async () => {
    const pair = await new Pair().start()
    pair.isAlsoNear = true
    pair.answers = 'lost'
    await pair.reject(100)
    assert.equal(pair.near.queue('also').entries.live, 0)
    await pair.near.restart()
    await pair.far.restart()
    pair.answers = 'heard'
    await pair.reject(20, 100)
    assert.equal(pair.near.queue('source').entries.live, 0)
    assert.deepEqual(await pair.received(), texts(120))
    assert.deepEqual(await pair.received(pair.near, 'also'), texts(120))
  })

  it('wait for a target that is full, and come once each, in order', async () => {
    const pair = await new Pair({}, { maxLength: 5, overflow: 'reject-publish' }).start()
    await pair.reject(12)
    assert.equal(pair.near.queue('source').entries.live, 7)
    const consumer = pair.far.consume('target', { limit: 0, isNoAck: true })
    await eventually('all have gone', () => pair.near.queue('source').entries.live === 0, 20_000)
    await pair.settle()
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      texts(12),
    )
  })

  it('are sent only when their source is stored, whose sequence no other can have then', async () => {
    const pair = await new Pair({ maxLength: 1 }).start()
    const stored: boolean[] = []
    let published = 0
    pair.onLetter = () => stored.push(pair.near.log.committed >= published)
    for (const number of numbers(20)) {
      pair.near.publish(`m${number}`, ['source'])
      if (number === 1) published = pair.near.log.appended
    }
    await pair.settle()
    assert.deepEqual(await pair.received(), texts(19))
    assert.equal(stored.length, 19)
    assert.ok(stored.every(Boolean))
  })

  it('are stored for each death, though the messages are the same', async () => {
    const pair = await new Pair().start()
    await pair.reject(3)
    await pair.reject(3)
    assert.deepEqual(await pair.received(), [...texts(3), ...texts(3)])
  })
})
