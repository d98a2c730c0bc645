/** A node of a cluster as a process has it, when it is told to stop. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { ManualClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { Nats } from '../../src/cluster/nats/start-nats.ts'
import { ClusterDaemon } from '../../src/cluster-daemon.ts'
import type { Daemon } from '../../src/daemon.ts'

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

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}
