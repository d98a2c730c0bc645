import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { ClusterView } from '../../../../src/cluster/membership/cluster-view.ts'
import { decodeLease, encodeLease } from '../../../../src/cluster/membership/lease-entry.ts'
import { Leases } from '../../../../src/cluster/membership/leases.ts'
import { decodeSession, encodeSession } from '../../../../src/cluster/membership/session-entry.ts'
import { MemoryCoordination, MemoryStore, noFaults } from '../../../support/cluster/memory-coordination.ts'
import { rejection } from '../../../support/eventually.ts'

class World {
  readonly clock = new ManualClock()
  readonly store = new MemoryStore(this.clock)

  async node(name: string, incarnation: number) {
    const { clock, store } = this
    const coordination = new MemoryCoordination(store, clock, new SeededRandom(incarnation))
    const view = new ClusterView(clock, silentLogger)
    view.open(coordination)
    const member = { name, incarnation, host: 'h', port: 1, version: '1', startedAt: 0 }
    store.write(
      `node.${name}`,
      encodeSession({ ...member, isDraining: false, isReady: true, isSteady: true, unreached: [], renewal: 0 }),
      0,
    )
    await this.settle()
    return { coordination, view, leases: new Leases({ name, incarnation }, coordination, view, clock) }
  }

  end(name: string): void {
    this.store.write(`node.${name}`, null, this.store.read(`node.${name}`)?.revision ?? 0)
  }

