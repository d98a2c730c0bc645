import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PlainValue } from '../../../src/amqp/field-table.ts'
import type { Declared, QueueArguments } from '../../../src/broker/commands.ts'
import { answer, BrokerHarness, queueArguments, refusal } from '../../support/broker-harness.ts'
import { durableDump } from '../../support/topology-dump.ts'

type Table = { readonly [key: string]: PlainValue }

function declare(harness: BrokerHarness, name: string, table: Table = {}, more: Partial<QueueArguments> = {}): string {
  const session = harness.session()
  const { arguments: _, ...flags } = more
  const args = queueArguments(name, { isDurable: true, ...flags, arguments: table })
  try {
    return answer<Declared>((reply) => session.vhost.declareQueue(session, args, reply)).result.name
  } finally {
    harness.broker.closeSession(session, () => {})
  }
}

describe('max-queues of a vhost', () => {
  it('refuses a further queue, not one that is there', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.putVhostLimits('/', { 'max-queues': 2 })
    declare(harness, 'a')
    declare(harness, 'b')
    const text = "cannot declare queue 'c': queue limit in vhost '/' (2) is reached"
    assert.throws(() => declare(harness, 'c'), refusal('precondition-failed', text))
    declare(harness, 'b')
    await harness.broker.putVhostLimits('/', { 'max-queues': -1 })
    declare(harness, 'c')
  })

  it('of 0 lets none be declared; cleared it lets all', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.putVhostLimits('/', { 'max-queues': 0 })
    const text = "cannot declare queue 'q': queue limit in vhost '/' (0) is reached"
    assert.throws(() => declare(harness, 'q'), refusal('precondition-failed', text))
    await harness.broker.clearVhostLimits('/')
    declare(harness, 'q')
    await harness.broker.clearVhostLimits('/')
  })
})

describe('max-connections', () => {
  it('of a vhost counts its sessions', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.createVhost('v')
    await harness.broker.putPermission('guest', 'v', { configure: '', write: '', read: '' })
    await harness.broker.putVhostLimits('v', { 'max-connections': 2 })
    harness.session()
    const first = harness.session('guest', 'v')
    harness.session('guest', 'v')
    const text = "access to vhost 'v' refused for user 'guest': connection limit (2) is reached"
    assert.throws(() => harness.session('guest', 'v'), refusal('not-allowed', text))
    harness.broker.closeSession(first, () => {})
    harness.broker.closeSession(first, () => {})
    harness.session('guest', 'v')
    assert.throws(() => harness.session('guest', 'v'), refusal('not-allowed', text))
  })

  it('of a user counts that user’s sessions in all vhosts', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.createVhost('v')
    for (const vhost of ['/', 'v'])
      await harness.broker.putPermission('guest', vhost, { configure: '', write: '', read: '' })
    await harness.broker.putUserLimits('guest', { 'max-connections': 1 })
    const only = harness.session()
    const text = "connection refused for user 'guest': user connection limit (1) is reached"
    assert.throws(() => harness.session('guest', 'v'), refusal('not-allowed', text))
    harness.sessionWith('', '', '')
    harness.broker.closeSession(only, () => {})
    harness.session('guest', 'v')
    await harness.broker.clearUserLimits('guest')
    harness.session()
  })

  it('of 0 lets nobody in', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.putUserLimits('guest', { 'max-connections': 0 })
    const text = "connection refused for user 'guest': user connection limit (0) is reached"
    assert.throws(() => harness.session(), refusal('not-allowed', text))
  })
})

describe('max-channels of a user', () => {
  it('counts what the server says is open, in all sessions', async () => {
    const harness = await BrokerHarness.open()
    const sessions = [harness.session(), harness.session()]
    const other = harness.sessionWith('', '', '')
    const counts = [{ count: 1 }, { count: 0 }]
    for (const [index, session] of sessions.entries()) session.channels = counts[index] ?? null
    assert.deepEqual(
      sessions.map((session) => session.channelLimitReached),
      [null, null],
    )
    await harness.broker.putUserLimits('guest', { 'max-channels': 3 })
    assert.deepEqual(
      sessions.map((session) => session.channelLimitReached),
      [null, null],
    )
    counts[1] = Object.assign(counts[1] ?? { count: 0 }, { count: 2 })
    assert.deepEqual(
      sessions.map((session) => session.channelLimitReached),
      [3, 3],
    )
    assert.equal(other.channelLimitReached, null)
    const [first] = sessions
    assert.ok(first !== undefined)
    harness.broker.closeSession(first, () => {})
    assert.equal(sessions[1]?.channelLimitReached, null)
  })
})

