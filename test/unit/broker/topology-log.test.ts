import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { type FieldValue, fieldTable } from '../../../src/amqp/field-table.ts'
import type { Declared } from '../../../src/broker/commands.ts'
import type { BrokerSession } from '../../../src/broker/session.ts'
import {
  answer,
  BrokerHarness,
  bindArguments,
  exchangeArguments,
  queueArguments,
  refusal,
  routed,
} from '../../support/broker-harness.ts'
import { projectRoot } from '../../support/project-root.ts'
import { TestLog } from '../../support/test-log.ts'
import { durableDump } from '../../support/topology-dump.ts'

const durable = { isDurable: true }
const noConditions = { ifUnused: false, ifEmpty: false }

function declareQueue(
  session: BrokerSession,
  name: string,
  options: Parameters<typeof queueArguments>[1] = durable,
): void {
  answer<Declared>((reply) => session.vhost.declareQueue(session, queueArguments(name, options), reply))
}

function declareExchange(session: BrokerSession, name: string, options: object = durable): void {
  answer<boolean>((reply) => session.vhost.declareExchange(session, exchangeArguments(name, 'topic', options), reply))
}

function bind(session: BrokerSession, source: string, queue: string, key: string): void {
  answer<boolean>((reply) => session.vhost.bindQueue(session, bindArguments(source, queue, key), reply))
}

function deleteQueue(session: BrokerSession, name: string): void {
  answer<number>((reply) => session.vhost.deleteQueue(session, name, noConditions, reply))
}

function idOf(harness: BrokerHarness, queue: string): number {
  const id = harness.topology.vhosts.get('/')?.queues.get(queue)?.id
  assert.ok(id !== undefined)
  return id
}

/** Opens over a log that commits only when told to: the term's own commit included. */
async function openUncommitted(log: TestLog): Promise<BrokerHarness> {
  const opening = BrokerHarness.open(log)
  await new Promise((resolve) => setImmediate(resolve))
  log.commit()
  return opening
}

describe('a first start', () => {
  it('makes the vhost / and a guest who may do everything there', async () => {
    const harness = await BrokerHarness.open()
    assert.deepEqual([...harness.topology.vhosts.keys()], ['/'])
    assert.deepEqual(harness.topology.users.get('guest')?.tags, ['administrator'])
    const session = harness.session()
    declareQueue(session, 'q')
    assert.deepEqual(routed(session, '', 'q'), ['q'])
  })

  it('does not happen twice: what an administrator has deleted stays deleted', async () => {
    const first = await BrokerHarness.open()
    await first.broker.deleteUser('guest')
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.equal(again.topology.users.size, 0)
    assert.equal(again.topology.vhosts.size, 1)
  })

  it('that was cut off anywhere is one again', async () => {
    const whole = await BrokerHarness.open()
    for (let records = 0; records < whole.log.recordCount; records++) {
      const log = new TestLog({ isCommittedAtOnce: false })
      void BrokerHarness.open(log)
      await new Promise((resolve) => setImmediate(resolve))
      log.commit(log.appended - whole.log.recordCount + records)
      const again = await BrokerHarness.open(log.afterCrash({ isCommittedAtOnce: true }))
      assert.deepEqual(durableDump(again.topology), durableDump(whole.topology), `after ${records} records`)
    }
  })
})

