import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FieldValue, fieldTable } from '../../../src/amqp/field-table.ts'
import type { Declared } from '../../../src/broker/commands.ts'
import type { BrokerError } from '../../../src/broker/errors.ts'
import type { Consumer } from '../../../src/broker/ports.ts'
import type { BrokerSession } from '../../../src/broker/session.ts'
import {
  answer,
  BrokerHarness,
  bindArguments,
  consumeArguments,
  exchangeArguments,
  queueArguments,
  refusal,
  routed,
} from '../../support/broker-harness.ts'
import { TestLog } from '../../support/test-log.ts'

type QueueOptions = Parameters<typeof queueArguments>[1]
type ExchangeOptions = Parameters<typeof exchangeArguments>[2]

function declareQueue(session: BrokerSession, name: string, options?: QueueOptions): Declared {
  return answer<Declared>((reply) => session.vhost.declareQueue(session, queueArguments(name, options), reply)).result
}

function declareExchange(session: BrokerSession, name: string, type: string, options?: ExchangeOptions): number {
  const args = exchangeArguments(name, type, options)
  return answer<boolean>((reply) => session.vhost.declareExchange(session, args, reply)).position
}

function bind(session: BrokerSession, source: string, queue: string, key = '', table = {}): number {
  return answer<boolean>((reply) => session.vhost.bindQueue(session, bindArguments(source, queue, key, table), reply))
    .position
}

function bindExchange(session: BrokerSession, source: string, destination: string, key = ''): void {
  answer<boolean>((reply) => session.vhost.bindExchange(session, bindArguments(source, destination, key), reply))
}

function unbind(session: BrokerSession, source: string, queue: string, key = ''): number {
  return answer<boolean>((reply) => session.vhost.unbindQueue(session, bindArguments(source, queue, key), reply))
    .position
}

function deleteQueue(session: BrokerSession, name: string, conditions = { ifUnused: false, ifEmpty: false }): number {
  return answer<number>((reply) => session.vhost.deleteQueue(session, name, conditions, reply)).result
}

function deleteExchange(session: BrokerSession, name: string, ifUnused = false): void {
  answer<void>((reply) => session.vhost.deleteExchange(session, name, ifUnused, reply))
}

function consume(session: BrokerSession, queue: string, tag: string): Consumer {
  return answer<Consumer>((reply) => session.vhost.consume(session, consumeArguments(queue, tag), reply)).result
}

function refused(kind: BrokerError['kind'], text: string, command: () => unknown): void {
  assert.throws(command, refusal(kind, text))
}

async function opened(): Promise<{ harness: BrokerHarness; session: BrokerSession }> {
  const harness = await BrokerHarness.open()
  return { harness, session: harness.session() }
}

