import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SeededRandom } from '../../../src/base/random.ts'
import { eventually } from '../../support/eventually.ts'
import { definitionOf, messageOf, ShardHarness, TestConfirms, type TestConsumer } from '../../support/shard-harness.ts'

const texts = (consumer: TestConsumer): string[] => consumer.received.map((one) => one.text)

async function harness(...names: string[]): Promise<ShardHarness> {
  return new ShardHarness(
    names.map((name, index) => definitionOf(index + 1, name, !name.startsWith('transient'))),
  ).start()
}

/** Settles the first `count` deliveries a consumer holds. */
function settle(shard: ShardHarness, consumer: TestConsumer, outcome: 'ack' | 'requeue' | 'reject', count = 1): void {
  for (const one of consumer.unsettled.splice(0, count)) {
    shard.shard.settle(consumer.consumer.queue, consumer.consumer, one.sequence, one.sequence, outcome)
  }
}

describe('a shard', () => {
  it('delivers in the order of publishing, waiting and direct alike', async () => {
    const shard = await harness('q')
    shard.publish('one', ['q'])
    shard.publish('two', ['q'], { isPersistent: false })
    const consumer = shard.consume('q')
    shard.publish('three', ['q'])
    await shard.settle()
    assert.deepEqual(texts(consumer), ['one', 'two', 'three'])
    assert.deepEqual(
      consumer.received.map((one) => one.isRedelivered),
      [false, false, false],
    )
  })

  it('confirms a persistent message only after the commit, a transient one at once', async () => {
    const shard = await harness('q')
    const confirms = new TestConfirms()
    shard.publish('durable', ['q'], { confirms, sequence: 1 })
    shard.publish('transient', ['q'], { isPersistent: false, confirms, sequence: 2 })
    assert.deepEqual(confirms.confirmed, [2])
    await shard.settle()
    assert.deepEqual(confirms.confirmed, [2, 1])
  })

  it('holds a confirm until the topology under which it was routed is committed', async () => {
    const shard = await harness('q')
    const confirms = new TestConfirms()
    shard.topology.appended = 7
    shard.publish('durable', ['q'], { confirms, sequence: 1 })
    shard.publish('transient', ['q'], { isPersistent: false, confirms, sequence: 2 })
    await shard.settle()
    assert.deepEqual(confirms.confirmed, [])
    shard.topology.committed = 7
    shard.shard.topologyCommitted()
    assert.deepEqual(confirms.confirmed, [1, 2])
  })

  it('stops at the prefetch limit and goes on when credit comes back', async () => {
    const shard = await harness('q')
    const consumer = shard.consume('q', { limit: 2 })
    for (let index = 0; index < 5; index++) shard.publish(`m${index}`, ['q'])
    await shard.settle()
    assert.deepEqual(texts(consumer), ['m0', 'm1'])
    settle(shard, consumer, 'ack')
    await shard.settle()
    assert.deepEqual(texts(consumer), ['m0', 'm1', 'm2'])
    assert.equal(shard.queue('q').entries.ready, 2)
  })

  it('puts a requeued message back to its place and marks it redelivered', async () => {
    const shard = await harness('q')
    const consumer = shard.consume('q', { limit: 3 })
    for (let index = 0; index < 6; index++) shard.publish(`m${index}`, ['q'])
    await shard.settle()
    shard.shard.unregister(consumer.consumer, { done: () => {}, failed: () => {} })
    settle(shard, consumer, 'requeue', 3)
    const second = shard.consume('q')
    await shard.settle()
    assert.deepEqual(texts(second), ['m0', 'm1', 'm2', 'm3', 'm4', 'm5'])
    assert.deepEqual(
      second.received.map((one) => one.isRedelivered),
      [true, true, true, false, false, false],
    )
  })

  it('gives consumers their turn in a round, higher priorities first', async () => {
    const shard = await harness('q')
    const low = shard.consume('q', { priority: -1 })
    const first = shard.consume('q', { limit: 2 })
    const second = shard.consume('q', { limit: 2 })
    await shard.settle()
    for (let index = 0; index < 6; index++) shard.publish(`m${index}`, ['q'], { isPersistent: false })
    await shard.settle()
    assert.deepEqual(texts(first), ['m0', 'm2'])
    assert.deepEqual(texts(second), ['m1', 'm3'])
    assert.deepEqual(texts(low), ['m4', 'm5'])
  })

  it('passes over what a consumer does not hold when it settles', async () => {
    const shard = await harness('q')
    const holder = shard.consume('q', { limit: 1 })
    shard.publish('m', ['q'], { isPersistent: false })
    const other = shard.consume('q', { limit: 1 })
    shard.shard.settle(shard.queue('q'), other.consumer, 1, 1, 'ack')
    assert.equal(shard.queue('q').entries.unacked, 1)
    assert.equal(other.consumer.unacked, 0)
    settle(shard, holder, 'ack')
    assert.equal(shard.queue('q').entries.live, 0)
  })

  it('refuses a second consumer beside an exclusive one', async () => {
    const shard = await harness('q')
    shard.consume('q', { isExclusive: true })
    assert.throws(() => shard.consume('q'), /queue 'q' in vhost '\/' in exclusive use/)
  })

  it('answers a get with a message, its place and what is left, or says that there is none', async () => {
    const shard = await harness('q')
    const answers: string[] = []
    const get = (isNoAck: boolean): void => {
      shard.shard.get(shard.queue('q'), isNoAck, {
        message: (_queue, message, sequence, isRedelivered, left) => {
          answers.push(`${message.bodyBytes} ${sequence} ${isRedelivered} ${left}`)
        },
        empty: () => answers.push('empty'),
        failed: (error) => answers.push(error.message),
      })
    }
    shard.publish('a', ['q'])
    shard.publish('bb', ['q'])
    get(false)
    get(true)
    get(true)
    await shard.settle()
    assert.deepEqual(answers, ['1 1 false 1', '2 2 false 0', 'empty'])
    shard.shard.settle(shard.queue('q'), null, 1, 1, 'requeue')
    get(true)
    await shard.settle()
    assert.equal(answers[3], '1 1 true 0')
  })

  it('cancels consumers, fails gets and keeps confirms when a queue is dropped', async () => {
    const shard = await harness('q')
    const confirms = new TestConfirms()
    const consumer = shard.consume('q', { limit: 1 })
    for (let index = 0; index < 3; index++) shard.publish('m', ['q'], { confirms, sequence: index })
    shard.shard.dropQueue(shard.queue('q'))
    await shard.settle()
    assert.equal(consumer.isCancelled, true)
    assert.deepEqual(confirms.confirmed, [0, 1, 2])
  })

  it('purges what is ready, leaves what is unacked, and says how many', async () => {
    const shard = await harness('q')
    const consumer = shard.consume('q', { limit: 10 })
    for (let index = 0; index < 5_000; index++) shard.publish(`m${index}`, ['q'], { isPersistent: index % 3 !== 0 })
    await shard.settle()
    let purged = -1
    shard.shard.purge(shard.queue('q'), { done: (count) => (purged = count), failed: assert.fail })
    await shard.settle()
    assert.equal(purged, 4_990)
    assert.equal(shard.queue('q').entries.live, 10)
    shard.publish('after', ['q'])
    settle(shard, consumer, 'ack', 10)
    await shard.settle()
    assert.equal(consumer.received[10]?.text, 'after')
    await shard.restart()
    assert.equal(shard.queue('q').entries.ready, 1)
  })

  it('frees the scratch log as transient messages leave', async () => {
    const shard = await harness('transient')
    const body = 'x'.repeat(4_000)
    for (let index = 0; index < 2_000; index++) shard.publish(body, ['transient'])
    await shard.settle()
    assert.ok(shard.scratch.segments.length > 6)
    const consumer = shard.consume('transient', { isNoAck: true })
    await shard.settle()
    assert.equal(consumer.received.length, 2_000)
    assert.ok(shard.scratch.segments.length <= 2, `${shard.scratch.segments.length} segments are left`)
  })

  it('says that it is congested while more is appended than the limit', async () => {
    const shard = new ShardHarness([definitionOf(1, 'q')], { uncommittedBytesMax: 10_000 })
    await shard.start()
    for (let index = 0; index < 20; index++) shard.publish('x'.repeat(1_000), ['q'])
    assert.deepEqual(shard.congestion, [true])
    await shard.settle()
    assert.deepEqual(shard.congestion, [true, false])
  })

  it('is dead after its log failed: refuses what waits and what comes', async () => {
    const shard = await harness('q')
    const confirms = new TestConfirms()
    const consumer = shard.consume('q')
    shard.publish('m', ['q'], { confirms, sequence: 1 })
    shard.log.listener?.failed(new Error('no disk'))
    shard.publish('m', ['q'], { confirms, sequence: 2 })
    assert.deepEqual([confirms.confirmed, confirms.refused], [[], [1, 2]])
    assert.equal(consumer.isCancelled, true)
    assert.equal(shard.failures.length, 1)
  })
})

