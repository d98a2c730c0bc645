/**
 * Settling very many deliveries takes turns with other work: from an acknowledgement, a channel's close, a lost
 * connection, or a transaction that is rolled back. Deliveries come from two queues by turns, so that each is a settlement
 * of its own and what has happened so far can be counted.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Method } from '../../../src/amqp/methods.generated.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { FakeBroker, type FakeVhost } from '../../support/fake-broker.ts'
import {
  basicAck,
  basicQos,
  channelClose,
  type MemoryClient,
  publishBytes,
  turn,
  turns,
  txCommit,
  txRollback,
  txSelect,
} from '../../support/memory-client.ts'
import { ServerHarness } from '../../support/server-harness.ts'

/** Deliveries of each queue. */
const each = 3_000

/** Settlements in one go: `atOnceMax` of long-take.ts. */
const atOnceMax = 2_048

/** A millisecond has passed at each look. */
class BusyClock extends ManualClock {
  #passed = 0

  override monotonic(): number {
    this.#passed++
    return super.monotonic() + this.#passed
  }
}

interface Scene {
  readonly vhost: FakeVhost
  readonly client: MemoryClient
  readonly quiet: MemoryClient
}

/** A client that holds `2 * each` deliveries, and one that does nothing. */
async function scene(): Promise<Scene> {
  const { broker, ...harness } = await opened()
  const { client } = harness
  for (const queue of ['a', 'b']) {
    await client.declare(1, queue)
    await client.consume(1, queue, queue)
  }
  const pair = ['a', 'b'].map((routingKey) => publishBytes(1, { routingKey }, 'x'))
  for (let count = 0; count < each; count += 100) {
    client.bytes(Buffer.concat(Array.from({ length: 100 }, () => pair).flat()))
    await client.nextOf(200, 'basic.deliver')
  }
  broker.vhost.calls.length = 0
  return { vhost: broker.vhost, ...harness }
}

async function opened(): Promise<{ broker: FakeBroker; client: MemoryClient; quiet: MemoryClient }> {
  const harness = new ServerHarness(new FakeBroker(), {}, new BusyClock())
  return { broker: harness.broker, client: await harness.channel(), quiet: await harness.channel() }
}

function settled(vhost: FakeVhost): string[] {
  return vhost.calls.filter((call) => call.startsWith('settle '))
}

function allInOrder(outcome: string): string[] {
  return Array.from({ length: each }, (_, index) => index + 1).flatMap((sequence) =>
    ['a', 'b'].map((queue) => `settle ${queue} ${queue} ${sequence}-${sequence} ${outcome}`),
  )
}

/** Waits until all are settled; how many were, in each turn of the event loop that settled any. */
async function untilAllSettled(vhost: FakeVhost): Promise<number[]> {
  const steps: number[] = []
  for (let before = settled(vhost).length, waited = 0; before < 2 * each; waited++) {
    assert.ok(waited < 5_000, `${before} are settled, and no more`)
    await turn()
    const now = settled(vhost).length
    if (now > before) steps.push(now - before)
    before = now
  }
  return steps
}

/** The quiet client asks for something meanwhile, and has its answer before the work is done. */
async function answered({ quiet }: Scene, isDone: () => boolean): Promise<void> {
  quiet.methods(1, basicQos(1))
  await quiet.next('basic.qos-ok')
  assert.ok(!isDone(), 'the quiet client has its turn')
}

