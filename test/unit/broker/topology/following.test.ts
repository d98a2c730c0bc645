/** A topology that follows a log which another one writes, takes it over and gives it back. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { emptyTable } from '../../../../src/amqp/field-table.ts'
import { ManualClock } from '../../../../src/base/clock.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { RunQueue } from '../../../../src/base/run-queue.ts'
import { BrokerError } from '../../../../src/broker/errors.ts'
import { type Placement, Topology } from '../../../../src/broker/topology/topology.ts'
import { LogDamaged } from '../../../../src/log/log.ts'
import { NotedShards } from '../../../support/broker-harness.ts'
import { projectRoot } from '../../../support/project-root.ts'
import { TestLog } from '../../../support/test-log.ts'
import { durableDump } from '../../../support/topology-dump.ts'

const queue = { isDurable: true, isAutoDelete: false, exclusiveOwner: null, arguments: emptyTable }
const exchange = {
  type: 'fanout',
  isDurable: true,
  isAutoDelete: false,
  isInternal: false,
  arguments: emptyTable,
} as const

/** One topology, alone or one of several. */
class Followed {
  readonly shards = new NotedShards()
  readonly topology: Topology
  readonly commits: number[] = []
  failure: Error | null = null

  constructor(placement: Placement | null = () => 7) {
    this.topology = new Topology({
      directory: this.shards,
      runQueue: new RunQueue(new ManualClock()),
      random: new SeededRandom(1),
      logger: silentLogger,
      onFailed: (error) => {
        this.failure = error
      },
      ...(placement === null ? {} : { placement }),
    })
    this.topology.hearCommits((position) => this.commits.push(position))
  }

  /** The records of a log from this one on, in a buffer that is used again. */
  told({ texts }: TestLog, from = 0): void {
    const buffer = Buffer.alloc(64 * 1024)
    for (const [index, text] of texts.entries()) {
      if (index < from) continue
      const end = 11 + buffer.write(text, 11)
      this.topology.log.applyRecord(firstPosition + index, buffer, 11, end)
      buffer.fill(0)
    }
  }

  get vhost() {
    const vhost = this.topology.vhosts.get('/')
    assert.ok(vhost !== undefined)
    return vhost
  }
}

/** Of the first record of a `TestLog`. */
const firstPosition = 2

async function ownerOf(log: TestLog): Promise<Followed> {
  const owner = new Followed()
  owner.topology.log.follow()
  owner.topology.log.caughtUp()
  log.listener = owner.topology.logListener
  await owner.topology.log.becomeOwner(log)
  return owner
}

