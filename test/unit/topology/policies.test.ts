import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PlainValue } from '../../../src/amqp/field-table.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import type { GivenPolicy } from '../../../src/broker/policies.ts'
import type { QueueSettings } from '../../../src/broker/queue/queue-settings.ts'
import { ApplyPolicies } from '../../../src/broker/topology/apply-policies.ts'
import type { DeclaredQueue } from '../../../src/broker/topology/declared-queue.ts'
import {
  answer,
  BrokerHarness,
  bindArguments,
  exchangeArguments,
  queueArguments,
  refusal,
  routed,
} from '../../support/broker-harness.ts'
import { TestLog } from '../../support/test-log.ts'
import { durableDump } from '../../support/topology-dump.ts'

type Table = { readonly [key: string]: PlainValue }

function declare(harness: BrokerHarness, name: string, table: Table = {}, isDurable = true): DeclaredQueue {
  const session = harness.session()
  const args = queueArguments(name, { isDurable, arguments: table })
  answer((reply) => session.vhost.declareQueue(session, args, reply))
  harness.broker.closeSession(session, () => {})
  return found(harness, name)
}

function found(harness: BrokerHarness, name: string): DeclaredQueue {
  const queue = harness.topology.vhosts.get('/')?.queues.get(name)
  assert.ok(queue !== undefined)
  return queue
}

function policy(definition: Table, more: GivenPolicy = {}): GivenPolicy {
  return { pattern: '', definition, ...more }
}

/** What a queue with these arguments has under a policy and an operator policy. */
async function settingsUnder(table: Table, user: Table | null, operator: Table | null = null): Promise<QueueSettings> {
  const harness = await BrokerHarness.open()
  if (user !== null) await harness.broker.putPolicy('/', 'p', policy(user))
  if (operator !== null) await harness.broker.putOperatorPolicy('/', 'o', policy(operator))
  return declare(harness, 'q', table).settings
}

