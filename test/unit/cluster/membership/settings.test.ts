import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import { SeededRandom } from '../../../../src/base/random.ts'
import { agreeOnSettings, type ClusterSettings } from '../../../../src/cluster/membership/settings.ts'
import { MemoryCoordination, MemoryStore, noFaults } from '../../../support/cluster/memory-coordination.ts'
import { rejection } from '../../../support/eventually.ts'

interface More {
  readonly shardsAsked?: number
  readonly knownClusterId?: string
  readonly knownShards?: number
  readonly hasLogs?: boolean
}

class Asked {
  readonly clock = new ManualClock()
  readonly store = new MemoryStore(this.clock)
  readonly coordination = new MemoryCoordination(this.store, this.clock, new SeededRandom(1))

  settings(fresh: Partial<ClusterSettings>, more: More = {}) {
    const { clock, coordination } = this
    const { shardsAsked = null, knownClusterId = null, knownShards = null, hasLogs = false } = more
    return this.#settled(
      agreeOnSettings({
        coordination,
        clock,
        logger: silentLogger,
        signal: new AbortController().signal,
        fresh: { clusterId: 'fresh', shards: 16, format: 1, ...fresh },
        shardsAsked,
        knownClusterId,
        knownShards,
        hasLogs: async () => hasLogs,
      }),
    )
  }

  /** Time goes on until the answer is there. */
  async #settled<Answer>(answer: Promise<Answer>): Promise<Answer> {
    let isThere = false
    const done = () => {
      isThere = true
    }
    answer.then(done, done)
    while (!isThere) {
      this.clock.advance(10)
      await new Promise((resolve) => setImmediate(resolve))
    }
    return await answer
  }
}

test('the first node writes the settings, all others read them', async () => {
  const asked = new Asked()
  assert.equal((await asked.settings({ clusterId: 'a', shards: 8 })).shards, 8)
  assert.deepEqual(await asked.settings({ clusterId: 'b', shards: 16 }), { clusterId: 'a', shards: 8, format: 1 })
})

test('two that come at once agree', async () => {
  const asked = new Asked()
  asked.coordination.faults = { ...noFaults, delayMsMax: 50 }
  const [one, other] = await Promise.all([asked.settings({ clusterId: 'a' }), asked.settings({ clusterId: 'b' })])
  assert.deepEqual(one, other)
})

test('goes on until the store answers', async () => {
  const asked = new Asked()
  asked.coordination.cut()
  const settings = asked.settings({ clusterId: 'a' })
  asked.clock.after(10_000, () => asked.coordination.heal())
  assert.equal((await settings).clusterId, 'a')
})

test('a node that does not fit is told why', async () => {
  const asked = new Asked()
  await asked.settings({ clusterId: 'a', shards: 8 })
  assert.match((await rejection(asked.settings({}, { shardsAsked: 16 }))).message, /has 8 shards.*started with 16/)
  assert.match((await rejection(asked.settings({ format: 2 }))).message, /format 1.*upgrade the cluster first/)
  assert.match((await rejection(asked.settings({}, { knownClusterId: 'b' }))).message, /is of cluster b, but this is a/)
  assert.equal((await asked.settings({}, { shardsAsked: 8, knownClusterId: 'a' })).clusterId, 'a')
})

test('a node of a cluster does not make a new one of an empty store', async () => {
  const asked = new Asked()
  const error = await rejection(asked.settings({}, { knownClusterId: 'a' }))
  assert.match(error.message, /is of cluster a, but the coordination store knows of no cluster/)
  assert.equal(asked.store.revision, 0)
})

test('a node of a cluster makes its settings anew when they are gone and the logs are there', async () => {
  const asked = new Asked()
  const known = { knownClusterId: 'a', knownShards: 8, hasLogs: true }
  assert.deepEqual(await asked.settings({ shards: 16 }, known), { clusterId: 'a', shards: 8, format: 1 })
  assert.deepEqual(await asked.settings({}, { knownClusterId: 'a' }), { clusterId: 'a', shards: 8, format: 1 })
})

test('settings that cannot be read are shown', async () => {
  const asked = new Asked()
  asked.store.write('settings', 'no JSON', 0)
  assert.match((await rejection(asked.settings({}))).message, /'settings' holds no JSON/)
})
