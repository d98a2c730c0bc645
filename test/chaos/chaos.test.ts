/**
 * Three nodes with a nats-server each, and publishers and consumers spread over them that write down what they see, while
 * processes are killed and stopped and links are cut. The checker of the kill loop judges: nothing confirmed is lost,
 * nothing invented, altered or doubled, order and `redelivered` hold; and the nodes' own journals show that no two served a
 * shard at once.
 *
 *   WARREN_CHAOS_SECONDS=3600 node scripts/test.mjs chaos     longer than the test command's
 *   WARREN_CHAOS_SEED=12345                                    the random choices of an earlier run
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { OwnershipLine } from '../../src/cluster/membership/ownership-journal.ts'
import type { Verdict } from '../crash/checker.ts'
import { Dice } from '../crash/dice.ts'
import { judgeFolder } from '../crash/judge-folder.ts'
import { declareStage, queues } from '../crash/stage.ts'
import type { Task } from '../crash/worker.ts'
import { WorkerProcess } from '../crash/worker-process.ts'
import { type Address, RawClient } from '../support/amqp/raw-client.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { judgeOwnership } from '../support/cluster/ownership-judge.ts'
import { type Fault, faults } from './faults.ts'

const seconds = Number(process.env['WARREN_CHAOS_SECONDS'] ?? 150)
const seed = Number(process.env['WARREN_CHAOS_SEED'] ?? randomInt(1_000_000_000))
/** After the last fault is healed, a message must get through within this time, in milliseconds. */
const progressMsMax = 30_000
const faultsShown = 20

void test(`${seconds} s of faults lose, invent, alter and double nothing that was confirmed`, async (t) => {
  console.error(`chaos: ${seconds} s, WARREN_CHAOS_SEED=${seed}`)
  const folder = mkdtempSync(join(tmpdir(), 'warren-chaos-'))
  const cluster = await ClusterProcesses.start({ env: { WARREN_CLUSTER_SHARDS: '4', WARREN_CLUSTER_SESSION: '5s' } })
  const workers: WorkerProcess[] = []
  try {
    await prepare(cluster)
    const start = (role: Task['role'], name: string): WorkerProcess => {
      const common = { actors: 2, folder, isLying: false, isTolerant: true, seed: seed + workers.length * 100 }
      const worker = new WorkerProcess({ ...common, role, name, addresses: cluster.nodes.map(addressOf) })
      workers.push(worker)
      return worker
    }
    const publishers = [start('publish', 'p'), start('publish', 'q')]
    const consumers = [start('consume', 'c'), start('consume', 'd')]
    const counts = await torment(cluster, workers, t.diagnostic.bind(t))
    for (const worker of publishers) await worker.finish()
    for (const worker of consumers) await worker.finish()
    await start('drain', 'z').end()
    const lines = cluster.nodes.flatMap(journalOf)
    const overlaps = judgeOwnership(lines, lastWords(lines))
    await cluster.stop()
    const verdict = await judgeFolder(folder)
    report(verdict, counts, t.diagnostic.bind(t))
    assert.deepEqual(overlaps.slice(0, faultsShown), [], 'two nodes served a shard at once')
    rmSync(folder, { recursive: true, force: true })
  } catch (error) {
    console.error(`chaos: the histories are in ${folder}`)
    for (const { name, broker } of cluster.nodes) console.error(`---- ${name}\n${broker.output.slice(-4_000)}`)
    throw error
  } finally {
    for (const worker of workers) worker.kill()
    await cluster.kill()
  }
})

/** One fault after the other, now and then two at once; after each the cluster must get on. Gives how often each was. */
async function torment(
  cluster: ClusterProcesses,
  workers: readonly WorkerProcess[],
  say: (text: string) => void,
): Promise<Map<string, number>> {
  const dice = new Dice(seed)
  const counts = new Map<string, number>()
  const end = Date.now() + seconds * 1_000
  let slowest = 0
  while (Date.now() < end) {
    const chosen: Fault[] = [dice.pick(faults)]
    if (dice.chance(0.2)) chosen.push(dice.pick(faults))
    const heals: (() => Promise<void>)[] = []
    for (const fault of chosen) {
      counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1)
      heals.push(await fault.begin(cluster, dice))
    }
    await pause(dice.between(2_000, 9_000))
    for (const heal of heals) await heal()
    slowest = Math.max(slowest, await untilProgress(cluster))
    for (const worker of workers) worker.mustRun()
  }
  say(`slowest return to service after healing: ${slowest} ms`)
  return counts
}

/** Until a message gets through each node to each queue; how long that took, in milliseconds. */
async function untilProgress(cluster: ClusterProcesses): Promise<number> {
  const began = Date.now()
  for (const node of cluster.nodes) {
    for (let isThrough = false; !isThrough; ) {
      assert.ok(
        Date.now() - began < progressMsMax,
        `nothing gets through ${node.name} ${progressMsMax} ms after healing`,
      )
      isThrough = await getsThrough(node)
      if (!isThrough) await pause(200)
    }
  }
  return Date.now() - began
}

async function getsThrough(node: ClusterNode): Promise<boolean> {
  let client: RawClient | null = null
  try {
    client = await RawClient.withChannel(addressOf(node))
    const queue = 'chaos.probe'
    await client.call(1, 'queue.declare', { queue, durable: true })
    await client.call(1, 'confirm.select')
    client.publish(1, { routingKey: queue, body: 'probe', properties: { deliveryMode: 2 } })
    const answer = await client.next(1, 5_000)
    return answer.name === 'basic.ack'
  } catch {
    return false
  } finally {
    client?.destroy()
  }
}

async function prepare(cluster: ClusterProcesses): Promise<void> {
  const client = await RawClient.withChannel(addressOf(cluster.node(0)))
  await declareStage(client)
  await client.close()
}

function report({ faults: found, ...counts }: Verdict, chosen: Map<string, number>, say: (text: string) => void): void {
  say(`${JSON.stringify(Object.fromEntries(chosen))}: ${JSON.stringify(counts)}`)
  const shown = found.slice(0, faultsShown).map(({ rule, text }) => `${rule}: ${text}`)
  assert.equal(found.length, 0, `${found.length} faults with WARREN_CHAOS_SEED=${seed}:\n${shown.join('\n')}`)
  assert.ok(counts.promised > 10 * seconds, 'too little was published to mean anything')
  assert.ok(queues.length > 0 && counts.redelivered > 0, 'no fault ever met an unacknowledged message')
}

function journalOf({ broker }: ClusterNode): string[] {
  const text = readFileSync(join(broker.dataDirectory, 'ownership.jsonl'), 'utf8')
  return text.split('\n').filter((line) => line !== '')
}

/** A process that was killed says nothing of its end: what it served is taken to have ended with its last line. */
function lastWords(lines: readonly string[]): { incarnation: number; at: number }[] {
  const last = new Map<number, number>()
  for (const text of lines) {
    const { incarnation, at }: OwnershipLine = JSON.parse(text)
    last.set(incarnation, Math.max(at, last.get(incarnation) ?? 0))
  }
  return [...last].map(([incarnation, at]) => ({ incarnation, at }))
}

function addressOf({ broker: { host, port, user, password } }: ClusterNode): Address {
  return { host, port, user, password }
}