describe('a policy', () => {
  it('gives its settings to queues that are there, and takes them back', async () => {
    const harness = await BrokerHarness.open()
    const [orders, other] = [declare(harness, 'orders.eu'), declare(harness, 'other')]
    const before = orders.settings
    await harness.broker.putPolicy(
      '/',
      'ttl',
      policy({ 'message-ttl': 100 }, { pattern: '^orders', applyTo: 'queues' }),
    )
    await harness.idle()
    assert.equal(orders.settings.messageTtlMs, 100)
    assert.notEqual(orders.settings, before)
    assert.equal(other.settings.messageTtlMs, null)
    assert.deepEqual(harness.shards.changed, ['orders.eu'])
    await harness.broker.deletePolicy('/', 'ttl')
    await harness.idle()
    assert.equal(orders.settings.messageTtlMs, null)
    assert.deepEqual(harness.shards.changed, ['orders.eu', 'orders.eu'])
  })

  it('gives them to queues that are declared later', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.putPolicy('/', 'p', policy({ 'max-length': 5 }))
    assert.equal(declare(harness, 'q').settings.maxLength, 5)
    await harness.idle()
    assert.deepEqual(harness.shards.changed, [])
  })

  it('tells no queue for which nothing has changed', async () => {
    const harness = await BrokerHarness.open()
    declare(harness, 'q')
    await harness.broker.putPolicy('/', 'p', policy({ 'max-length': 5 }))
    await harness.idle()
    await harness.broker.putPolicy('/', 'p', policy({ 'max-length': 5 }, { priority: 7 }))
    await harness.broker.putPolicy('/', 'none', policy({ 'max-length': 6 }))
    await harness.idle()
    assert.deepEqual(harness.shards.changed, ['q'])
  })

  it('is the only one: of those that match the highest priority, of equals the first by name; nothing is merged', async () => {
    const harness = await BrokerHarness.open()
    const queue = declare(harness, 'q')
    await harness.broker.putPolicy('/', 'b', policy({ 'max-length': 1 }))
    await harness.broker.putPolicy('/', 'a', policy({ expires: 2 }))
    await harness.idle()
    assert.deepEqual([queue.settings.maxLength, queue.settings.expiresMs], [null, 2])
    await harness.broker.putPolicy('/', 'c', policy({ 'message-ttl': 3 }, { priority: 1 }))
    await harness.idle()
    assert.deepEqual([queue.settings.expiresMs, queue.settings.messageTtlMs], [null, 3])
    assert.equal(queue.applied.policy?.name, 'c')
  })

  it('is for what it says', async () => {
    const harness = await BrokerHarness.open()
    const types = ['classic', 'quorum', 'stream']
    const queues = types.map((type) => declare(harness, type, { 'x-queue-type': type }))
    const matched = async (applyTo: string): Promise<string[]> => {
      await harness.broker.putPolicy('/', 'p', policy({ 'max-length-bytes': 9 }, { applyTo }))
      await harness.idle()
      return queues.filter(({ settings }) => settings.maxLengthBytes === 9).map(({ name }) => name)
    }
    assert.deepEqual(await matched('queues'), types)
    assert.deepEqual(await matched('all'), types)
    assert.deepEqual(await matched('classic_queues'), ['classic'])
    assert.deepEqual(await matched('quorum_queues'), ['quorum'])
    assert.deepEqual(await matched('streams'), ['stream'])
    assert.deepEqual(await matched('exchanges'), [])
  })

  it('does not apply at all where one of its keys means nothing', async () => {
    const harness = await BrokerHarness.open()
    const stream = declare(harness, 's', { 'x-queue-type': 'stream' })
    const queue = declare(harness, 'q')
    await harness.broker.putPolicy('/', 'p', policy({ 'max-length-bytes': 9, 'message-ttl': 1 }, { priority: 1 }))
    await harness.broker.putPolicy('/', 'age', policy({ 'max-age': '1h', 'max-length-bytes': 7 }))
    await harness.idle()
    assert.deepEqual([stream.settings.maxAgeMs, stream.settings.maxLengthBytes], [3_600_000, 7])
    assert.deepEqual([queue.settings.maxAgeMs, queue.settings.maxLengthBytes], [null, 9])
  })

  it('is not compared when a queue is declared again', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.putPolicy('/', 'p', policy({ 'message-ttl': 100 }))
    declare(harness, 'q')
    declare(harness, 'q')
    const text =
      "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '100' of type 'signedint' but current is none"
    assert.throws(() => declare(harness, 'q', { 'x-message-ttl': 100 }), refusal('precondition-failed', text))
  })

  it('is applied in as many slices as it takes, and to what is declared meanwhile only once', async () => {
    const harness = await BrokerHarness.open()
    for (let index = 0; index < 100; index++) declare(harness, `q${index}`)
    const vhost = harness.topology.vhosts.get('/')
    assert.ok(vhost !== undefined)
    await harness.broker.putPolicy('/', 'p', policy({ 'message-ttl': 5 }, { pattern: '[0-4]$' }))
    const task = new ApplyPolicies(new RunQueue(harness.clock), harness.shards)
    task.changed(vhost)
    let slices = 1
    for (; task.run(() => true); slices++) if (slices === 50) declare(harness, 'meanwhile4')
    // Every queue and exchange, the one that came meanwhile, and to find out that there are no more.
    assert.equal(slices, 100 + vhost.exchanges.size + 1 + 1)
    assert.equal(new Set(harness.shards.changed).size, 50)
    assert.equal(harness.shards.changed.length, 50)
  })

  it('that changes while it is applied is applied as it is then', async () => {
    const harness = await BrokerHarness.open()
    const queues = Array.from({ length: 500 }, (_, index) => declare(harness, `q${index}`))
    await harness.broker.putPolicy('/', 'p', policy({ 'message-ttl': 5 }))
    await harness.broker.putPolicy('/', 'p', policy({ 'message-ttl': 6 }))
    await harness.idle()
    assert.ok(queues.every(({ settings }) => settings.messageTtlMs === 6))
  })
})