describe('a shard with large bodies', () => {
  const megabyte = Buffer.alloc(1024 * 1024, 7)

  function publishLarge(shard: ShardHarness, names: string[], isPersistent: boolean): void {
    const writer = shard.shard.openBody(isPersistent, megabyte.length)
    for (let at = 0; at < megabyte.length; at += 50_000)
      writer.append(megabyte, at, Math.min(megabyte.length, at + 50_000))
    const message = messageOf('', isPersistent)
    message.bodyBytes = megabyte.length
    message.chunks = writer
    shard.shard.publish(
      message,
      names.map((name) => shard.queue(name)),
      names.length,
      null,
      0,
    )
  }

  it('delivers them from memory and after a restart, then lets go of them', async () => {
    const shard = await harness('q', 'p', 'transient')
    publishLarge(shard, ['q', 'p', 'transient'], true)
    const transient = shard.consume('transient', { isNoAck: true })
    await shard.settle()
    assert.deepEqual(texts(transient), ['chunks:1048576'])
    await shard.restart()
    const first = shard.consume('q', { isNoAck: true })
    const second = shard.consume('p')
    await shard.settle()
    assert.deepEqual([...texts(first), ...texts(second)], ['chunks:1048576', 'chunks:1048576'])
    settle(shard, second, 'ack')
    for (let index = 0; index < 700; index++) shard.publish('x'.repeat(4_000), ['q'])
    await shard.settle()
    await eventually('two segments or fewer are left', () => shard.log.segments.length <= 2)
  })

  it('reads their chunks in order', async () => {
    const shard = await harness('q')
    publishLarge(shard, ['q'], false)
    const pieces: number[] = []
    shard.shard.get(shard.queue('q'), true, {
      message: (_queue, message) => {
        const chunks = message.chunks
        assert.ok(chunks !== null)
        for (let index = 0; index < chunks.count; index++) {
          chunks.read(index, (error, buffer, start, end) => {
            assert.equal(error, null)
            assert.ok(buffer.subarray(start, end).every((byte) => byte === 7))
            pieces.push(end - start)
          })
        }
        chunks.release()
      },
      empty: assert.fail,
      failed: assert.fail,
    })
    await shard.settle()
    assert.equal(
      pieces.reduce((sum, bytes) => sum + bytes, 0),
      megabyte.length,
    )
  })
})

