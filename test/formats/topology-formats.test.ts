/**
 * A topology log of the version in which policies, limits, metadata of vhosts and further exchange types were new, killed
 * with everything in it, and the definitions that were exported from it then. Nothing here is ever written again. Files
 * stand without the zeros at their ends, which `sizes.json` gives back.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ManualClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { RunQueue } from '../../src/base/run-queue.ts'
import { Broker } from '../../src/broker/broker.ts'
import { Topology } from '../../src/broker/topology/topology.ts'
import { openFileLog } from '../../src/log/file/file-log.ts'
import { NotedShards, routed } from '../support/broker-harness.ts'
import { projectRoot } from '../support/project-root.ts'
import { type DiskImage, SimulatedFiles } from '../support/simulated-files.ts'

const folder = join(projectRoot, 'test', 'formats', 'topology-2')

function savedJson(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>
}

function saved(): DiskImage {
  const image: DiskImage = new Map()
  for (const [file, size] of Object.entries(savedJson('sizes.json'))) {
    const bytes = new Uint8Array(Number(size))
    bytes.set(readFileSync(join(folder, file)))
    image.set(`/log/${file}`, bytes)
  }
  return image
}

async function opened(): Promise<{ topology: Topology; broker: Broker }> {
  const [clock, random] = [new ManualClock(), new SeededRandom(1)]
  const parts = { clock, random, logger: silentLogger }
  const runQueue = new RunQueue(clock)
  const topology = new Topology({ ...parts, directory: new NotedShards(), runQueue, onFailed: () => {} })
  const log = await openFileLog({
    ...parts,
    files: new SimulatedFiles({ image: saved() }),
    directory: '/log',
    name: 'topology',
    roomBytesMin: 0,
  })
  log.listener = topology.logListener
  await topology.open(log)
  return { topology, broker: new Broker({ ...parts, topology }) }
}

describe('a saved topology log', () => {
  test('has all that was exported from it', async () => {
    const { broker } = await opened()
    const names = { rabbitVersion: '4.1.0', productVersion: '0.1.0' }
    assert.deepEqual(await broker.exportDefinitions(names), savedJson('definitions.json'))
  })

  test('applies policies and limits, and routes', async () => {
    const { topology, broker } = await opened()
    const vhost = topology.vhosts.get('shop')
    const { messageTtlMs, maxLength, retry } = vhost?.queues.get('orders')?.settings ?? {}
    assert.deepEqual([messageTtlMs, maxLength, retry?.backoff], [9_000, 50, 1.5])
    assert.equal(vhost?.queues.get('log')?.settings.maxAgeMs, 604_800_000)
    assert.equal(topology.users.get('shop')?.limits?.maxChannels, 50)
    await broker.putPermission('guest', 'shop', { configure: '.*', write: '.*', read: '.*' })
    const session = broker.openSession({ username: 'guest', tags: [] }, 'shop')
    assert.deepEqual(routed(session, 'late', 'a.b'), ['orders'])
    assert.deepEqual(routed(session, 'x-consistent-hash', 'any'), ['orders'])
  })
})