describe('very many deliveries', () => {
  for (const [end, outcome, act] of [
    ['go back from a lost connection', 'fail', (client) => client.socket.destroy()],
    ['go back when their channel is closed', 'fail', (client) => client.methods(1, channelClose)],
    ['are acknowledged together', 'ack', (client) => client.methods(1, basicAck(0, true), basicQos(7))],
  ] satisfies [string, string, (client: MemoryClient) => void][]) {
    it(`${end} in order, a bounded number at a time`, async () => {
      const all = await scene()
      act(all.client)
      const [steps] = await Promise.all([
        untilAllSettled(all.vhost),
        answered(all, () => settled(all.vhost).length === 2 * each),
      ])
      assert.ok(Math.max(...steps) <= atOnceMax && steps.length > 2, `settled ${steps}`)
      assert.deepEqual(settled(all.vhost), allInOrder(outcome))
    })
  }

  it('are settled before what follows on their channel, and before the answer to its close', async () => {
    const all = await scene()
    all.client.methods(1, basicAck(4_000, true), basicQos(7))
    await all.client.next('basic.qos-ok')
    assert.equal(settled(all.vhost).length, 4_000)
    all.client.methods(1, channelClose)
    await all.client.next('channel.close-ok')
    assert.equal(settled(all.vhost).length, 2 * each)
  })

  it('stay acknowledged when the connection is lost in the middle, and only the rest goes back', async () => {
    const all = await scene()
    all.client.methods(1, basicAck(4_000, true))
    while (settled(all.vhost).length === 0) await turn()
    assert.ok(settled(all.vhost).length < 4_000)
    all.client.socket.destroy()
    await untilAllSettled(all.vhost)
    const [acked, back] = [allInOrder('ack').slice(0, 4_000), allInOrder('fail').slice(4_000)]
    assert.deepEqual(settled(all.vhost), [...acked, ...back])
  })
})

describe('a large transaction', () => {
  it('is rolled back while others have their turn; consumers get nothing until its deliveries are back', async () => {
    const all = await taken(true)
    all.client.methods(1, txRollback)
    const isRolledBack = (): boolean => all.client.heard.some(({ name }) => name === 'tx.rollback-ok')
    await answered(all, isRolledBack)
    all.quiet.publish(1, { routingKey: 'a' }, 'meanwhile')
    await turns(8)
    assert.deepEqual([all.vhost.queue('a').ready.length, all.client.heard], [1, []])
    await all.client.next('tx.rollback-ok')
    assert.equal((await all.client.next('basic.deliver')).method.deliveryTag, 2 * each + 1)
    all.client.methods(1, basicAck(2 * each, true))
    all.client.methods(1, txCommit)
    await all.client.next('tx.commit-ok')
    assert.deepEqual(sorted(settled(all.vhost)), sorted(allInOrder('ack')))
  })

  for (const [moment, methods] of [
    ['before its end', []],
    ['in the middle of its rollback', [txRollback]],
  ] satisfies [string, Method[]][]) {
    it(`gives everything back in order when the connection is lost ${moment}`, async () => {
      const all = await taken(false)
      all.client.methods(1, ...methods)
      await turns(methods.length === 0 ? 24 : 3)
      assert.deepEqual([all.client.heard, settled(all.vhost)], [[], []])
      all.client.socket.destroy()
      await untilAllSettled(all.vhost)
      assert.deepEqual(settled(all.vhost), allInOrder('fail'))
    })
  }

  it('gives back only what its commit has not settled when the connection is lost in the middle of that', async () => {
    const all = await taken(false)
    all.client.methods(1, txCommit)
    while (settled(all.vhost).length === 0) await turn()
    all.client.socket.destroy()
    await untilAllSettled(all.vhost)
    await turns()
    const acked = settled(all.vhost).filter((call) => call.endsWith(' ack')).length
    assert.ok(acked > 0 && acked < 2 * each, `${acked} are acknowledged`)
    // What was published is what this very client consumed last.
    assert.deepEqual(
      [settled(all.vhost).at(-1), settled(all.vhost).length],
      ['settle a a 3001-3100 fail', 2 * each + 1],
    )
    const deliveries = settled(all.vhost).map((call) => call.replace(/ (ack|fail)$/, ''))
    assert.equal(new Set(deliveries).size, 2 * each + 1)
  })

  /** Half of the deliveries, the later half first, and many messages wait for a commit. */
  async function taken(areAll: boolean): Promise<Scene> {
    const all = await scene()
    const [middle, last] = [each, 2 * each]
    all.client.methods(1, txSelect, ...Array.from({ length: last - middle }, (_, at) => basicAck(last - at)))
    if (areAll) all.client.methods(1, basicAck(middle, true))
    for (let count = 0; count < 100; count++) all.client.publish(1, { routingKey: 'a' }, 'forgotten')
    await all.client.next('tx.select-ok')
    await turns(200)
    return all
  }
})

function sorted(calls: readonly string[]): string[] {
  return [...calls].sort()
}
