import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PlainValue } from '../../../src/amqp/field-table.ts'
import type { Declared, QueueArguments } from '../../../src/broker/commands.ts'
import type { QueueSettings } from '../../../src/broker/queue/queue-settings.ts'
import { plainSettings } from '../../../src/broker/queue/queue-settings.ts'
import { isStream } from '../../../src/broker/topology/queue-arguments.ts'
import { answer, BrokerHarness, queueArguments, refusal } from '../../support/broker-harness.ts'

type Table = { readonly [key: string]: PlainValue }

async function declaring(): Promise<{
  harness: BrokerHarness
  declare: (name: string, table: Table, options?: Partial<Omit<QueueArguments, 'arguments'>>) => Declared
  settings: (table: Table) => QueueSettings
}> {
  const harness = await BrokerHarness.open()
  const session = harness.session()
  let count = 0
  const declare = (name: string, table: Table, options = {}): Declared => {
    const args = queueArguments(name, { isDurable: true, ...options, arguments: table })
    return answer<Declared>((reply) => session.vhost.declareQueue(session, args, reply)).result
  }
  const settings = (table: Table): QueueSettings => {
    const { name } = declare(`q${count++}`, table)
    const queue = harness.topology.vhosts.get('/')?.queues.get(name)
    assert.ok(queue !== undefined)
    return queue.settings
  }
  return { harness, declare, settings }
}

const huge = 2n ** 60n
const retried = { 'x-retry-attempts': 3 }
const deduplicated = { 'x-message-deduplication': true }

/** The argument, what it is given (with what it needs beside it), and RabbitMQ's way to say what is wrong. */
const refusals: [key: string, table: Table, why: string][] = [
  ['x-retry-attempts', { 'x-retry-attempts': 'many' }, '"expected integer, got longstr"'],
  ['x-retry-attempts', { 'x-retry-attempts': 1.5 }, '"expected integer, got double"'],
  ['x-retry-attempts', { 'x-retry-attempts': huge }, `{max_value_exceeded,${huge}}`],
  ['x-retry-delay', { 'x-retry-delay': -1 }, '{value_negative,-1}'],
  ['x-retry-delay', { 'x-retry-delay': huge }, `{value_too_large,${huge}}`],
  ['x-retry-delay', { 'x-retry-delay': NaN }, '"expected integer, got double"'],
  ['x-retry-backoff', { ...retried, 'x-retry-backoff': 0.99 }, '"expected number from 1 to 1000, got 0.99"'],
  ['x-retry-backoff', { ...retried, 'x-retry-backoff': NaN }, '"expected number from 1 to 1000, got NaN"'],
  ['x-retry-backoff', { ...retried, 'x-retry-backoff': Infinity }, '"expected number from 1 to 1000, got Infinity"'],
  ['x-retry-backoff', { ...retried, 'x-retry-backoff': '2' }, '"expected number, got longstr"'],
  ['x-retry-backoff', { 'x-retry-backoff': 2 }, '"means nothing without \'x-retry-attempts\'"'],
  ['x-retry-jitter', { ...retried, 'x-retry-jitter': 1.01 }, '"expected number from 0 to 1, got 1.01"'],
  ['x-retry-jitter', { ...retried, 'x-retry-jitter': -Infinity }, '"expected number from 0 to 1, got -Infinity"'],
  ['x-retry-max-delay', { ...retried, 'x-retry-max-delay': -7 }, '{value_negative,-7}'],
  ['x-retry-on', { ...retried, 'x-retry-on': 'failure' }, 'invalid_retry_on'],
  ['x-retry-parking-queue', { ...retried, 'x-retry-parking-queue': 7 }, '{unacceptable_type,signedint}'],
  ['x-retry-parking-queue', { ...retried, 'x-retry-parking-queue': '' }, '"expected a name, got nothing"'],
  ['x-retry-parking-queue', { ...retried, 'x-retry-parking-queue': 'ü'.repeat(128) }, '"longer than 255 bytes"'],
  ['x-retry-attempts', { ...retried, 'x-delayed-retry-min': 1 }, '"cannot be combined with \'x-delayed-retry-min\'"'],
  ['x-delayed-retry-type', { 'x-delayed-retry-type': 'some' }, 'invalid_delayed_retry_type'],
  ['x-delayed-retry-type', { 'x-delayed-retry-type': 'all' }, '"means nothing without \'x-delayed-retry-min\'"'],
  [
    'x-delayed-retry-max',
    { 'x-delayed-retry-type': 'all', 'x-delayed-retry-min': 5, 'x-delayed-retry-max': 4 },
    '"expected at least 5, got 4"',
  ],
  ['x-group-limit', { 'x-group-limit': 0 }, '{value_zero,0}'],
  ['x-group-limit', { 'x-group-limit': -1 }, '{value_negative,-1}'],
  ['x-group-limit', { 'x-group-limit': 1_000_001 }, '{max_value_exceeded,1000001}'],
  ['x-message-deduplication', { 'x-message-deduplication': 'yes' }, '{unacceptable_type,longstr}'],
  ['x-deduplication-window', { ...deduplicated, 'x-deduplication-window': 0 }, '{value_zero,0}'],
  ['x-deduplication-window', { 'x-deduplication-window': 1 }, '"means nothing without \'x-message-deduplication\'"'],
  ['x-deduplication-size', { ...deduplicated, 'x-deduplication-size': 0 }, '{value_zero,0}'],
  ['x-deduplication-size', { ...deduplicated, 'x-deduplication-size': huge }, `{max_value_exceeded,${huge}}`],
  ['x-cache-size', { ...deduplicated, 'x-cache-size': -1 }, '{value_negative,-1}'],
  [
    'x-deduplication-window',
    { ...deduplicated, 'x-deduplication-window': 1, 'x-cache-ttl': 1 },
    '"cannot be combined with \'x-cache-ttl\'"',
  ],
  ['x-consumer-timeout', { 'x-consumer-timeout': -1 }, '{value_negative,-1}'],
  ['x-delivery-limit', { 'x-delivery-limit': 1.5 }, '"expected integer, got double"'],
  ['x-queue-mode', { 'x-queue-mode': 'eager' }, '"unsupported queue mode \'eager\'"'],
]