describe('arguments and policies together', () => {
  const limits: [key: string, setting: keyof QueueSettings][] = [
    ['message-ttl', 'messageTtlMs'],
    ['expires', 'expiresMs'],
    ['max-length', 'maxLength'],
    ['max-length-bytes', 'maxLengthBytes'],
    ['delivery-limit', 'deliveryLimit'],
    ['consumer-timeout', 'consumerTimeoutMs'],
    ['group-limit', 'groupLimit'],
  ]
  for (const [key, setting] of limits) {
    it(`give the lowest ${key}`, async () => {
      const of = async (argument: number | null, user: number | null, operator: number | null): Promise<unknown> => {
        const said = (value: number | null): Table | null => (value === null ? null : { [key]: value })
        const table: Table = argument === null ? {} : { [`x-${key}`]: argument }
        return (await settingsUnder(table, said(user), said(operator)))[setting]
      }
      assert.equal(await of(5, 7, null), 5)
      assert.equal(await of(7, 5, null), 5)
      assert.equal(await of(7, 6, 5), 5)
      assert.equal(await of(7, null, 5), 5)
      assert.equal(await of(3, null, 5), 3)
      assert.equal(await of(null, 5, 7), 5)
      assert.equal(await of(null, 7, 5), 5)
      assert.equal(await of(null, null, 5), 5)
    })
  }

  it('of delivery limits a negative one is none', async () => {
    const limit = async (table: Table, user: Table): Promise<number | null> =>
      (await settingsUnder(table, user)).deliveryLimit
    assert.equal(await limit({ 'x-delivery-limit': -1 }, { 'delivery-limit': 5 }), 5)
    assert.equal(await limit({ 'x-delivery-limit': 5 }, { 'delivery-limit': -1 }), 5)
    assert.equal(await limit({ 'x-queue-type': 'quorum' }, { 'delivery-limit': -1 }), null)
    assert.equal(await limit({ 'x-queue-type': 'quorum' }, { 'delivery-limit': 30 }), 30)
  })

  it('in all that is no limit the argument stands', async () => {
    const user = { 'dead-letter-exchange': 'p', 'dead-letter-routing-key': 'pk', overflow: 'reject-publish' }
    const plain = await settingsUnder({}, user)
    assert.deepEqual(
      [plain.deadLetterExchange, plain.deadLetterRoutingKey, plain.overflow],
      ['p', 'pk', 'reject-publish'],
    )
    const own = await settingsUnder(
      { 'x-dead-letter-exchange': 'a', 'x-dead-letter-routing-key': 'ak', 'x-overflow': 'drop-head' },
      user,
    )
    assert.deepEqual([own.deadLetterExchange, own.deadLetterRoutingKey, own.overflow], ['a', 'ak', 'drop-head'])
  })

  it('a retry is the arguments’ or the policy’s, not half of each', async () => {
    const user = { 'retry-attempts': 3, 'retry-delay': 10, 'retry-jitter': 0, 'retry-backoff': 1.5 }
    const { retry } = await settingsUnder({}, user)
    assert.deepEqual([retry?.attempts, retry?.delayMs, retry?.jitter, retry?.backoff], [3, 10, 0, 1.5])
    const own = await settingsUnder({ 'x-retry-attempts': 9 }, user)
    assert.deepEqual([own.retry?.attempts, own.retry?.delayMs], [9, 1000])
    const linear = await settingsUnder({}, { 'delayed-retry-type': 'all', 'delayed-retry-min': 4 })
    assert.deepEqual([linear.retry?.backoff, linear.retry?.delayMs], ['linear', 4])
  })
})

