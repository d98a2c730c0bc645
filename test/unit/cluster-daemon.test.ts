/** A node of a cluster as a process has it, when it is told to stop. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { writeSmallFile } from '../../src/cluster/nats/small-file.ts'
import type { Nats } from '../../src/cluster/nats/start-nats.ts'
import { ClusterDaemon, startClusterDaemon } from '../../src/cluster-daemon.ts'
import { checkCluster, configWith } from '../../src/config.ts'
import type { Daemon } from '../../src/daemon.ts'
import { prepareDataDirectory } from '../../src/data-directory.ts'
import { StartError } from '../../src/start-error.ts'
import { FakeChildProcesses } from '../support/nats/fake-child-processes.ts'
import { SimulatedFiles } from '../support/simulated-files.ts'

const facts = { format: 1, clusterId: 'c', node: 'n1', incarnation: 1, shards: 16 }
const peers = 'n1=127.0.0.1:7100,n2=127.0.0.1:7110,n3=127.0.0.1:7120'
const settings = checkCluster(configWith({ nodeName: 'n2', peers })).settings ?? assert.fail('it does not fit')

it('a node that cannot end without a majority ends its nats-server all the same, soon after its clients had their time', async () => {
  const clock = new ManualClock()
  const done: string[] = []
  const nats = {
    renounce: async () => void done.push('renounced'),
    close: async () => void done.push('closed'),
  } as unknown as Nats
  const never = new Promise<never>(() => {})
  const node = { addresses: [], dataDirectory: null, failed: never, stop: () => never } as unknown as Daemon
  const daemon = await ClusterDaemon.start({ nats, clock, logger: silentLogger, startNode: async () => node })

  const stopped = daemon.stop(30_000)
  await turns()
  clock.advance(39_999)
  await turns()
  assert.deepEqual(done, ['renounced'])
  clock.advance(1)
  assert.equal(await stopped, false, 'it was cut short')
  assert.deepEqual(done, ['renounced', 'closed'])
})

describe('the data directory of a node of a cluster', () => {
  const others: readonly (readonly [what: string, file: string, text: string, sentence: RegExp])[] = [
    ['another node', 'cluster.json', JSON.stringify(facts), /is of node 'n1', not of 'n2'; give each node a directory/],
    ['a broker on its own', 'format', 'warren data directory, format 1\n', /of a broker on its own.*`warren migrate`/],
    ['somebody else', 'letter', '', /is not empty \(there is letter\) and not Warren's; give --data/],
  ]
  for (const [what, file, text, sentence] of others) {
    it(`is refused before a nats-server is begun in that of ${what}`, async () => {
      const files = new SimulatedFiles()
      await files.makeDirectory('/data')
      await writeSmallFile(files, `/data/${file}`, text)
      const processes = new FakeChildProcesses()
      const world = {
        machineClock: new ManualClock(),
        random: new SeededRandom(1),
        files,
        logger: silentLogger,
        processes,
      }
      const starting = startClusterDaemon(settings, '/data', world, () => assert.fail('it begins'))
      await assert.rejects(starting, (error) => {
        assert.ok(error instanceof StartError && error.part === 'data-directory', String(error))
        assert.match(error.message, sentence)
        return true
      })
      assert.deepEqual([processes.children.length, await files.list('/data')], [0, [file]])
    })
  }

  it('is not taken for a foreign one by a broker on its own', async () => {
    const files = new SimulatedFiles()
    await files.makeDirectory('/data/copies')
    await writeSmallFile(files, '/data/cluster.json', JSON.stringify(facts))
    await assert.rejects(prepareDataDirectory(files, '/data'), /of a node of a cluster; start it with --node-name and/)
  })
})

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}