describe('declaring a queue', () => {
  it('makes it, reachable by its name through the default exchange', async () => {
    const { session } = await opened()
    assert.deepEqual(declareQueue(session, 'q'), { name: 'q', isNew: true, ready: 0, unacked: 0, consumers: 0 })
    assert.deepEqual(routed(session, '', 'q'), ['q'])
    assert.deepEqual(routed(session, '', 'other'), [])
  })

  it('answers with what it holds when it exists', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'q')
    for (const status of harness.shards.statuses.values()) Object.assign(status, { ready: 3, unacked: 2, consumers: 1 })
    assert.deepEqual(declareQueue(session, 'q'), { name: 'q', isNew: false, ready: 3, unacked: 2, consumers: 1 })
    assert.deepEqual(declareQueue(session, 'q', { isPassive: true, isDurable: true }).ready, 3)
  })

  it('makes a name of its own for an empty one', async () => {
    const { session } = await opened()
    const { name } = declareQueue(session, '')
    assert.match(name, /^amq\.gen-[A-Za-z0-9_-]{22}$/)
    assert.notEqual(declareQueue(session, '').name, name)
    assert.equal(declareQueue(session, name).name, name, 'the name can be used, only not be made up')
  })

  it('takes line breaks out of names and refuses other control characters', async () => {
    const { session } = await opened()
    assert.equal(declareQueue(session, 'a\r\nb').name, 'ab')
    refused('precondition-failed', 'queue name "a\\u0000b" contains control characters', () =>
      declareQueue(session, 'a\0b'),
    )
  })

  it('keeps names that begin with amq. for itself', async () => {
    const { session } = await opened()
    const text = "queue name 'amq.mine' contains reserved prefix 'amq.*'"
    refused('access-refused', text, () => declareQueue(session, 'amq.mine'))
    refused('not-found', "no queue 'amq.mine' in vhost '/'", () =>
      declareQueue(session, 'amq.mine', { isPassive: true }),
    )
  })

  it('is refused when a property differs, in RabbitMQ’s words', async () => {
    const { session } = await opened()
    declareQueue(session, 'q', { isDurable: true })
    const durable = "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"
    refused('precondition-failed', durable, () => declareQueue(session, 'q'))
    const autoDelete =
      "inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'"
    refused('precondition-failed', autoDelete, () =>
      declareQueue(session, 'q', { isDurable: true, isAutoDelete: true }),
    )
  })

  it('compares the arguments it knows, numbers by class', async () => {
    const { session } = await opened()
    declareQueue(session, 'q', { arguments: { 'x-message-ttl': 1000, 'x-mine': 1 } })
    const none =
      "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '1000' of type 'signedint'"
    refused('precondition-failed', none, () => declareQueue(session, 'q'))
    const other = "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '2000' but current is '1000'"
    refused('precondition-failed', other, () => declareQueue(session, 'q', { arguments: { 'x-message-ttl': 2000 } }))
    const fraction =
      "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '1000' but current is '1000'"
    for (const [field, isSame] of [
      [{ tag: 'l', value: 1000 }, true],
      [{ tag: 's', value: 1000 }, true],
      [{ tag: 'd', value: 1000 }, false],
    ] as [FieldValue, boolean][]) {
      const table = fieldTable(new Map([['x-message-ttl', field]]))
      const args = { ...queueArguments('q'), arguments: table }
      const declare = (): unknown => answer<Declared>((reply) => session.vhost.declareQueue(session, args, reply))
      if (isSame) declare()
      else refused('precondition-failed', fraction, declare)
    }
  })

  it('takes no x-queue-type for classic', async () => {
    const { session } = await opened()
    declareQueue(session, 'plain')
    declareQueue(session, 'plain', { arguments: { 'x-queue-type': 'classic' } })
    declareQueue(session, 'typed', { arguments: { 'x-queue-type': 'quorum' } })
    const text =
      "inequivalent arg 'x-queue-type' for queue 'typed' in vhost '/': received 'classic' but current is 'quorum'"
    refused('precondition-failed', text, () => declareQueue(session, 'typed'))
  })

  const invalid: [string, Record<string, string | number | boolean>, string][] = [
    ['x-message-ttl', { 'x-message-ttl': -1 }, '{value_negative,-1}'],
    ['x-message-ttl', { 'x-message-ttl': '1000' }, '"expected integer, got longstr"'],
    ['x-message-ttl', { 'x-message-ttl': 315_360_000_001 }, '{value_too_large,315360000001}'],
    ['x-expires', { 'x-expires': 0 }, '{value_zero,0}'],
    ['x-max-length', { 'x-max-length': -5 }, '{value_negative,-5}'],
    ['x-max-length-bytes', { 'x-max-length-bytes': 1.5 }, '"expected integer, got double"'],
    ['x-max-priority', { 'x-max-priority': 256 }, '{max_value_exceeded,256}'],
    ['x-overflow', { 'x-overflow': 'drop' }, 'invalid_overflow'],
    ['x-dead-letter-routing-key', { 'x-dead-letter-routing-key': 'k' }, 'routing_key_but_no_dlx_defined'],
    ['x-single-active-consumer', { 'x-single-active-consumer': 1 }, '{unacceptable_type,signedint}'],
    ['x-queue-type', { 'x-queue-type': 'stack' }, '"unsupported queue type \'stack\'"'],
    ['x-queue-type', { 'x-queue-type': true }, '{unacceptable_type,bool}'],
    ['x-dead-letter-strategy', { 'x-dead-letter-strategy': 'never' }, 'invalid_dlx_strategy'],
    ['x-queue-leader-locator', { 'x-queue-leader-locator': 'here' }, 'invalid_queue_locator_arg'],
    ['x-queue-version', { 'x-queue-version': 3 }, '"unsupported queue version \'3\'"'],
  ]
  for (const [key, table, why] of invalid) {
    it(`refuses ${JSON.stringify(table)}`, async () => {
      const { session } = await opened()
      const text = `invalid arg '${key}' for queue 'q' in vhost '/': ${why}`
      refused('precondition-failed', text, () => declareQueue(session, 'q', { arguments: table }))
      refused('not-found', "no queue 'q' in vhost '/'", () => declareQueue(session, 'q', { isPassive: true }))
    })
  }

  it('refuses a dead-letter exchange that is no name, and arguments of streams', async () => {
    const { session } = await opened()
    const noName = "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
    refused('precondition-failed', noName, () =>
      declareQueue(session, 'q', { arguments: { 'x-dead-letter-exchange': 1 } }),
    )
    const stream = "invalid arg 'x-max-age' for queue 'q' in vhost '/' of queue type classic"
    refused('precondition-failed', stream, () => declareQueue(session, 'q', { arguments: { 'x-max-age': '1h' } }))
  })

  it('accepts every argument of classic and quorum queues within its range', async () => {
    const { session } = await opened()
    const table = {
      'x-expires': 1,
      'x-message-ttl': 0,
      'x-max-priority': 255,
      'x-max-length': 0,
      'x-overflow': 'reject-publish-dlx',
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'k',
      'x-single-active-consumer': true,
      'x-delivery-limit': -1,
      'x-queue-mode': 'lazy',
      'x-queue-type': 'quorum',
    }
    declareQueue(session, 'q', { arguments: table })
    declareQueue(session, 'q', { arguments: table })
  })

  it('is refused above the disk’s room, unless nothing needs to be stored', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'old', { isDurable: true })
    harness.log.isFull = true
    const text = 'no room is left on disk to store new definitions'
    refused('precondition-failed', text, () => declareQueue(session, 'new', { isDurable: true }))
    declareQueue(session, 'transient')
    declareQueue(session, 'old', { isDurable: true })
    assert.equal(deleteQueue(session, 'old'), 0)
  })
})