describe('an alternate exchange by policy', () => {
  async function prepared(table: Table = {}): Promise<{ harness: BrokerHarness; to: () => string[] }> {
    const harness = await BrokerHarness.open()
    const session = harness.session()
    for (const name of ['a', 'b']) {
      declare(harness, `${name}-queue`)
      answer<boolean>((reply) => session.vhost.declareExchange(session, exchangeArguments(name, 'fanout'), reply))
      answer<boolean>((reply) => session.vhost.bindQueue(session, bindArguments(name, `${name}-queue`), reply))
    }
    answer<boolean>((reply) =>
      session.vhost.declareExchange(session, exchangeArguments('x', 'direct', { arguments: table }), reply),
    )
    return { harness, to: () => routed(session, 'x', 'nowhere') }
  }

  it('takes what no binding takes, at once for routes that are kept too', async () => {
    const { harness, to } = await prepared()
    assert.deepEqual(to(), [])
    const { routingVersion } = harness.session().vhost
    await harness.broker.putPolicy(
      '/',
      'p',
      policy({ 'alternate-exchange': 'a' }, { applyTo: 'exchanges', pattern: '^x$' }),
    )
    await harness.idle()
    assert.deepEqual(to(), ['a-queue'])
    assert.notEqual(harness.session().vhost.routingVersion, routingVersion)
    await harness.broker.deletePolicy('/', 'p')
    await harness.idle()
    assert.deepEqual(to(), [])
  })

  it('does not stand before the argument', async () => {
    const { harness, to } = await prepared({ 'alternate-exchange': 'b' })
    await harness.broker.putPolicy('/', 'p', policy({ 'alternate-exchange': 'a' }))
    await harness.idle()
    assert.deepEqual(to(), ['b-queue'])
  })
})

describe('a policy is refused', () => {
  const refused: [given: GivenPolicy, text: string][] = [
    [policy({ 'message-ttl': 'x' }), '<<"x">> is not a valid message TTL'],
    [policy({ 'message-ttl': -1 }), '-1 is not a valid message TTL'],
    [policy({ 'message-ttl': 1e300 }), '1e+300 is not a valid message TTL'],
    [policy({ expires: 0 }), '0 is not a valid queue expiry'],
    [policy({ 'max-length': 1.5 }), '1.5 is not a valid maximum length'],
    [policy({ 'max-length-bytes': true }), 'true is not a valid maximum length in bytes'],
    [policy({ overflow: 'drop' }), '<<"drop">> is not a valid overflow value'],
    [policy({ 'delivery-limit': null }), 'null is not a valid delivery limit'],
    [policy({ 'alternate-exchange': 1 }), '1 is not a valid alternate exchange name'],
    [policy({ 'dead-letter-exchange': [] }), '[] is not a valid dead letter exchange name'],
    [policy({ 'max-age': '1d' }), '<<"1d">> is not a valid max age'],
    [policy({ 'retry-backoff': 0.5 }), '0.5 is not a valid retry backoff'],
    [policy({ 'ha-mode': 'all', x: 1 }), '[{<<"ha-mode">>,<<"all">>},{<<"x">>,1}] are not recognised policy settings'],
    [policy({ 'max-priority': 5 }), '[{<<"max-priority">>,5}] are not recognised policy settings'],
    [policy(JSON.parse('{"__proto__":1}')), '[{<<"__proto__">>,1}] are not recognised policy settings'],
    [policy({}), 'no policy provided'],
    [{ pattern: '', definition: [] }, 'definition must be a dictionary: []'],
    [policy({ expires: 1 }, { priority: 'high' }), 'priority should be a number, actually was <<"high">>'],
    [
      policy({ expires: 1 }, { pattern: '(' }),
      'pattern should be regular expression but is invalid: it has a ( without its )',
    ],
    [policy({ expires: 1 }, { pattern: 5 }), 'pattern should be a binary but was 5'],
    [{ definition: { expires: 1 } }, 'Key "pattern" not found in policy'],
    [
      policy({ expires: 1 }, { applyTo: 'topics' }),
      "apply-to 'topics' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'",
    ],
  ]
  for (const [given, text] of refused) {
    it(`with ${JSON.stringify(given)}`, async () => {
      const { broker } = await BrokerHarness.open()
      const whole = `Validation failed\n\n${text}\n`
      await assert.rejects(broker.putPolicy('/', 'p', given), refusal('precondition-failed', whole))
      assert.deepEqual(broker.listPolicies('/'), [])
    })
  }

  it('of the operator with anything but limits', async () => {
    const { broker } = await BrokerHarness.open()
    const text = 'Validation failed\n\n[{<<"overflow">>,<<"drop-head">>}] are not recognised policy settings\n'
    const given = policy({ overflow: 'drop-head' })
    await assert.rejects(broker.putOperatorPolicy('/', 'p', given), refusal('precondition-failed', text))
  })

  it('in a vhost that is not there, and when it is not there itself', async () => {
    const { broker } = await BrokerHarness.open()
    await assert.rejects(broker.putPolicy('v', 'p', policy({ expires: 1 })), refusal('not-found', "no vhost 'v'"))
    await assert.rejects(broker.deletePolicy('/', 'p'), refusal('not-found', "no policy 'p' in vhost '/'"))
  })

  it('when a vhost has a thousand of them', async () => {
    const { broker } = await BrokerHarness.open()
    for (let index = 0; index < 1_000; index++) await broker.putPolicy('/', `p${index}`, policy({ expires: 1 }))
    const text = "cannot add policy: policy limit in vhost '/' (1000) is reached"
    await assert.rejects(broker.putPolicy('/', 'more', policy({ expires: 1 })), refusal('precondition-failed', text))
    await broker.putPolicy('/', 'p7', policy({ expires: 2 }))
  })
})

