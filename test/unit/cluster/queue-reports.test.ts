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
  readonly toldOf = new Map<number, QueueStatus>()
  readonly reports: QueueReports
  readonly served = new Map<number, QueueStatus>()

  constructor(network: MemoryNetwork, clock: ManualClock, name: string, incarnation: number) {
    const link = new ManagementLink(network.join({ name, incarnation }), clock)
    const queues = {
      served: () => this.served,
      told: (...said: readonly [number, QueueStatus]) => this.#hear(said),
      toldOf: (id: number) => this.toldOf.get(id) ?? null,
      consumerCame: (id: number) => void this.came.push(id),
    }
    this.reports = new QueueReports({ link, clock, runQueue: new RunQueue(clock), queues: () => queues })
    this.reports.start()
  }

  #hear(said: readonly [number, QueueStatus]): void {
    const [id, { ready, unacked, consumers }] = said
    if (!this.served.has(id)) this.told.push(said)
    if (ready + unacked + consumers > 0) this.toldOf.set(id, said[1])
    else this.toldOf.delete(id)
  }
}

const empty = { ready: 0, unacked: 0, consumers: 0 }

async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Until all have been told what is new. */
async function round(clock: ManualClock): Promise<void> {
  await settled()
  clock.advance(2_000)
  await settled()
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

it('tells that a queue is empty whose last owner said another number, once', async () => {
  const clock = new ManualClock()
  const network = new MemoryNetwork()
  const [one, two, witness] = [1, 2, 3].map((number) => new Node(network, clock, `n${number}`, number)) as [
    Node,
    Node,
    Node,
  ]
  network.connectAll()
  const status = { ready: 5, unacked: 1, consumers: 1 }
  one.served.set(7, status)
  two.served.set(8, empty)
  await round(clock)
  one.served.clear()
  two.served.set(7, empty)
  for (let time = 0; time < 3; time++) await round(clock)
  assert.deepEqual(witness.told, [
    [7, status],
    [7, empty],
  ])
  one.served.set(7, status)
  two.served.clear()
  await round(clock)
  assert.deepEqual(witness.told.at(-1), [7, status])
})

it('tells a node that comes again of what has been emptied meanwhile', async () => {
  const clock = new ManualClock()
  const network = new MemoryNetwork()
  const [one, two] = [1, 2].map((number) => new Node(network, clock, `n${number}`, number)) as [Node, Node]
  const status = { ready: 5, unacked: 1, consumers: 1 }
  one.served.set(7, status)
  network.connectAll()
  await round(clock)
  network.cut('n1', 'n2')
  one.served.set(7, empty)
  await round(clock)
  assert.deepEqual(two.told, [[7, status]])
  network.mend('n1', 'n2')
  await round(clock)
  assert.deepEqual(two.told.at(-1), [7, empty])
})