describe('a topology that follows', () => {
  it('knows what the records say, also of what is transient, and where it lives', async () => {
    const log = new TestLog()
    const owner = await ownerOf(log)
    const made = owner.topology.declareQueue(owner.vhost, { ...queue, name: 'q' })
    owner.topology.declareQueue(owner.vhost, { ...queue, name: 't', isDurable: false, exclusiveOwner: 5 }, 5)
    const source = owner.topology.declareExchange(owner.vhost, { ...exchange, name: 'x', isDurable: false })
    owner.topology.bind({ source, destination: made, key: '', arguments: emptyTable })
    const follower = new Followed()
    follower.topology.log.follow()
    follower.told(log)
    assert.deepEqual(follower.shards.opened, [], 'shards hear of queues when all is known')
    follower.topology.log.caughtUp()
    assert.deepEqual(follower.shards.opened.sort(), ['q', 't'])
    assert.deepEqual(
      [...follower.topology.exclusiveQueuesOf(5)].map(({ name }) => name),
      ['t'],
    )
    assert.equal(follower.vhost.queues.get('q')?.shardId, 7)
    assert.equal(follower.vhost.exchanges.get('x')?.bindingCount, 1)
    assert.deepEqual(durableDump(follower.topology), durableDump(owner.topology))
    const { appended, committed } = follower.topology
    assert.deepEqual([appended, committed], [log.committed, log.committed])
    assert.deepEqual(follower.commits, [log.committed])
  })

  it('tells the shards of what comes and goes, and passes over what it knows', async () => {
    const log = new TestLog()
    const owner = await ownerOf(log)
    const follower = new Followed()
    follower.topology.log.follow()
    follower.told(log)
    follower.topology.log.caughtUp()
    const made = owner.topology.declareQueue(owner.vhost, { ...queue, name: 'q' })
    follower.told(log)
    const known = follower.vhost.queues.get('q')
    follower.told(log)
    assert.equal(follower.vhost.queues.get('q'), known)
    owner.topology.remove(made)
    follower.told(log)
    follower.topology.log.tellFollowed()
    follower.topology.log.tellFollowed()
    assert.deepEqual([follower.shards.opened, follower.shards.dropped], [['q'], ['q']])
    assert.equal(follower.commits.at(-1), log.committed)
    assert.equal(new Set(follower.commits).size, follower.commits.length)
  })

  it('changes nothing itself', async () => {
    const log = new TestLog()
    await ownerOf(log)
    const follower = new Followed()
    follower.topology.log.follow()
    follower.told(log)
    follower.topology.log.caughtUp()
    const declare = (): unknown =>
      follower.topology.declareQueue(follower.vhost, { ...queue, name: 'q', isDurable: false })
    assert.throws(declare, (error) => error instanceof BrokerError && error.kind === 'internal-error')
    assert.equal(follower.vhost.queues.size, 0)
  })

  it('does not begin with records that cannot be all', () => {
    const follower = new Followed()
    follower.topology.log.follow()
    const record = Buffer.from('{"v":1,"kind":"binding","id":9,"source":7,"destination":8,"key":"","arguments":""}')
    follower.topology.log.applyRecord(1, record, 0, record.length)
    assert.throws(() => follower.topology.log.caughtUp(), LogDamaged)
  })

  it('settles what it is told to, and no more than it has', async () => {
    const log = new TestLog()
    await ownerOf(log)
    const follower = new Followed()
    const settled: number[] = []
    follower.topology.hearSettled((position) => settled.push(position))
    follower.topology.log.follow()
    follower.told(log)
    follower.topology.log.caughtUp()
    assert.equal(follower.topology.settled, 0)
    follower.topology.log.holdSettled(3)
    follower.topology.log.holdSettled(2)
    follower.topology.log.holdSettled(1_000_000)
    assert.deepEqual(settled, [3, log.committed])
  })
})