  /** What is on its way arrives; `ms` milliseconds go by. */
  async settle(ms = 0): Promise<void> {
    for (let turn = 0; turn < 10; turn++) {
      this.clock.advance(ms / 10)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async answer<Answer>(promise: Promise<Answer>, ms = 0): Promise<Answer> {
    promise.catch(() => {})
    await this.settle(ms)
    return await promise
  }
}

test('one of two that want a lease gets it', async () => {
  const world = new World()
  const one = await world.node('n1', 1)
  const two = await world.node('n2', 2)
  const taken = await world.answer(Promise.all([one.leases.acquire('s'), two.leases.acquire('s')]))
  assert.deepEqual(taken.map((lease) => lease?.epoch ?? null).sort(), [1, null])
  assert.equal(one.leases.isOurs('s') !== two.leases.isOurs('s'), true)
})

test('a lease that was purged is missed by its owner, and all hear of it', async () => {
  const world = new World()
  const one = await world.node('n1', 1)
  const two = await world.node('n2', 2)
  const held = await world.answer(one.leases.acquire('s'))
  assert.ok(held !== null)
  const isPurged = async (): Promise<boolean[]> =>
    await world.answer(Promise.all([one, two].map(({ leases }) => leases.isPurged('s'))))
  assert.deepEqual(await isPurged(), [false, false])
  world.store.purge('lease.s')
  assert.deepEqual(await isPurged(), [true, false])
  await world.settle()
  assert.deepEqual([one.leases.isOvertaken('s', held), two.leases.isForTaking('s')], [false, false])
  await world.answer(one.leases.leaveTrace('s'))
  assert.deepEqual([one.leases.isOvertaken('s', held), two.leases.isForTaking('s')], [true, true])
  const next = await world.answer(two.leases.acquire('s'))
  assert.equal(next?.epoch, held.epoch + 1)
})

test('a lease is for taking when it is free, ours, or its holder is gone, and each time the epoch grows', async () => {
  const world = new World()
  const one = await world.node('n1', 1)
  const two = await world.node('n2', 2)
  assert.equal((await world.answer(one.leases.acquire('s')))?.epoch, 1)
  assert.equal(two.leases.isForTaking('s'), false)
  assert.equal(await world.answer(two.leases.acquire('s')), null)
  assert.equal((await world.answer(one.leases.acquire('s')))?.epoch, 2)
  await world.answer(one.leases.release('s', 2, 'nobody'))
  assert.equal((await world.answer(two.leases.acquire('s')))?.epoch, 3)
  world.end('n2')
  await world.settle()
  assert.equal(one.leases.isForTaking('s'), true)
  const lease = await world.answer(one.leases.acquire('s'))
  assert.equal(lease?.epoch, 4)
  assert.equal(one.leases.isOvertaken('s', { epoch: 4, revision: lease?.revision ?? 0 }), false)
  assert.equal(one.leases.isOvertaken('s', { epoch: 3, revision: 1 }), true)
})

const byHand: readonly (readonly [string, string | null])[] = [
  ['set back', encodeLease({ holder: { name: 'n1', incarnation: 1 }, epoch: 1, since: 0, avoid: [] })],
  ['freed and set back', encodeLease({ holder: null, epoch: 1, since: 0, avoid: [] })],
  ['given to nobody', encodeLease({ holder: { name: 'n9', incarnation: 99 }, epoch: 3, since: 0, avoid: [] })],
  ['far ahead', encodeLease({ holder: null, epoch: Number.MAX_SAFE_INTEGER, since: 0, avoid: [] })],
  ['filled with nonsense', '{"node":'],
  ['removed', null],
]
for (const [how, value] of byHand) {
  test(`a lease that was ${how} by hand is none any more, and is taken again beyond all epochs known`, async () => {
    const world = new World()
    const one = await world.node('n1', 1)
    const two = await world.node('n2', 2)
    for (let times = 0; times < 2; times++) await world.answer(one.leases.acquire('s'))
    const lease = await world.answer(one.leases.acquire('s'))
    if (lease === null) throw new Error('the lease was for taking')
    // What the view has told of our own write is no reason to stop, and neither is what it told before.
    assert.equal(one.leases.isOvertaken('s', lease), false)
    world.store.write('lease.s', value, world.store.read('lease.s')?.revision ?? 0)
    await world.settle()
    assert.equal(one.leases.isOvertaken('s', lease), true)
    const isLeftToHolder = how === 'set back'
    assert.equal(two.leases.isForTaking('s'), !isLeftToHolder)
    const taker = isLeftToHolder ? one : two
    assert.equal((await world.answer(taker.leases.acquire('s')))?.epoch, 4)
  })
}

test('what the log of a shard has come to counts more than its lease', async () => {
  const world = new World()
  const { leases } = await world.node('n1', 1)
  assert.equal((await world.answer(leases.acquire('s')))?.epoch, 1)
  leases.learnEpoch('s', 7)
  assert.equal((await world.answer(leases.acquire('s')))?.epoch, 8)
  assert.equal((await world.answer(leases.acquire('s')))?.epoch, 9)
})

test('a lease whose acknowledgement was lost is no lease: it is taken again, with another epoch', async () => {
  const world = new World()
  const { leases, coordination } = await world.node('n1', 1)
  coordination.faults = { ...noFaults, answerLost: 1 }
  await rejection(world.answer(leases.acquire('s'), 5_000))
  coordination.faults = noFaults
  assert.equal(leases.isOurs('s'), true)
  assert.equal((await world.answer(leases.acquire('s')))?.epoch, 2)
})

test('freeing a lease that has changed hands changes nothing', async () => {
  const world = new World()
  const one = await world.node('n1', 1)
  const two = await world.node('n2', 2)
  await world.answer(one.leases.acquire('s'))
  world.end('n1')
  await world.settle()
  await world.answer(two.leases.acquire('s'))
  const { revision } = world.store
  await world.answer(one.leases.release('s', 1, 'us too'))
  assert.equal(world.store.revision, revision)
})

test('who could not open a shard is remembered while it is there', async () => {
  const world = new World()
  const one = await world.node('n1', 1)
  const two = await world.node('n2', 2)
  await world.answer(one.leases.acquire('s'))
  await world.answer(one.leases.release('s', 1, 'us too'))
  await world.answer(two.leases.acquire('s'))
  await world.answer(two.leases.release('s', 2, 'us too'))
  assert.deepEqual(one.leases.find('s').avoid, [1, 2])
  await world.answer(two.leases.acquire('s'))
  await world.answer(two.leases.release('s', 3, 'us alone'))
  assert.deepEqual(one.leases.find('s').avoid, [2])
  await world.answer(one.leases.acquire('s'))
  await world.answer(one.leases.forgive('s', 4))
  assert.deepEqual(one.leases.find('s'), {
    holder: { name: 'n1', incarnation: 1 },
    epoch: 4,
    since: 1_700_000_000_000,
    avoid: [],
  })
})

test('entries come back as they were written, and crooked ones are none', () => {
  const lease = { holder: { name: 'n1', incarnation: 7 }, epoch: 3, since: 5, avoid: [1, 2] }
  assert.deepEqual(decodeLease(encodeLease(lease)), lease)
  assert.deepEqual(decodeLease(encodeLease({ ...lease, holder: null }))?.holder, null)
  for (const bad of ['', '[]', '{}', '{"node":3}', encodeLease(lease).replace('[1,2]', '["1"]')]) {
    assert.equal(decodeLease(bad), null)
  }
  const member = { name: 'n1', incarnation: 1, host: 'h', port: 1, version: '1', startedAt: 0 }
  const session = { ...member, isDraining: true, isReady: false, isSteady: false, unreached: [3, 4], renewal: 9 }
  assert.deepEqual(decodeSession('node.n1', encodeSession(session)), session)
  assert.equal(decodeSession('node.n1', encodeSession(session).replace('true', '1')), null)
  assert.equal(decodeSession('node.n1', encodeSession(session).replace('[3,4]', '["3"]')), null)
  const ofEarlierVersion = encodeSession(session).replace('"unreached":[3,4],', '')
  assert.deepEqual(decodeSession('node.n1', ofEarlierVersion), { ...session, unreached: [] })
})

test('a view passes over what it cannot read, and what is older than it knows', async () => {
  const world = new World()
  const { view } = await world.node('n1', 1)
  world.store.write('lease.s', 'nonsense', 0)
  world.store.write('node.n7', '{}', 0)
  await world.settle()
  assert.equal(view.lease('s').entry.epoch, 0)
  assert.equal(view.session('n7'), null)
  const { revision } = world.store
  view.entry({
    key: 'lease.s',
    value: encodeLease({ holder: null, epoch: 5, since: 0, avoid: [] }),
    revision: revision + 2,
  })
  view.removed('lease.s', revision + 1)
  assert.equal(view.lease('s').entry.epoch, 5)
})
