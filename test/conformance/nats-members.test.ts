/** Nodes with nats-servers of their own come and go: two are added to three, one is removed, and its copies move. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { jetstreamManager } from '@nats-io/jetstream'
import { SystemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { SystemRandom } from '../../src/base/random.ts'
import { SystemChildProcesses } from '../../src/base/system-child-processes.ts'
import { SystemFiles } from '../../src/base/system-files.ts'
import { type Nats, startNats } from '../../src/cluster/nats/start-nats.ts'
import { checkCluster, configWith } from '../../src/config.ts'
import { freePeers } from '../support/nats/free-peers.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-members-'))
const open: Nats[] = []
after(async () => {
  await Promise.all(open.map((nats) => nats.close()))
  rmSync(scratch, { recursive: true, force: true })
})

const program = await natsProgram()
if (program === null) leftOut('adding and removing nodes', 'nats-server')
else describe('the nodes of a cluster', withServers)

const world = {
  clock: new SystemClock(),
  random: new SystemRandom(),
  files: new SystemFiles(),
  processes: new SystemChildProcesses(),
  logger: silentLogger,
  lock: async () => async () => {},
}
const msMax = 60_000

function withServers(): void {
  it('come, and go for good with their copies made elsewhere', async () => {
    const five = await freePeers(5)
    const three = five.split(',').slice(0, 3).join(',')
    const [first, , third] = (await all(['n1', 'n2', 'n3'], three)) as [Nats, Nats, Nats]
    const manager = await jetstreamManager(first.connection)
    await manager.streams.add({ name: 'warren-test', subjects: ['test'], num_replicas: 3 })
    const copies = async (): Promise<string[]> => {
      const { cluster } = await manager.streams.info('warren-test')
      return [cluster?.leader ?? '', ...(cluster?.replicas ?? []).map(({ name }) => name)].sort()
    }
    assert.deepEqual(await copies(), ['n1', 'n2', 'n3'])

    await all(['n4', 'n5'], five)
    await assert.rejects(first.removeServer('n3'), /'n3' still runs; stop it for good first/)
    await assert.rejects(first.removeServer('n9'), /there is no NATS server 'n9'/)
    await third.close()
    open.splice(open.indexOf(third), 1)
    await until(async () => !(await refusal(first.removeServer('n3'))))
    assert.deepEqual(first.servers.map(({ name }) => name).sort(), ['n1', 'n2', 'n4', 'n5'])
    await until(async () => {
      const now = await copies()
      return now.length === 3 && !now.includes('n3')
    })
  })
}

async function all(names: readonly string[], peers: string): Promise<Nats[]> {
  const started = await Promise.all(
    names.map((nodeName) => {
      const dataDirectory = join(scratch, nodeName)
      const natsOption = { natsProgram: program ?? 'none', clusterStartMsMax: msMax }
      const { settings } = checkCluster(configWith({ nodeName, peers, dataDirectory, ...natsOption }))
      assert.ok(settings !== null)
      return startNats(settings.nats, world)
    }),
  )
  open.push(...started)
  return started
}

/** Null when it was done. */
async function refusal(work: Promise<void>): Promise<unknown> {
  try {
    await work
    return null
  } catch (error) {
    return error
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + msMax
  while (!(await isSo())) {
    assert.ok(Date.now() < end, `not within ${msMax / 1_000} s`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