describe('an exclusive queue', () => {
  const locked =
    "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on another " +
    'connection or the exclusive property value does not match that of the original declaration.'

  it('is locked for every other session, whatever it wants', async () => {
    const { harness, session } = await opened()
    const other = harness.session()
    declareQueue(session, 'q', { isExclusive: true })
    declareExchange(session, 'x', 'fanout')
    const commands = [
      () => declareQueue(other, 'q', { isExclusive: true }),
      () => declareQueue(other, 'q'),
      () => declareQueue(other, 'q', { isPassive: true }),
      () => deleteQueue(other, 'q'),
      () => bind(other, 'x', 'q'),
      () => unbind(other, 'x', 'q'),
      () => consume(other, 'q', 'c'),
      () => answer<number>((reply) => other.vhost.purgeQueue(other, 'q', reply)),
      () => other.vhost.get(other, 'q', true, { message: () => {}, empty: () => {}, failed: () => {} }),
    ]
    for (const command of commands) refused('resource-locked', locked, command)
    bind(session, 'x', 'q')
    consume(session, 'q', 'c')
    declareQueue(session, 'q', { isExclusive: true })
  })

  it('must be declared as exclusive again, and others may not', async () => {
    const { session } = await opened()
    declareQueue(session, 'q', { isExclusive: true })
    refused('resource-locked', locked, () => declareQueue(session, 'q'))
    declareQueue(session, 'shared')
    const text = locked.replace("'q'", "'shared'")
    refused('resource-locked', text, () => declareQueue(session, 'shared', { isExclusive: true }))
  })

  it('is transient even when declared durable', async () => {
    const { harness, session } = await opened()
    const before = harness.log.appended
    declareQueue(session, 'q', { isExclusive: true, isDurable: true })
    assert.equal(harness.log.appended, before)
    declareQueue(session, 'q', { isExclusive: true, isDurable: false })
  })

  it('goes with its session, before `done` is called, and leaves others alone', async () => {
    const { harness, session } = await opened()
    const other = harness.session()
    declareQueue(session, 'mine', { isExclusive: true })
    declareQueue(session, 'shared')
    declareQueue(other, 'theirs', { isExclusive: true })
    const dropped = await new Promise((resolve) => {
      harness.broker.closeSession(session, () => resolve([...harness.shards.dropped]))
    })
    assert.deepEqual(dropped, ['mine'])
    assert.deepEqual(routed(other, '', 'theirs'), ['theirs'])
  })
})

