/** What nodes tell of queues that they serve, and of consumers that came to them. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import type { QueueStatus } from '../../../src/broker/ports.ts'
import { ManagementLink } from '../../../src/cluster/management-link.ts'
import { QueueReports } from '../../../src/cluster/queue-reports.ts'
import { MemoryNetwork } from '../../support/cluster/memory-peers.ts'

class Node {
  readonly came: number[] = []
  readonly told: (readonly [number, QueueStatus])[] = []
  readonly reports: QueueReports
  readonly served = new Map<number, QueueStatus>()

  constructor(network: MemoryNetwork, clock: ManualClock, name: string, incarnation: number) {
    const link = new ManagementLink(network.join({ name, incarnation }), clock)
    const queues = {
      served: () => this.served,
      told: (...said: readonly [number, QueueStatus]) => void this.told.push(said),
      consumerCame: (id: number) => void this.came.push(id),
    }
    this.reports = new QueueReports({ link, clock, runQueue: new RunQueue(clock), queues: () => queues })
    this.reports.start()
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

it('tells of a consumer of an auto-delete queue at once, and of numbers each two seconds', async () => {
  const clock = new ManualClock()
  const network = new MemoryNetwork()
  const one = new Node(network, clock, 'n1', 1)
  const other = new Node(network, clock, 'n2', 2)
  network.connectAll()
  const status = { ready: 5, unacked: 1, consumers: 1 }
  one.served.set(7, status)
  one.reports.consumerCame(7)
  await settled()
  assert.deepEqual(other.came, [7])
  assert.deepEqual(other.told, [])
  assert.deepEqual(one.came, [])
  clock.advance(2_000)
  await settled()
  assert.deepEqual(other.told, [[7, status]])
})