describe('policies after a restart', () => {
  it('are there, and apply to what was declared before and after them', async () => {
    const first = await BrokerHarness.open()
    declare(first, 'before')
    await first.broker.putPolicy('/', 'p', policy({ 'message-ttl': 1 }, { pattern: 'before|after', priority: 3 }))
    await first.broker.putPolicy('/', 'p', policy({ 'message-ttl': 2 }, { pattern: 'before|after', priority: 3 }))
    await first.broker.putOperatorPolicy('/', 'o', policy({ 'max-length': 3 }))
    await first.broker.putPolicy('/', 'gone', policy({ 'max-length': 4 }))
    await first.broker.deletePolicy('/', 'gone')
    declare(first, 'after')
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.deepEqual(durableDump(again.topology), durableDump(first.topology))
    for (const name of ['before', 'after']) {
      const { settings } = found(again, name)
      assert.deepEqual([settings.messageTtlMs, settings.maxLength], [2, 3], name)
    }
    assert.deepEqual(again.broker.listPolicies('/'), [
      { vhost: '/', name: 'p', pattern: 'before|after', applyTo: 'all', priority: 3, definition: { 'message-ttl': 2 } },
    ])
    assert.deepEqual(again.shards.changed, [])
  })

  it('go with their vhost', async () => {
    const first = await BrokerHarness.open()
    await first.broker.createVhost('v')
    await first.broker.putPolicy('v', 'p', policy({ expires: 1 }))
    await first.broker.putVhostLimits('v', { 'max-queues': 1 })
    await first.broker.deleteVhost('v')
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.deepEqual(durableDump(again.topology), durableDump(first.topology))
    assert.equal(again.topology.vhosts.size, 1)
  })

  it('survive their log being rewritten, which changes nothing for anyone', async () => {
    const first = await BrokerHarness.open(new TestLog({ segmentRecordsMax: 20 }))
    declare(first, 'q')
    await first.broker.putPolicy('/', 'p', policy({ expires: 1 }))
    await first.broker.putVhostLimits('/', { 'max-queues': 9 })
    await first.idle()
    const { settings } = found(first, 'q')
    for (let index = 0; index < 200; index++) {
      declare(first, 'come')
      first.topology.remove(found(first, 'come'))
      await first.idle()
    }
    assert.ok(first.log.freed > 5)
    assert.equal(found(first, 'q').settings, settings)
    assert.deepEqual(first.shards.changed, ['q'])
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.deepEqual(durableDump(again.topology), durableDump(first.topology))
  })
})