describe('declaring an exchange', () => {
  it('makes it, and again only when it is the same', async () => {
    const { session } = await opened()
    declareExchange(session, 'x', 'topic', {
      isDurable: true,
      isInternal: true,
      arguments: { 'alternate-exchange': 'a' },
    })
    const same = { isDurable: true, isInternal: true, arguments: { 'alternate-exchange': 'a', unknown: 1 } }
    declareExchange(session, 'x', 'topic', same)
    const text = (name: string, received: string, current: string): string =>
      `inequivalent arg '${name}' for exchange 'x' in vhost '/': received ${received} but current is ${current}`
    const cases: [string, ExchangeOptions, string][] = [
      ['direct', same, text('type', "'direct'", "'topic'")],
      ['topic', { ...same, isDurable: false }, text('durable', "'false'", "'true'")],
      ['topic', { ...same, isAutoDelete: true }, text('auto_delete', "'true'", "'false'")],
      ['topic', { ...same, isInternal: false }, text('internal', "'false'", "'true'")],
      ['topic', { ...same, arguments: {} }, text('alternate-exchange', 'none', "the value 'a' of type 'longstr'")],
    ]
    for (const [type, options, expected] of cases) {
      refused('precondition-failed', expected, () => declareExchange(session, 'x', type, options))
    }
  })

  it('finds those that every vhost has, and makes none of their kind', async () => {
    const { session } = await opened()
    for (const [name, type] of [
      ['amq.direct', 'direct'],
      ['amq.fanout', 'fanout'],
      ['amq.topic', 'topic'],
      ['amq.headers', 'headers'],
      ['amq.match', 'headers'],
    ] as const) {
      declareExchange(session, name, type, { isDurable: true })
      declareExchange(session, name, '', { isPassive: true })
    }
    declareExchange(session, 'amq.rabbitmq.trace', 'topic', { isDurable: true, isInternal: true })
    const text = "exchange name 'amq.mine' contains reserved prefix 'amq.*'"
    refused('access-refused', text, () => declareExchange(session, 'amq.mine', 'direct'))
  })

  it('refuses unknown types, missing ones when passive, and alternates that are no name', async () => {
    const { session } = await opened()
    refused('command-invalid', "unknown exchange type 'x-hash'", () => declareExchange(session, 'x', 'x-hash'))
    const missing = "no exchange 'x' in vhost '/'"
    refused('not-found', missing, () => declareExchange(session, 'x', 'direct', { isPassive: true }))
    const alternate = "invalid type 'bool' for arg 'alternate-exchange' in exchange 'x' in vhost '/'"
    const options = { arguments: { 'alternate-exchange': true } }
    refused('precondition-failed', alternate, () => declareExchange(session, 'x', 'direct', options))
  })

  it('is refused on the default exchange, as is deleting and binding it', async () => {
    const { session } = await opened()
    declareQueue(session, 'q')
    declareExchange(session, 'x', 'fanout')
    const text = 'operation not permitted on the default exchange'
    refused('access-refused', text, () => declareExchange(session, '', 'direct', { isDurable: true }))
    refused('access-refused', text, () => declareExchange(session, '', 'direct', { isPassive: true }))
    refused('access-refused', text, () => deleteExchange(session, ''))
    refused('access-refused', text, () => bind(session, '', 'q', 'k'))
    refused('access-refused', text, () => unbind(session, '', 'q', 'q'))
    refused('access-refused', text, () => bindExchange(session, '', 'x'))
    refused('access-refused', text, () => bindExchange(session, 'x', ''))
  })
})