describe('a shard that is opened again', () => {
  it('marks as redelivered what may have been sent, and nothing else', async () => {
    const shard = await harness('q')
    for (let index = 0; index < 3_000; index++) shard.publish(`m${index}`, ['q'])
    const before = shard.consume('q', { limit: 700 })
    await shard.settle()
    assert.equal(before.received.length, 700)
    await shard.restart()
    const after = shard.consume('q')
    await shard.settle()
    assert.equal(after.received.length, 3_000)
    assert.ok(after.received.slice(0, 700).every((one) => one.isRedelivered))
    assert.ok(!after.received[2_999]?.isRedelivered)
  })

  it('is exact after a stop in good order', async () => {
    const shard = await harness('q')
    for (let index = 0; index < 3_000; index++) shard.publish(`m${index}`, ['q'])
    const before = shard.consume('q', { limit: 700 })
    await shard.settle()
    settle(shard, before, 'ack', 100)
    await shard.settle()
    const sent = new Set(before.received.map((one) => one.text))
    await shard.stop()
    await shard.restart()
    const after = shard.consume('q')
    await shard.settle()
    assert.equal(after.received.length, 2_900)
    for (const one of after.received) assert.equal(one.isRedelivered, sent.has(one.text), one.text)
  })

  it('gives new messages after an unclean stop no sequence that was sent before', async () => {
    const shard = await harness('q')
    shard.publish('old', ['q'])
    const before = shard.consume('q', { isNoAck: true })
    await shard.settle()
    assert.equal(before.received.length, 1)
    await shard.restart()
    shard.publish('new', ['q'])
    const after = shard.consume('q')
    await shard.settle()
    assert.deepEqual(
      after.received.map((one) => [one.text, one.isRedelivered]),
      [['new', false]],
    )
  })

  it('lets a long backlog go from memory and finds it again, over restarts', { timeout: 60_000 }, async () => {
    const shard = new ShardHarness([definitionOf(1, 'q'), definitionOf(2, 'other')], { entryBytesMax: 100_000 })
    await shard.start()
    const count = 150_000
    for (let index = 0; index < count; index++) {
      shard.publish(`m${index}`, index % 1_000 === 0 ? ['q', 'other'] : ['q'])
      if (index % 1_000 === 0) await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await shard.settle()
    const away = [...shard.queue('q').entries.chunks()].filter((chunk) => chunk.isAway).length
    assert.ok(away > 50, `${away} chunks are away`)
    await shard.restart()
    assert.equal(shard.queue('q').entries.ready, count)
    assert.equal(
      shard.queue('q').entries.readyBytes,
      Array.from({ length: count }, (_, index) => `m${index}`.length).reduce((a, b) => a + b),
    )
    const consumer = shard.consume('q', { limit: 1_000 })
    for (let taken = 0; taken < 70_000; ) {
      await shard.settle()
      taken += consumer.unsettled.length
      settle(shard, consumer, 'ack', consumer.unsettled.length)
    }
    await shard.settle()
    const held = consumer.unsettled.length
    const received = texts(consumer)
    received.forEach((text, index) => assert.equal(text, `m${index}`))
    await shard.restart()
    const rest = shard.consume('q', { isNoAck: true })
    await shard.settle()
    assert.equal(rest.received.length, count - received.length + held)
    rest.received.forEach((one, index) => assert.equal(one.text, `m${received.length - held + index}`))
  })
})

describe('a shard against a plain model', () => {
  for (const seed of (process.env['SEED']?.split(',') ?? [1, 2, 3, 4, 5, 6]).map(Number)) {
    it(`loses, repeats and disorders nothing, seed ${seed}`, { timeout: 60_000 }, () => randomRun(seed))
  }
})

/** Publishes, settles, purges, moves segments and restarts at random; judges what every queue holds at the end. */
async function randomRun(seed: number): Promise<void> {
  const random = new SeededRandom(seed)
  const names = ['a', 'b', 'c']
  const shard = new ShardHarness(
    names.map((name, index) => definitionOf(index + 1, name)),
    { entryBytesMax: 1 },
  )
  await shard.start()
  const model = new Map(names.map((name) => [name, new Map<string, { wasSent: boolean; isPersistent: boolean }>()]))
  let consumers = names.map((name) => shard.consume(name, { limit: 1 + random.below(3_000) }))
  let count = 0
  const note = (): void => {
    for (const consumer of consumers) {
      for (const one of consumer.received.splice(0)) {
        const entry = model.get(one.queue)?.get(one.text.trimEnd())
        assert.ok(entry !== undefined, `${one.queue} delivered ${one.text.trimEnd()}, which it does not hold`)
        assert.ok(one.isRedelivered || !entry.wasSent, `${one.text.trimEnd()} was sent before and is not marked`)
        entry.wasSent = true
      }
    }
  }
  for (let step = 0; step < 400; step++) {
    const dice = random.below(100)
    if (dice < 45) {
      const targets = names.filter(() => random.below(2) === 0)
      const burst = random.below(400)
      for (let index = 0; index < burst && targets.length > 0; index++) {
        const isPersistent = random.below(10) > 0
        const text = `m${count++}`
        shard.publish(text.padEnd(random.below(4) === 0 ? 3_000 : 20), targets, { isPersistent })
        for (const name of targets) model.get(name)?.set(text, { wasSent: false, isPersistent })
      }
    } else if (dice < 90) {
      note()
      const consumer = consumers[random.below(consumers.length)] as TestConsumer
      const outcome = random.below(5) === 0 ? 'requeue' : 'ack'
      const from = random.below(consumer.unsettled.length + 1)
      for (const one of consumer.unsettled.splice(from, random.below(500))) {
        if (outcome === 'ack') model.get(one.queue)?.delete(one.text.trimEnd())
        shard.shard.settle(consumer.consumer.queue, consumer.consumer, one.sequence, one.sequence, outcome)
      }
    } else if (dice < 97) await shard.settle()
    else {
      await shard.settle()
      note()
      if (random.below(2) === 0) await shard.stop()
      await shard.restart()
      for (const entries of model.values()) {
        for (const [text, entry] of entries) if (!entry.isPersistent) entries.delete(text)
      }
      for (const name of names) {
        const live = [...(model.get(name) ?? [])].length
        assert.equal(shard.queue(name).entries.live, live, `queue ${name} after the restart in step ${step}`)
      }
      consumers = names.map((name) => shard.consume(name, { limit: 1 + random.below(3_000) }))
    }
  }
  await shard.settle()
  note()
  await shard.restart()
  for (const name of names) {
    const expected = [...(model.get(name) ?? [])].filter(([, entry]) => entry.isPersistent).map(([text]) => text)
    const consumer = shard.consume(name, { isNoAck: true })
    await shard.settle()
    assert.deepEqual(
      texts(consumer).map((text) => text.trimEnd()),
      expected,
      `queue ${name}`,
    )
  }
  assert.deepEqual(shard.failures, [])
  shard.kill()
}