describe('a start', () => {
  it('knows what was durable and nothing else', async () => {
    const first = await BrokerHarness.open()
    const session = first.session()
    declareQueue(session, 'durable')
    declareQueue(session, 'transient', {})
    declareQueue(session, 'exclusive', { isExclusive: true, isDurable: true })
    declareExchange(session, 'x')
    declareExchange(session, 'y', {})
    for (const queue of ['durable', 'transient', 'exclusive']) bind(session, 'x', queue, queue)
    bind(session, 'y', 'durable', 'k')
    bind(session, 'amq.topic', 'durable', 'kept')
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.deepEqual(durableDump(again.topology), durableDump(first.topology))
    assert.deepEqual(again.shards.opened, ['durable'])
    const later = again.session()
    assert.deepEqual(routed(later, 'x', 'durable'), ['durable'])
    assert.deepEqual(routed(later, 'amq.topic', 'kept'), ['durable'])
    assert.deepEqual(routed(later, 'x', 'transient'), [])
    assert.throws(() => routed(later, 'y', 'k'), refusal('not-found', "no exchange 'y' in vhost '/'"))
  })

  it('tells the shards only of queues that are left, and of none that has gone', async () => {
    const first = await BrokerHarness.open()
    const session = first.session()
    for (const name of ['a', 'b', 'c']) declareQueue(session, name)
    deleteQueue(session, 'b')
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.deepEqual(again.shards.opened, ['a', 'c'])
    assert.deepEqual(again.shards.dropped, [])
  })

  it('finds every type of argument as it came over the wire', async () => {
    const fields: [string, FieldValue][] = [
      ['byte', { tag: 'b', value: -1 }],
      ['unsigned', { tag: 'i', value: 4_000_000_000 }],
      ['long', { tag: 'l', value: 2n ** 60n }],
      ['float', { tag: 'f', value: 0.5 }],
      ['decimal', { tag: 'D', value: { scale: 2, value: 314 } }],
      ['time', { tag: 'T', value: 1_700_000_000 }],
      ['text', { tag: 'S', value: 'not \udcff UTF-8' }],
      ['bytes', { tag: 'x', value: Buffer.from([0, 255]) }],
      ['void', { tag: 'V', value: null }],
      ['list', { tag: 'A', value: [{ tag: 't', value: true }] }],
      ['table', { tag: 'F', value: fieldTable(new Map([['inner', { tag: 's', value: 7 } as const]])) }],
    ]
    const first = await BrokerHarness.open()
    const session = first.session()
    const table = fieldTable(new Map(fields))
    const args = { ...queueArguments('caf\u00e9 \udcff', durable), arguments: table }
    answer<Declared>((reply) => session.vhost.declareQueue(session, args, reply))
    const again = await BrokerHarness.open(first.log.afterCrash())
    const queue = again.topology.vhosts.get('/')?.queues.get('caf\u00e9 \udcff')
    assert.deepEqual(Buffer.from(queue?.arguments.bytes ?? []), Buffer.from(table.bytes))
  })

  it('reads the records of version 1 as they were written when it was new', async () => {
    const harness = await openSaved('topology-records-v1.jsonl')
    const vhost = harness.topology.vhosts.get('/')
    assert.deepEqual([...(vhost?.queues.keys() ?? [])], ['orders'])
    assert.deepEqual(vhost?.queues.get('orders')?.arguments.fields.get('x-message-ttl'), { tag: 'I', value: 1000 })
    assert.equal(vhost?.bindingCount, 1)
    assert.deepEqual(routed(harness.session(), 'events', 'a.b'), ['orders'])
    assert.equal(vhost?.topicPermissions.size, 1)
    declareQueue(harness.session(), 'new')
    assert.equal(Math.floor(idOf(harness, 'new') / 2 ** 32), 3, 'the third term')
  })

  it('reads the records of webhooks as they were written when they were new', async () => {
    const harness = await openSaved('topology-records-webhook.jsonl')
    const webhooks = harness.topology.vhosts.get('/')?.webhooks
    assert.deepEqual([...(webhooks?.keys() ?? [])], ['shop', 'old'])
    const { url, secret, headers, isEnabled, bodyBytesMax } = webhooks?.get('shop') ?? {}
    const bearer = { authorization: 'Bearer x' }
    assert.deepEqual(
      [url, secret, headers],
      ['https://shop.example/hook', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', bearer],
    )
    assert.deepEqual([isEnabled, bodyBytesMax, webhooks?.get('old')?.isEnabled], [true, 1_048_576, false])
    await harness.broker.deleteVhost('/')
    assert.equal(harness.topology.vhosts.size, 0)
  })

  it('reads the records of global parameters as they were written when they were new', async () => {
    const { topology } = await openSaved('topology-records-global-parameter.jsonl')
    const values = [...topology.globalParameters.values()].map(({ name, json }) => [name, JSON.parse(json)])
    assert.deepEqual(values, [
      ['cluster_name', 'shop'],
      ['tags', { arguments: 'x', list: [1, 1.5, null, true] }],
    ])
    assert.equal(topology.clusterName, 'shop')
  })

  it('refuses a record of another version or kind, with a sentence', async () => {
    const records = [
      'not JSON',
      '{"v":2,"kind":"queue","id":1}',
      '{"v":1,"kind":"poem","id":1}',
      '[]',
      '{"kind":"queue"}',
    ]
    for (const record of records) {
      const first = await BrokerHarness.open()
      const bytes = Buffer.from(record)
      first.log.reserve(bytes.length)
      first.log.buffer.set(bytes)
      const again = BrokerHarness.open(first.log.afterCrash())
      await assert.rejects(again, {
        code: 'UNKNOWN_TOPOLOGY_RECORD',
        message: /a record that this version cannot read/,
      })
    }
  })

  it('refuses a log whose records refer to something it does not have', async () => {
    const first = await BrokerHarness.open()
    const bytes = Buffer.from('{"v":1,"kind":"binding","id":5,"source":77,"destination":78,"key":"","arguments":""}')
    first.log.reserve(bytes.length)
    first.log.buffer.set(bytes)
    const message = '1 topology records refer to something that was never defined'
    await assert.rejects(BrokerHarness.open(first.log.afterCrash()), { code: 'LOG_DAMAGED', message })
  })

  it('opens 100,000 queues in well under two seconds', async () => {
    const first = await BrokerHarness.open()
    const session = first.session()
    for (let index = 0; index < 100_000; index++) declareQueue(session, `queue.${index}`)
    const log = first.log.afterCrash()
    const start = performance.now()
    const again = await BrokerHarness.open(log)
    const took = performance.now() - start
    assert.equal(again.shards.opened.length, 100_000)
    assert.ok(took < 20_000, `it took ${took} ms`)
  })
})

describe('ids', () => {
  it('are never given twice, even when the tail that gave them is lost', async () => {
    const log = new TestLog({ isCommittedAtOnce: false })
    const first = await openUncommitted(log)
    const session = first.session()
    declareQueue(session, 'stored')
    log.commit()
    declareQueue(session, 'lost')
    declareQueue(session, 'transient', {})
    const ids = [idOf(first, 'stored'), idOf(first, 'lost'), idOf(first, 'transient')]
    const again = await openUncommitted(log.afterCrash())
    assert.equal(idOf(again, 'stored'), ids[0])
    const later = again.session()
    for (const name of ['lost', 'transient', 'new']) declareQueue(later, name)
    for (const name of ['lost', 'transient', 'new']) assert.ok(!ids.includes(idOf(again, name)), name)
  })

  it('are not given before their term is committed', async () => {
    const log = new TestLog({ isCommittedAtOnce: false })
    let isOpen = false
    const opening = BrokerHarness.open(log).then(() => {
      isOpen = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isOpen, false)
    log.commit()
    await opening
    assert.equal(isOpen, true)
  })
})

describe('a log that fails', () => {
  it('ends durable changes and tells the owner; transient ones go on', async () => {
    const harness = await BrokerHarness.open()
    const session = harness.session()
    declareQueue(session, 'durable')
    harness.log.fail()
    assert.match(harness.failure?.message ?? '', /disk is gone/)
    const text = 'definitions cannot be stored at the moment'
    assert.throws(() => declareQueue(session, 'other'), refusal('internal-error', text))
    assert.throws(() => deleteQueue(session, 'durable'), refusal('internal-error', text))
    assert.deepEqual(routed(session, '', 'durable'), ['durable'], 'what could not be stored has not happened')
    declareQueue(session, 'transient', {})
  })

  it('while it is opened, rejects the opening', async () => {
    const log = new TestLog({ isCommittedAtOnce: false })
    const opening = BrokerHarness.open(log)
    await new Promise((resolve) => setImmediate(resolve))
    log.fail()
    await assert.rejects(opening, /disk is gone/)
  })
})

// ---------------------------------------------------------------- replay against a model

type Step =
  | { do: 'queue' | 'exchange' | 'delete-queue' | 'delete-exchange'; name: number; flags: number }
  | { do: 'bind' | 'unbind'; from: number; to: number; key: number }
  | { do: 'permission' | 'user' | 'delete-user' | 'vhost'; name: number }
  | { do: 'commit' | 'idle' }

const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom('queue', 'exchange', 'delete-queue', 'delete-exchange'),
    name: fc.nat(2),
    flags: fc.nat(3),
  }),
  fc.record({ do: fc.constantFrom('bind', 'unbind'), from: fc.nat(2), to: fc.nat(5), key: fc.nat(1) }),
  fc.record({ do: fc.constantFrom('permission', 'user', 'delete-user', 'vhost'), name: fc.nat(2) }),
  fc.record({ do: fc.constantFrom('commit', 'idle') }),
) as fc.Arbitrary<Step>