describe('deleting', () => {
  it('answers ok for what is not there', async () => {
    const { session } = await opened()
    assert.equal(deleteQueue(session, 'nothing'), 0)
    deleteExchange(session, 'nothing')
    declareQueue(session, 'q')
    declareExchange(session, 'x', 'direct')
    unbind(session, 'x', 'q', 'never bound')
    unbind(session, 'nothing', 'q')
    unbind(session, 'x', 'nothing')
    answer<boolean>((reply) => session.vhost.unbindExchange(session, bindArguments('x', 'nothing'), reply))
  })

  it('reports how many messages were ready, and tells the shard', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'q')
    for (const status of harness.shards.statuses.values()) status.ready = 7
    assert.equal(deleteQueue(session, 'q'), 7)
    assert.deepEqual(harness.shards.dropped, ['q'])
    assert.deepEqual(routed(session, '', 'q'), [])
  })

  it('minds if-unused and if-empty', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'q')
    const [status] = harness.shards.statuses.values()
    assert.ok(status)
    status.consumers = 1
    const used = { ifUnused: true, ifEmpty: false }
    refused('precondition-failed', "queue 'q' in vhost '/' in use", () => deleteQueue(session, 'q', used))
    Object.assign(status, { consumers: 0, ready: 1 })
    const empty = { ifUnused: false, ifEmpty: true }
    refused('precondition-failed', "queue 'q' in vhost '/' not empty", () => deleteQueue(session, 'q', empty))
    assert.equal(deleteQueue(session, 'q', used), 1)

    declareExchange(session, 'x', 'fanout')
    declareQueue(session, 'q')
    bind(session, 'x', 'q')
    refused('precondition-failed', "exchange 'x' in vhost '/' in use", () => deleteExchange(session, 'x', true))
    unbind(session, 'x', 'q')
    deleteExchange(session, 'x', true)
  })

  it('is refused for exchanges every vhost has', async () => {
    const { session } = await opened()
    const text = "deletion of system exchange 'amq.topic' in vhost '/' not allowed"
    refused('access-refused', text, () => deleteExchange(session, 'amq.topic'))
    refused('access-refused', text.replace('topic', 'mine'), () => deleteExchange(session, 'amq.mine'))
  })

  it('takes the bindings along, on both sides', async () => {
    const { session } = await opened()
    declareQueue(session, 'q')
    declareExchange(session, 'a', 'fanout')
    declareExchange(session, 'b', 'fanout')
    bind(session, 'b', 'q')
    bindExchange(session, 'a', 'b')
    assert.deepEqual(routed(session, 'a', ''), ['q'])
    deleteExchange(session, 'b')
    assert.deepEqual(routed(session, 'a', ''), [])
    declareExchange(session, 'b', 'fanout')
    assert.deepEqual(routed(session, 'b', ''), [], 'a new exchange of that name has none of its bindings')
    deleteQueue(session, 'q')
    declareQueue(session, 'q')
    bind(session, 'b', 'q')
    assert.deepEqual(routed(session, 'b', ''), ['q'])
  })
})

describe('deleting what has very many bindings', () => {
  /** `q` is bound to `x` by 3,000 keys; nothing has had a turn when it is deleted. */
  async function bound(options: { isAutoDelete?: boolean } = {}): ReturnType<typeof opened> {
    const { harness, session } = await opened()
    declareExchange(session, 'x', 'direct', options)
    declareQueue(session, 'q')
    for (let index = 0; index < 3_000; index++) bind(session, 'x', 'q', `key.${index}`)
    return { harness, session }
  }

  const bindings = (harness: BrokerHarness): number | undefined => harness.topology.vhosts.get('/')?.bindingCount

  it('is done at once for whoever asks, and the bindings follow in later turns', async () => {
    const { harness, session } = await bound()
    deleteQueue(session, 'q')
    assert.equal(bindings(harness), 3_000)
    assert.deepEqual(routed(session, 'x', 'key.7'), [])
    declareQueue(session, 'q')
    bind(session, 'x', 'q', 'key.7')
    assert.deepEqual(routed(session, 'x', 'key.7'), ['q'])
    await harness.idle()
    assert.equal(bindings(harness), 1)
    assert.deepEqual(routed(session, 'x', 'key.7'), ['q'])
  })

  it('sends messages to the alternate exchange at once', async () => {
    const { harness, session } = await opened()
    declareExchange(session, 'others', 'fanout')
    declareQueue(session, 'rest')
    bind(session, 'others', 'rest')
    declareExchange(session, 'x', 'fanout', { arguments: { 'alternate-exchange': 'others' } })
    declareQueue(session, 'q')
    for (let index = 0; index < 3_000; index++) bind(session, 'x', 'q', `key.${index}`)
    deleteQueue(session, 'q')
    assert.deepEqual(routed(session, 'x', ''), ['rest'])
    await harness.idle()
    assert.deepEqual(routed(session, 'x', ''), ['rest'])
  })

  it('leaves an exchange unused, or takes an auto-delete exchange along', async () => {
    const { session } = await bound()
    deleteQueue(session, 'q')
    deleteExchange(session, 'x', true)
    const other = await bound({ isAutoDelete: true })
    declareQueue(other.session, 'last')
    bind(other.session, 'x', 'last', 'k')
    deleteQueue(other.session, 'q')
    assert.deepEqual(routed(other.session, 'x', 'k'), ['last'])
    deleteQueue(other.session, 'last')
    refused('not-found', "no exchange 'x' in vhost '/'", () => routed(other.session, 'x', 'k'))
  })

  it('goes for an exchange too, whose queues stay', async () => {
    const { harness, session } = await bound()
    declareExchange(session, 'front', 'fanout')
    bindExchange(session, 'front', 'x')
    deleteExchange(session, 'x')
    assert.deepEqual(routed(session, 'front', 'key.7'), [])
    refused('not-found', "no exchange 'x' in vhost '/'", () => routed(session, 'x', 'key.7'))
    declareExchange(session, 'x', 'fanout')
    deleteQueue(session, 'q')
    await harness.idle()
    assert.equal(bindings(harness), 0)
  })
})