const stream = { 'x-queue-type': 'stream' }

describe('the arguments of a queue', () => {
  for (const [key, table, why] of refusals) {
    it(`are refused: ${key} ${why}`, async () => {
      const { declare } = await declaring()
      const text = `invalid arg '${key}' for queue 'q' in vhost '/': ${why}`
      assert.throws(() => declare('q', table), refusal('precondition-failed', text))
    })
  }

  it('become settings, with what they do not say left at its default', async () => {
    const { settings } = await declaring()
    assert.deepEqual(settings({}), plainSettings)
    assert.deepEqual(settings({ 'x-retry-attempts': 3, 'x-retry-backoff': 1.5, 'x-retry-jitter': 0 }).retry, {
      attempts: 3,
      delayMs: 1000,
      backoff: 1.5,
      maxDelayMs: 3_600_000,
      jitter: 0,
      on: 'all',
      parkingQueue: null,
    })
    assert.equal(settings({ 'x-group-limit': 4 }).groupLimit, 4)
    assert.deepEqual(settings({ 'x-message-deduplication': true, 'x-cache-ttl': 5, 'x-cache-size': 6 }).deduplication, {
      windowMs: 5,
      idsMax: 6,
    })
    assert.equal(settings({ 'x-queue-type': 'quorum' }).deliveryLimit, 20)
    assert.equal(settings({ 'x-queue-type': 'quorum', 'x-delivery-limit': -1 }).deliveryLimit, null)
    assert.equal(settings({ 'x-consumer-timeout': 0 }).consumerTimeoutMs, null)
  })

  it('are compared when the queue is declared again, those that nobody knows are not', async () => {
    const { declare } = await declaring()
    declare('q', { 'x-group-limit': 2, 'x-whatever': 1 })
    declare('q', { 'x-group-limit': 2n, 'x-whatever': 2 })
    const text = "inequivalent arg 'x-group-limit' for queue 'q' in vhost '/': received '3' but current is '2'"
    assert.throws(() => declare('q', { 'x-group-limit': 3 }), refusal('precondition-failed', text))
  })
})