async function take(step: Step, harness: BrokerHarness, session: BrokerSession): Promise<void> {
  const { topology } = harness
  const vhost = topology.vhosts.get('/')
  assert.ok(vhost)
  try {
    switch (step.do) {
      case 'queue':
      case 'exchange': {
        const flags = { isDurable: step.flags % 2 === 0, isAutoDelete: step.flags > 1 }
        if (step.do === 'queue') declareQueue(session, `n${step.name}`, flags)
        else declareExchange(session, `n${step.name}`, flags)
        return
      }
      case 'delete-queue':
        deleteQueue(session, `n${step.name}`)
        return
      case 'delete-exchange':
        answer<void>((reply) => session.vhost.deleteExchange(session, `n${step.name}`, false, reply))
        return
      case 'bind':
      case 'unbind': {
        const args = bindArguments(`n${step.from}`, `n${step.to % 3}`, `k${step.key}`)
        const kind = step.to < 3 ? 'Queue' : 'Exchange'
        answer<boolean>((reply) => session.vhost[`${step.do}${kind}`](session, args, reply))
        return
      }
      case 'user':
        topology.putUser(`u${step.name}`, `plain$${Math.round(performance.now())}`, [])
        return
      case 'delete-user':
        await harness.broker.deleteUser(`u${step.name}`)
        return
      case 'permission':
        await harness.broker.putPermission(`u${step.name}`, '/', {
          configure: '',
          write: `${topology.appended}`,
          read: '.*',
        })
        return
      case 'vhost':
        await harness.broker.createVhost(`v${step.name}`)
        return
      case 'commit':
        harness.log.commit()
        return
      case 'idle':
        await harness.idle()
        harness.log.commit()
        await harness.idle()
        return
    }
  } catch (error) {
    // Most steps meet something that is not there or is different: that is part of the game.
    if (!(error instanceof Error && 'kind' in error)) throw error
  }
}