describe('auto-delete', () => {
  it('deletes an exchange with the last binding from it, and those that this leaves without one', async () => {
    const { session } = await opened()
    declareQueue(session, 'q')
    for (const name of ['a', 'b', 'c']) declareExchange(session, name, 'fanout', { isAutoDelete: true })
    declareExchange(session, 'kept', 'fanout')
    bindExchange(session, 'a', 'b')
    bindExchange(session, 'b', 'c')
    bindExchange(session, 'kept', 'c')
    bind(session, 'c', 'q', 'one')
    bind(session, 'c', 'q', 'two')
    unbind(session, 'c', 'q', 'one')
    assert.deepEqual(routed(session, 'a', ''), ['q'])
    deleteQueue(session, 'q')
    for (const name of ['a', 'b', 'c']) {
      refused('not-found', `no exchange '${name}' in vhost '/'`, () => routed(session, name, ''))
    }
    assert.deepEqual(routed(session, 'kept', ''), [])
  })

  it('leaves an exchange that never had a binding', async () => {
    const { session } = await opened()
    declareExchange(session, 'x', 'fanout', { isAutoDelete: true })
    declareQueue(session, 'q')
    deleteQueue(session, 'q')
    assert.deepEqual(routed(session, 'x', ''), [])
  })

  it('ends cycles of auto-delete exchanges', async () => {
    const { session } = await opened()
    for (const name of ['a', 'b']) declareExchange(session, name, 'fanout', { isAutoDelete: true })
    bindExchange(session, 'a', 'b')
    bindExchange(session, 'b', 'a')
    deleteExchange(session, 'a')
    refused('not-found', "no exchange 'b' in vhost '/'", () => routed(session, 'b', ''))
  })

  it('deletes a queue when its last consumer is cancelled, only after it had one', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'q', { isAutoDelete: true })
    declareQueue(session, 'other')
    const first = consume(session, 'q', 'c1')
    const second = consume(session, 'q', 'c2')
    const elsewhere = consume(session, 'other', 'c3')
    answer<void>((reply) => session.vhost.cancel(first, reply))
    answer<void>((reply) => session.vhost.cancel(elsewhere, reply))
    assert.deepEqual(harness.shards.dropped, [])
    answer<void>((reply) => session.vhost.cancel(second, reply))
    assert.deepEqual(harness.shards.dropped, ['q'])
  })

  it('does not delete the queue of that name that was declared since', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'q', { isAutoDelete: true })
    const consumer = consume(session, 'q', 'c')
    deleteQueue(session, 'q')
    declareQueue(session, 'q', { isAutoDelete: true })
    answer<void>((reply) => session.vhost.cancel(consumer, reply))
    assert.deepEqual(harness.shards.dropped, ['q'])
    assert.deepEqual(routed(session, '', 'q'), ['q'])
  })
})