describe('limits', () => {
  const wrong: [Record<string, unknown>, string][] = [
    [{ 'max-queues': 'many' }, 'max-queues should be a number, actually was <<"many">>'],
    [{ 'max-queues': 1.5 }, 'max-queues should be a number, actually was 1.5'],
    [{ 'max-queues': 1e300 }, 'max-queues should be a number, actually was 1e+300'],
    [{ 'max-channels': 1 }, 'Unrecognised terms [{<<"max-channels">>,1}] in limits'],
  ]
  for (const [given, text] of wrong) {
    it(`are refused: ${JSON.stringify(given)}`, async () => {
      const { broker } = await BrokerHarness.open()
      const whole = `Validation failed\n\n${text}\n`
      await assert.rejects(broker.putVhostLimits('/', given), refusal('precondition-failed', whole))
    })
  }

  it('are there after a restart, and go with their user', async () => {
    const first = await BrokerHarness.open()
    first.topology.putUser('u', 'plain$p', [])
    await first.broker.putUserLimits('u', { 'max-channels': 3 })
    await first.broker.putUserLimits('guest', { 'max-connections': 4, 'max-channels': 5 })
    await first.broker.putVhostLimits('/', { 'max-queues': 6 })
    await first.broker.putVhostLimits('/', { 'max-queues': 7, 'max-connections': 8 })
    await first.broker.deleteUser('u')
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.deepEqual(durableDump(again.topology), durableDump(first.topology))
    const { limits } = again.topology.vhosts.get('/') ?? {}
    assert.deepEqual([limits?.maxQueues, limits?.maxConnections], [7, 8])
    assert.equal(again.topology.users.get('guest')?.limits?.maxChannels, 5)
  })
})

describe('the default queue type of a vhost', () => {
  async function withDefault(defaultQueueType: 'classic' | 'quorum' | 'stream' | null): Promise<BrokerHarness> {
    const harness = await BrokerHarness.open()
    await harness.broker.putVhostMetadata('/', { description: '', tags: [], defaultQueueType })
    return harness
  }
  const typeOf = (harness: BrokerHarness, name: string): unknown =>
    harness.topology.vhosts.get('/')?.queues.get(name)?.arguments.fields.get('x-queue-type')?.value

  it('is that of queues declared without one, in equivalence too', async () => {
    const harness = await withDefault('quorum')
    declare(harness, 'q', { 'x-max-length': 1 })
    assert.equal(typeOf(harness, 'q'), 'quorum')
    assert.equal(harness.topology.vhosts.get('/')?.queues.get('q')?.settings.deliveryLimit, 20)
    declare(harness, 'q', { 'x-max-length': 1 })
    declare(harness, 'q', { 'x-max-length': 1, 'x-queue-type': 'quorum' })
    const text =
      "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'classic' but current is 'quorum'"
    const classic = { 'x-max-length': 1, 'x-queue-type': 'classic' }
    assert.throws(() => declare(harness, 'q', classic), refusal('precondition-failed', text))
  })

  it('may be stream, with what streams refuse', async () => {
    const harness = await withDefault('stream')
    declare(harness, 's', { 'x-max-age': '1h' })
    assert.equal(typeOf(harness, 's'), 'stream')
    const text = "invalid arg 'x-expires' for queue 'q' in vhost '/' of queue type stream"
    assert.throws(() => declare(harness, 'q', { 'x-expires': 1 }), refusal('precondition-failed', text))
  })

  it('is not for transient, exclusive, auto-delete and server-named queues, nor for those that say a type', async () => {
    const harness = await withDefault('stream')
    declare(harness, 'transient', {}, { isDurable: false })
    declare(harness, 'exclusive', {}, { isExclusive: true })
    declare(harness, 'auto', {}, { isAutoDelete: true })
    const named = declare(harness, '')
    declare(harness, 'said', { 'x-queue-type': 'classic' })
    assert.deepEqual(
      ['transient', 'exclusive', 'auto', named, 'said'].map((name) => typeOf(harness, name)),
      [undefined, undefined, undefined, undefined, 'classic'],
    )
  })

  it('may be none, and survives a restart', async () => {
    const harness = await withDefault('quorum')
    const again = await BrokerHarness.open(harness.log.afterCrash())
    declare(again, 'q')
    assert.equal(typeOf(again, 'q'), 'quorum')
    await again.broker.putVhostMetadata('/', { description: 'd', tags: ['t'], defaultQueueType: null })
    declare(again, 'plain')
    assert.equal(typeOf(again, 'plain'), undefined)
    const third = await BrokerHarness.open(again.log.afterCrash())
    assert.deepEqual(durableDump(third.topology), durableDump(again.topology))
  })
})