describe('a replay', () => {
  it('gives what there was at the last commit, whatever was done, lost and reclaimed', async () => {
    let reclaimed = 0
    const property = fc.asyncProperty(fc.array(steps, { minLength: 50, maxLength: 250 }), async (script) => {
      const log = new TestLog({ isCommittedAtOnce: false, segmentRecordsMax: 4 })
      const harness = await openUncommitted(log)
      const session = harness.session()
      const history = [{ position: log.appended, dump: durableDump(harness.topology) }]
      for (const step of script) {
        await take(step, harness, session)
        history.push({ position: log.appended, dump: durableDump(harness.topology) })
      }
      reclaimed += log.freed
      const expected = history.findLast(({ position }) => position <= log.committed)
      const again = await openUncommitted(log.afterCrash())
      assert.deepEqual(durableDump(again.topology), expected?.dump)
    })
    await fc.assert(property, { numRuns: 60 })
    assert.ok(reclaimed > 50, `only ${reclaimed} segments were reclaimed`)
  })
})

// ---------------------------------------------------------------- reclaim

describe('reclaim', () => {
  it('keeps the log in proportion to what exists, hours of declaring and deleting long', async () => {
    const log = new TestLog({ segmentRecordsMax: 500 })
    const harness = await BrokerHarness.open(log)
    const session = harness.session()
    for (let index = 0; index < 200; index++) {
      declareQueue(session, `standing.${index}`)
      bind(session, 'amq.topic', `standing.${index}`, `key.${index}`)
    }
    let most = 0
    for (let index = 0; index < 20_000; index++) {
      declareQueue(session, `passing.${index}`)
      deleteQueue(session, `passing.${index}`)
      if (index % 100 === 0) await harness.idle()
      most = Math.max(most, log.recordCount)
    }
    assert.ok(most < 4_000, `${most} records for some 400 definitions`)
    assert.ok(log.freed > 50)
    const again = await BrokerHarness.open(log.afterCrash())
    assert.deepEqual(durableDump(again.topology), durableDump(harness.topology))
    assert.deepEqual(routed(again.session(), 'amq.topic', 'key.7'), ['standing.7'])
  })

  it('says global parameters again, as they are by then', async () => {
    const log = new TestLog({ segmentRecordsMax: 20 })
    const harness = await BrokerHarness.open(log)
    const session = harness.session()
    for (let index = 0; index < 30; index++)
      await harness.broker.putGlobalParameter(`p${index}`, { arguments: [index] })
    await harness.broker.putGlobalParameter('p7', 'other')
    await harness.broker.deleteGlobalParameter('p8')
    for (let index = 0; index < 1_000; index++) {
      declareQueue(session, 'passing')
      deleteQueue(session, 'passing')
      if (index % 10 === 0) await harness.idle()
    }
    assert.ok(log.freed > 10, `only ${log.freed} segments were freed`)
    const again = await BrokerHarness.open(log.afterCrash())
    assert.deepEqual(durableDump(again.topology), durableDump(harness.topology))
    const { globalParameters } = again.topology
    assert.deepEqual([globalParameters.size, globalParameters.get('p7')?.json], [29, '"other"'])
  })

  it('leaves a log that opens wherever it is cut off', async () => {
    const log = new TestLog({ segmentRecordsMax: 40, isCommittedAtOnce: false })
    const harness = await openUncommitted(log)
    const session = harness.session()
    declareExchange(session, 'x')
    for (let index = 0; index < 100; index++) {
      declareQueue(session, `q.${index}`)
      bind(session, 'x', `q.${index}`, `k.${index}`)
    }
    for (let index = 0; index < 800; index++) {
      declareQueue(session, 'passing')
      deleteQueue(session, 'passing')
    }
    log.commit()
    const expected = durableDump(harness.topology)
    let cuts = 0
    // Every turn of the run queue moves a little; after each, lose what is not committed, or commit half of it.
    for (let turn = 0; turn < 60; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      const half = log.committed + Math.floor((log.appended - log.committed) / 2)
      if (turn % 3 === 0) log.commit(half)
      const again = await openUncommitted(log.afterCrash())
      assert.deepEqual(durableDump(again.topology), expected)
      cuts++
      if (turn % 3 === 2) log.commit()
    }
    assert.ok(log.freed > 5, `only ${log.freed} segments were freed`)
    assert.equal(cuts, 60)
  })

  it('writes no binding again whose queue is gone, though the binding is not taken out yet', async () => {
    const log = new TestLog({ segmentRecordsMax: 500 })
    const harness = await BrokerHarness.open(log)
    const session = harness.session()
    declareExchange(session, 'x')
    declareQueue(session, 'q')
    for (let index = 0; index < 3_000; index++) bind(session, 'x', 'q', `k.${index}`)
    // No time passes for the run queue's clock but in looking at it: each task gets one look, then the next has its turn.
    let ms = 0
    harness.clock.monotonic = () => ms++
    deleteQueue(session, 'q')
    for (let index = 0; index < 4_000; index++) {
      declareQueue(session, 'passing')
      deleteQueue(session, 'passing')
    }
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      const again = await BrokerHarness.open(log.afterCrash())
      assert.deepEqual(durableDump(again.topology), durableDump(harness.topology))
    }
    await harness.idle()
    assert.equal(harness.topology.vhosts.get('/')?.bindingCount, 0)
  })

  it('stops with the topology', async () => {
    const log = new TestLog({ segmentRecordsMax: 10 })
    const harness = await BrokerHarness.open(log)
    const session = harness.session()
    for (let index = 0; index < 1_000; index++) {
      declareQueue(session, 'passing')
      deleteQueue(session, 'passing')
    }
    await harness.topology.close()
    const { freed } = log
    await harness.idle()
    assert.equal(log.freed, freed)
  })
})