describe('binding', () => {
  it('needs both ends, the exchange first', async () => {
    const { session } = await opened()
    refused('not-found', "no exchange 'x' in vhost '/'", () => bind(session, 'x', 'q'))
    declareExchange(session, 'x', 'direct')
    refused('not-found', "no queue 'q' in vhost '/'", () => bind(session, 'x', 'q'))
    refused('not-found', "no exchange 'y' in vhost '/'", () => bindExchange(session, 'x', 'y'))
  })

  it('is unique by source, destination, key and arguments', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'q')
    declareExchange(session, 'x', 'direct')
    const count = (): number | undefined => harness.topology.vhosts.get('/')?.bindingCount
    bind(session, 'x', 'q', 'k', { a: 1, b: 'two' })
    bind(session, 'x', 'q', 'k', { b: 'two', a: 1 })
    assert.equal(count(), 1)
    bind(session, 'x', 'q', 'k', { a: 1, b: 'three' })
    bind(session, 'x', 'q', 'k')
    bind(session, 'x', 'q', 'k2')
    assert.equal(count(), 4)
    unbind(session, 'x', 'q', 'k')
    assert.equal(count(), 3)
    assert.deepEqual(routed(session, 'x', 'k'), ['q'], 'the others with that key stay')
  })

  it('refuses what no exchange of its type can match', async () => {
    const { session } = await opened()
    declareQueue(session, 'q')
    const hashes = "Topic binding key '#.#.a.#' uses 3 '#' wildcards, at most 2 are allowed"
    refused('precondition-failed', hashes, () => bind(session, 'amq.topic', 'q', '#.#.a.#'))
    bind(session, 'amq.topic', 'q', '#.a.#')
    bind(session, 'amq.direct', 'q', '#.#.#')
    const match = "Invalid x-match field value 'some'; expected all, any, all-with-x, or any-with-x"
    refused('precondition-failed', match, () => bind(session, 'amq.headers', 'q', '', { 'x-match': 'some' }))
    assert.throws(() => bind(session, 'amq.headers', 'q', '', { 'x-match': 1 }))
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`h${index}`, index]))
    const limit = "cannot bind to exchange 'amq.headers' in vhost '/': binding argument limit (256) is reached"
    refused('precondition-failed', limit, () => bind(session, 'amq.headers', 'q', '', many))
  })
})

describe('consuming', () => {
  it('reads the priority and refuses what is none', async () => {
    const { session } = await opened()
    declareQueue(session, 'q')
    const withPriority = (field: FieldValue): Consumer => {
      const table = fieldTable(new Map([['x-priority', field]]))
      const args = consumeArguments('q', 'c', { arguments: table })
      return answer<Consumer>((reply) => session.vhost.consume(session, args, reply)).result
    }
    assert.equal(withPriority({ tag: 'I', value: -3 }).priority, -3)
    assert.equal(consume(session, 'q', 'd').priority, 0)
    const text = "invalid arg 'x-priority' for queue 'q' in vhost '/': \"expected integer, got longstr\""
    refused('precondition-failed', text, () => withPriority({ tag: 'S', value: 'high' }))
  })

  it('gives every consumer an id of its own and the shard all that was asked', async () => {
    const { harness, session } = await opened()
    declareQueue(session, 'q')
    const first = consume(session, 'q', 'c1')
    const second = consume(session, 'q', 'c2')
    assert.notEqual(first.id, second.id)
    session.vhost.activate(first)
    session.vhost.resume(first)
    session.vhost.settle(first.queue, first, 1, 2, 'ack')
    assert.deepEqual(harness.shards.shards[0]?.calls, [
      'register c1',
      'register c2',
      'activate c1',
      'resume c1',
      'settle q 1-2 ack',
    ])
  })
})

describe('what an answer waits for', () => {
  it('is the change’s own position, nothing for transient changes', async () => {
    const { harness, session } = await opened()
    assert.equal(declareExchange(session, 'x', 'fanout', { isDurable: true }), harness.log.appended)
    declareQueue(session, 'q', { isDurable: true })
    assert.equal(bind(session, 'x', 'q'), harness.log.appended)
    declareQueue(session, 't')
    assert.equal(bind(session, 'x', 't'), 0)
    assert.equal(unbind(session, 'x', 't'), 0)
    assert.equal(unbind(session, 'x', 'q'), harness.log.appended)
  })

  it('is, when nothing changes, what the thing itself still waits for', async () => {
    const log = new TestLog()
    const first = await BrokerHarness.open(log)
    const again = first.log.afterCrash({ isCommittedAtOnce: false })
    const opening = BrokerHarness.open(again)
    again.commit()
    await new Promise((resolve) => setImmediate(resolve))
    again.commit()
    const session = (await opening).session()
    const position = declareExchange(session, 'x', 'fanout', { isDurable: true })
    assert.ok(position > again.committed)
    declareExchange(session, 'y', 'fanout', { isDurable: true })
    assert.equal(declareExchange(session, 'x', 'fanout', { isDurable: true }), position)
    assert.equal(declareExchange(session, 'x', '', { isPassive: true }), position)
    assert.equal(unbind(session, 'x', 'q'), again.appended, 'that it is not there is not committed either')
    again.commit()
    assert.equal(declareExchange(session, 'x', 'fanout', { isDurable: true }), 0)
    assert.equal(unbind(session, 'x', 'q'), 0)
  })
})
