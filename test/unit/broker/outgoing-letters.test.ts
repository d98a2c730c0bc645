import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { Route } from '../../../src/broker/commands.ts'
import type { ConfirmSink, Queue, ShardCommands } from '../../../src/broker/ports.ts'
import { lettersUnderWayBytesMax, lettersUnderWayMax } from '../../../src/broker/shard/outgoing-letters.ts'
import { eventually } from '../../support/eventually.ts'
import { definitionOf, messageOf, ShardHarness } from '../../support/shard-harness.ts'

// Timers of the system clock do not keep a process alive.
const alive = setInterval(() => {}, 1_000)
after(() => clearInterval(alive))

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)
const texts = (count: number): string[] => numbers(count).map((number) => `m${number}`)

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve))

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
    const other = definitionOf(5, 'other', true, deadLetters)
    this.near = new ShardHarness([sourceDefinition, definitionOf(4, 'also'), other])
    this.far = new ShardHarness([definitionOf(2, 'target', true, target), definitionOf(3, 'filler')])
    const publish: ShardCommands['publish'] = (message, _queues, _count, confirms, sequence) => {
      this.onLetter()
      this.sent++
      this.far.shard.publish(message, [this.far.queue('target')], 1, confirms && this.#answer(confirms), sequence)
    }
    const openBody: ShardCommands['openBody'] = (...body) => this.far.shard.openBody(...body)
    const handle: Queue = { definition: definitionOf(2, 'target'), shard: { publish, openBody } as ShardCommands }
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

  /** A body of this many bytes; above 64 KiB it goes in chunks. */
  publish(bodyBytes: number): void {
    const source = this.near.queue('source')
    const writer = this.near.shard.openBody(true, bodyBytes)
    const piece = new Uint8Array(65_536)
    for (let at = 0; at < bodyBytes; at += piece.length) writer.append(piece, 0, Math.min(piece.length, bodyBytes - at))
    const message = messageOf('', true)
    message.bodyBytes = bodyBytes
    message.chunks = writer
    this.near.shard.publish(message, [source], 1, null, 0)
  }

  /** Answers what is held until no dead letter is left; the most letters that were sent and not answered. */
  async answerAll(): Promise<number> {
    let most = 0
    while (this.near.queue('source').entries.live > 0) {
      most = Math.max(most, this.held.length)
      assert.ok(this.held.length > 0, 'nothing is under way, and not all has gone')
      for (const answer of this.held.splice(0)) answer()
      await this.settle()
    }
    return most
  }

  /** Publishes to the source and rejects all that it gives. */
  async reject(count: number, from = 0): Promise<void> {
    for (const number of numbers(count)) this.near.publish(`m${from + number}`, ['source'])
    await this.rejectAgain()
  }

  async rejectAgain(): Promise<void> {
    await this.beginToReject('source')
    await this.settle()
  }

  async beginToReject(name: string): Promise<void> {
    const { consumer, ...sink } = this.near.consume(name, { limit: 0 })
    await this.near.settle()
    const { queue } = consumer
    for (const one of sink.unsettled) queue.shard.settle(queue, consumer, one.sequence, one.sequence, 'reject')
    this.near.shard.unregister(consumer, { done: () => {}, failed: () => {} })
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

  it('go several at a time with large bodies too, no more than may be kept, in order with small ones', async () => {
    const pair = await new Pair().start()
    pair.answers = 'held'
    // A size of its own tells each from the others.
    const sizes = numbers(30).map((number) => 300_000 + number)
    for (const [index, size] of sizes.entries()) {
      pair.publish(size)
      pair.near.publish(`m${index + 1}`, ['source'])
    }
    await pair.rejectAgain()
    const large = Math.ceil(pair.sent / 2)
    assert.ok(large > 10 && (large - 1) * 300_000 < lettersUnderWayBytesMax, `${pair.sent} under way`)
    assert.equal(pair.near.queue('source').entries.live, 60)
    await pair.answerAll()
    assert.equal(pair.sent, 60)
    assert.deepEqual(
      await pair.received(),
      sizes.flatMap((size, index) => [`chunks:${size}`, `m${index + 1}`]),
    )
  })

  it('go one at a time when each is larger than what may be kept', async () => {
    const pair = await new Pair().start()
    pair.answers = 'held'
    const sizes = numbers(4).map((number) => lettersUnderWayBytesMax + number)
    for (const size of sizes) pair.publish(size)
    await pair.rejectAgain()
    assert.equal(pair.sent, 1)
    assert.equal(await pair.answerAll(), 1)
    assert.deepEqual(
      await pair.received(),
      sizes.map((size) => `chunks:${size}`),
    )
  })

  it('with large bodies are stored once in both shards when answers are lost, and both begin again', async () => {
    const pair = await new Pair().start()
    pair.isAlsoNear = true
    pair.answers = 'lost'
    const sizes = numbers(12).map((number) => 100_000 + number)
    for (const size of sizes) pair.publish(size)
    await pair.rejectAgain()
    assert.equal(pair.sent, 12)
    assert.equal(pair.near.queue('also').entries.live, 0)
    await pair.near.restart()
    await pair.far.restart()
    pair.answers = 'heard'
    await pair.rejectAgain()
    assert.equal(pair.sent, 24)
    assert.equal(pair.near.queue('source').entries.live, 0)
    const expected = sizes.map((size) => `chunks:${size}`)
    assert.deepEqual(await pair.received(), expected)
    assert.deepEqual(await pair.received(pair.near, 'also'), expected)
  })

  it('with large bodies wait for a target that is full', async () => {
    const pair = await new Pair({}, { maxLength: 2, overflow: 'reject-publish' }).start()
    const sizes = numbers(5).map((number) => 1_000_000 + number)
    for (const size of sizes) pair.publish(size)
    await pair.rejectAgain()
    assert.equal(pair.near.queue('source').entries.live, 3)
    const consumer = pair.far.consume('target', { limit: 0, isNoAck: true })
    await eventually('all have gone', () => pair.near.queue('source').entries.live === 0, 60_000)
    await pair.settle()
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      sizes.map((size) => `chunks:${size}`),
    )
  })

  it('of which one is refused while the next is copied goes first, though that one takes all the room', async () => {
    const pair = await new Pair({}, { maxLength: 1, overflow: 'reject-publish' }).start()
    pair.far.publish('fills it', ['target'])
    pair.answers = 'held'
    const sizes = [lettersUnderWayBytesMax / 2, lettersUnderWayBytesMax * 2]
    for (const size of sizes) pair.publish(size)
    await pair.beginToReject('source')
    while (pair.held.length === 0) await turn()
    for (let count = 0; count < 10; count++) await turn()
    assert.equal(pair.sent, 1)
    pair.answers = 'heard'
    for (const answer of pair.held.splice(0)) answer()
    await pair.settle()
    const consumer = pair.far.consume('target', { limit: 0, isNoAck: true })
    await eventually('all have gone', () => pair.near.queue('source').entries.live === 0, 60_000)
    await pair.settle()
    assert.deepEqual(
      consumer.received.map(({ text }) => text),
      ['fills it', ...sizes.map((size) => `chunks:${size}`)],
    )
  })

  for (const turns of [0, 1, 2, 5, 20, 50, 80, 200]) {
    it(`with large bodies leave room for others when their queue is deleted on the way, after ${turns} turns`, async () => {
      const pair = await new Pair().start()
      pair.answers = 'held'
      for (let count = 0; count < 3; count++) pair.publish(lettersUnderWayBytesMax)
      pair.near.publish('m1', ['other'])
      await pair.beginToReject('source')
      for (let count = 0; count < turns; count++) await turn()
      pair.near.shard.dropQueue(pair.near.queue('source'))
      await pair.beginToReject('other')
      await pair.settle()
      pair.answers = 'heard'
      for (const answer of pair.held.splice(0)) answer()
      await pair.settle()
      assert.equal(pair.near.queue('other').entries.live, 0)
      assert.equal((await pair.received()).at(-1), 'm1')
    })
  }
})