describe('a topology that takes a log over', () => {
  it('goes on with the same things and new ids, and gives it back', async () => {
    const log = new TestLog()
    const first = await ownerOf(log)
    const one = first.topology.declareQueue(first.vhost, { ...queue, name: 'one' })
    const second = new Followed()
    second.topology.log.follow()
    second.told(log)
    second.topology.log.caughtUp()
    const things = [second.vhost, second.vhost.queues.get('one')]
    const count = log.recordCount
    await first.topology.log.stepDown()
    log.listener = second.topology.logListener
    await second.topology.log.becomeOwner(log)
    const two = second.topology.declareQueue(second.vhost, { ...queue, name: 'two' })
    assert.deepEqual([Math.floor(one.id / 2 ** 32), Math.floor(two.id / 2 ** 32)], [1, 2])
    assert.deepEqual([second.vhost, second.vhost.queues.get('one')], things)
    // The first follows: it has what it wrote itself, and is told the rest.
    const [vhost, known] = [first.vhost, first.vhost.queues.get('one')]
    first.topology.log.follow()
    first.told(log)
    first.topology.log.tellFollowed()
    assert.equal(log.recordCount, count + 2, 'a term and a queue')
    assert.deepEqual([first.vhost, first.vhost.queues.get('one')], [vhost, known])
    assert.deepEqual(durableDump(first.topology), durableDump(second.topology))
    assert.equal(first.topology.log.mustRestart, false)
  })

  it('has changed nothing when another was faster, and follows on', async () => {
    const log = new TestLog({ isCommittedAtOnce: false })
    const node = new Followed()
    node.topology.log.follow()
    node.topology.log.caughtUp()
    log.listener = node.topology.logListener
    const opening = node.topology.log.becomeOwner(log)
    log.fail()
    await assert.rejects(opening, /the disk is gone/)
    assert.deepEqual([node.topology.log.mustRestart, node.topology.vhosts.size], [false, 0])
    assert.ok(node.failure !== null)
    const other = new TestLog()
    const owner = await ownerOf(other)
    node.topology.log.follow()
    node.told(other)
    assert.deepEqual(durableDump(node.topology), durableDump(owner.topology))
  })

  it('must begin anew when what it changed was never stored', async () => {
    const log = new TestLog({ isCommittedAtOnce: false })
    const opening = ownerOf(log)
    log.commit()
    const owner = await opening
    owner.topology.declareQueue(owner.vhost, { ...queue, name: 'stored' })
    log.commit()
    owner.topology.declareQueue(owner.vhost, { ...queue, name: 'lost' })
    log.fail()
    assert.equal(owner.topology.log.mustRestart, true)
    assert.throws(() => owner.topology.log.follow(), /what has been applied is in the log/)
  })

  it('need not when all of it was', async () => {
    const log = new TestLog()
    const owner = await ownerOf(log)
    owner.topology.declareQueue(owner.vhost, { ...queue, name: 'stored' })
    log.fail()
    assert.equal(owner.topology.log.mustRestart, false)
    owner.topology.log.follow()
    owner.told(log)
    assert.equal(owner.vhost.queues.size, 1)
  })

  it('frees what is dead in it, once it has counted what there is', async () => {
    const log = new TestLog({ segmentRecordsMax: 8 })
    const first = await ownerOf(log)
    for (let index = 0; index < 40; index++) {
      first.topology.remove(first.topology.declareQueue(first.vhost, { ...queue, name: `q${index}`, isDurable: false }))
    }
    await first.topology.log.stepDown()
    const second = new Followed()
    second.topology.log.follow()
    const { texts } = log
    second.told(log)
    second.topology.log.caughtUp()
    log.listener = second.topology.logListener
    const freed = log.freed
    await second.topology.log.becomeOwner(log)
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(texts.length > 60 && log.freed > freed + 5, `${log.freed - freed} segments freed`)
  })
})

describe('the records of a cluster', () => {
  it('are read as they were written when they were new', () => {
    const text = readFileSync(join(projectRoot, 'test/formats/topology-records-cluster.jsonl'), 'utf8')
    const node = new Followed()
    node.topology.log.follow()
    for (const [index, line] of text.trim().split('\n').entries()) {
      const bytes = Buffer.from(line)
      node.topology.log.applyRecord(index + 1, bytes, 0, bytes.length)
    }
    node.topology.log.caughtUp()
    assert.deepEqual(
      [...node.topology.nodes.values()].map(({ name, incarnation }) => `${name} ${incarnation}`),
      ['b 2'],
    )
    const { queues } = node.vhost
    assert.deepEqual([queues.get('orders')?.shardId, queues.get('reply')?.shardId], [11, 2 * 2 ** 32])
    assert.deepEqual([...node.topology.queuesOfNodeShard(2 * 2 ** 32)], [queues.get('reply')])
    assert.deepEqual([...node.topology.exclusiveQueuesOf(2 * 2 ** 32 + 1)], [queues.get('reply')])
    assert.match(node.topology.users.get('u')?.upgradedFrom ?? '', /^rabbit-sha256/)
  })
})

describe('the log of a node on its own', () => {
  it('says nothing of shards and nodes', async () => {
    const log = new TestLog()
    const alone = new Followed(null)
    log.listener = alone.topology.logListener
    await alone.topology.open(log)
    alone.topology.declareQueue(alone.vhost, { ...queue, name: 'q' }, 3)
    alone.topology.declareQueue(alone.vhost, { ...queue, name: 't', isDurable: false }, 3)
    assert.equal(
      log.texts.at(-1),
      '{"v":1,"kind":"queue","id":4294967331,"vhost":4294967297,"name":"q","isDurable":true,"isAutoDelete":false,' +
        '"exclusiveOwner":null,"arguments":""}',
    )
    assert.equal(alone.topology.settled, log.committed)
  })
})