describe('the end of a session with 100,000 exclusive queues', () => {
  it('deletes them in short turns, between which others get theirs', async () => {
    const harness = await BrokerHarness.open()
    const session = harness.session()
    for (let index = 0; index < 100_000; index++) declareQueue(session, `q.${index}`, { isExclusive: true })
    for (let index = 0; index < 10_000; index++) bind(session, 'amq.topic', `q.${index}`, `k.${index}`)
    let turns = 0
    let isDone = false
    harness.clock.now = () => 0
    harness.clock.monotonic = () => performance.now()
    const start = performance.now()
    harness.broker.closeSession(session, () => {
      isDone = true
    })
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve))
      turns++
    }
    assert.equal(harness.shards.dropped.length, 100_000)
    assert.equal(harness.topology.vhosts.get('/')?.queues.size, 0)
    assert.equal(harness.topology.vhosts.get('/')?.bindingCount, 0)
    assert.ok(turns >= 10, `${turns} turns`)
    assert.ok(performance.now() - start < 30_000)
  })
})

/** A broker over records that were saved. */
async function openSaved(name: string): Promise<BrokerHarness> {
  const log = new TestLog()
  for (const line of readFileSync(join(projectRoot, 'test/formats', name), 'utf8')
    .trim()
    .split('\n')) {
    const bytes = Buffer.from(line)
    log.reserve(bytes.length)
    log.buffer.set(bytes)
  }
  return await BrokerHarness.open(log.afterCrash())
}