describe('a declare of a queue that is there', () => {
  it('is a use of it, passive or not', async () => {
    const { harness, declare } = await declaring()
    const used: string[] = []
    harness.shards.redeclared = (queue) => used.push(queue.definition.name)
    declare('q', {})
    assert.deepEqual(used, [])
    declare('q', {})
    declare('q', {}, { isPassive: true })
    assert.deepEqual(used, ['q', 'q'])
  })
})

describe('a stream', () => {
  it('takes its own arguments', async () => {
    const { harness, declare, settings } = await declaring()
    const made = settings({
      ...stream,
      'x-max-age': '7D',
      'x-max-length-bytes': 1_000_000,
      'x-stream-max-segment-size-bytes': 500_000,
      'x-stream-filter-size-bytes': 16,
      'x-initial-cluster-size': 1,
      'x-queue-leader-locator': 'balanced',
    })
    const { maxAgeMs, maxLengthBytes, segmentBytes, filterBytes } = made
    assert.deepEqual([maxAgeMs, maxLengthBytes, segmentBytes, filterBytes], [604_800_000, 1_000_000, 500_000, 16])
    declare('not', {})
    const queues = harness.topology.vhosts.get('/')?.queues
    const [first, second] = [queues?.get('q0'), queues?.get('not')]
    assert.ok(first !== undefined && second !== undefined)
    assert.deepEqual([isStream(first), isStream(second)], [true, false])
  })

  for (const [age, ms] of Object.entries({
    '1Y': 31_536_000_000,
    '2M': 5_184_000_000,
    '3h': 10_800_000,
    '4m': 240_000,
    '5s': 5_000,
  })) {
    it(`keeps its messages for ${age}`, async () => {
      const { settings } = await declaring()
      assert.equal(settings({ ...stream, 'x-max-age': age }).maxAgeMs, ms)
    })
  }

  for (const age of ['', '7', 'D', '7d', '0D', '-1D', '1.5h', '7D ', '1e3s', '999999999999Y', '٣D']) {
    it(`has no maximum age ${JSON.stringify(age)}`, async () => {
      const { declare } = await declaring()
      const text = "invalid arg 'x-max-age' for queue 's' in vhost '/': invalid_max_age"
      assert.throws(() => declare('s', { ...stream, 'x-max-age': age }), refusal('precondition-failed', text))
    })
  }

  const notForStreams: Table[] = [
    { 'x-single-active-consumer': true },
    { 'x-max-priority': 5 },
    { 'x-message-ttl': 1 },
    { 'x-expires': 1 },
    { 'x-max-length': 1 },
    { 'x-overflow': 'drop-head' },
    { 'x-dead-letter-exchange': '' },
    { 'x-delivery-limit': 1 },
    { 'x-retry-attempts': 1 },
    { 'x-group-limit': 1 },
    { 'x-message-deduplication': true },
  ]
  for (const table of notForStreams) {
    const [key = ''] = Object.keys(table)
    it(`refuses ${key}`, async () => {
      const { declare } = await declaring()
      const text = `invalid arg '${key}' for queue 's' in vhost '/' of queue type stream`
      assert.throws(() => declare('s', { ...stream, ...table }), refusal('precondition-failed', text))
    })
  }

  const properties: [string, Partial<QueueArguments>][] = [
    ['auto-delete', { isAutoDelete: true }],
    ['exclusive-owner', { isExclusive: true }],
    ['non-durable', { isDurable: false }],
  ]
  for (const [property, options] of properties) {
    it(`cannot be ${property}`, async () => {
      const { declare } = await declaring()
      const text = `invalid property '${property}' for queue 's' in vhost '/'`
      assert.throws(() => declare('s', stream, options), refusal('precondition-failed', text))
    })
  }

  it('has a name of its own, and a filter of 16 to 255 bytes', async () => {
    const { declare } = await declaring()
    const named = 'Cannot declare a server-named queue for type rabbit_stream_queue'
    assert.throws(() => declare('', stream), refusal('precondition-failed', named))
    const filter =
      "invalid arg 'x-stream-filter-size-bytes' for queue 's' in vhost '/': \"expected number from 16 to 255, got 15\""
    const table = { ...stream, 'x-stream-filter-size-bytes': 15 }
    assert.throws(() => declare('s', table), refusal('precondition-failed', filter))
  })
})
