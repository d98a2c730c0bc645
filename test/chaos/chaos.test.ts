/**
 * Three nodes with a nats-server each, and publishers and consumers spread over them that write down what they see, while
 * processes are killed, frozen and restarted, nodes are cut from each other, and shards are stolen by hand. The checker of
 * the kill loop judges: nothing confirmed is lost, nothing invented, altered or doubled, order and `redelivered` hold; and
 * the nodes' own journals show that no two served a shard at once.
 *
 *   WARREN_CHAOS_SECONDS=3600 node scripts/test.mjs chaos     longer than the test command's: many chapters on one cluster,
 *                                                              each judged and forgotten before the next begins
 *   WARREN_CHAOS_SEED=12345                                    the random choices of an earlier run
 *   WARREN_CHAOS_FAULTS=killed                                 only the faults of such names
 *   WARREN_CHAOS_SESSION=20                                    `cluster-session` of the nodes, in seconds
 *   WARREN_CHAOS_KEEP=1                                        histories and logs stay also when all is well
 *
 * Where this process may not make network namespaces (it takes root), nodes are on loopback and are not cut from each other.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
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
import { RawClient } from '../support/amqp/raw-client.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { NodeNetworks } from '../support/cluster/node-networks.ts'
import { judgeOwnership } from '../support/cluster/ownership-judge.ts'
import { natsProgram } from '../support/nats/nats-program.ts'
import { leftOut } from '../support/run-program.ts'
import type { Fault, Hit } from './fault.ts'
import { faults as allFaults } from './faults.ts'
import { addressOf, ServiceTimes } from './service-times.ts'

const seconds = Number(process.env['WARREN_CHAOS_SECONDS'] ?? 240)
/** The checker keeps all that was published in a chapter in memory. */
const chapterSecondsMax = 300
const seed = Number(process.env['WARREN_CHAOS_SEED'] ?? randomInt(1_000_000_000))
/** After the last fault is healed, a message must get through within this time, in milliseconds of having a processor. */
const progressMsMax = 30_000
const sessionMs = Number(process.env['WARREN_CHAOS_SESSION'] ?? 5) * 1_000
/** NATS chooses another leader within this time. Who cannot renew its own session meanwhile counts those of others anew. */
const electionMsMax = 9_000
/** One of its elections may have no winner, and is held again. */
const electionsMax = 2
/** What a node that is gone has owned is served elsewhere within this time, in milliseconds of having a processor. */
const takeOverMsMax = sessionMs + 5_000 + (electionMsMax > sessionMs / 2 ? electionsMax * electionMsMax : 0)
/** A fault that the cluster need not get over by itself is healed after so long, in milliseconds. */
const outageMsMax = 15_000
/** After so long without a fault all copies are level again, and the cluster can do without one, in milliseconds. */
const peaceMs = 10_000
const logLevel = process.env['WARREN_LOG_LEVEL'] ?? 'info'
/** Only those whose name this matches. */
const wanted = new RegExp(process.env['WARREN_CHAOS_FAULTS'] ?? '')
const faultsShown = 20

if ((await natsProgram()) === null) leftOut('faults of a cluster', 'nats-server')
else
  test(`${seconds} s of faults lose, invent, alter and double nothing that was confirmed`, async (t) => {
    console.error(`chaos: ${seconds} s, WARREN_CHAOS_SEED=${seed}`)
    const folder = mkdtempSync(join(tmpdir(), 'warren-chaos-'))
    const env = { WARREN_CLUSTER_SHARDS: '4', WARREN_CLUSTER_SESSION: `${sessionMs}ms`, WARREN_LOG_LEVEL: logLevel }
    const networks = await ownNetworks(t.diagnostic.bind(t))
    const cluster = await ClusterProcesses.start({ env, outputFolder: folder, networks })
    const times = new ServiceTimes(folder)
    const isKept = process.env['WARREN_CHAOS_KEEP'] !== undefined
    const torment = new Torment(cluster, times)
    try {
      await prepare(cluster)
      const chapters = Math.ceil(seconds / chapterSecondsMax)
      const verdicts: Verdict[] = []
      for (let number = 1; number <= chapters; number++) {
        const chapter = new Chapter(cluster, join(folder, `chapter-${number}`), number)
        verdicts.push(await chapter.run(torment, times, (seconds * 1_000) / chapters))
        if (!isKept) chapter.forget()
      }
      keepJournals(cluster, folder)
      const lines = cluster.nodes.flatMap(journalOf)
      const overlaps = judgeOwnership(lines, lastWords(lines), { areSetBack: true })
      await cluster.stop()
      for (const line of times.lines) t.diagnostic(line)
      report(verdicts, torment.counts, t.diagnostic.bind(t))
      assert.deepEqual(overlaps.slice(0, faultsShown), [], 'two nodes served a shard at once')
      const late = times.lateOnes.join('; ')
      assert.equal(late, '', `not served by others in time, with WARREN_CHAOS_SEED=${seed}: ${late}`)
      if (isKept) console.error(`chaos: histories and logs are in ${folder}`)
      else rmSync(folder, { recursive: true, force: true })
    } catch (error) {
      console.error(`chaos: histories, logs of the nodes and what was done to them are in ${folder}`)
      keepJournals(cluster, folder)
      throw error
    } finally {
      times.end()
      await cluster.kill()
    }
  })

/** Publishers and consumers for a while, until the queues are empty and what they saw is judged. */
class Chapter {
  readonly #cluster: ClusterProcesses
  readonly #folder: string
  readonly #number: number
  readonly #workers: WorkerProcess[] = []

  constructor(cluster: ClusterProcesses, folder: string, number: number) {
    this.#cluster = cluster
    this.#folder = folder
    this.#number = number
    mkdirSync(folder)
  }

  async run(torment: Torment, times: ServiceTimes, ms: number): Promise<Verdict> {
    try {
      const publishers = [this.#start('publish', 'p'), this.#start('publish', 'q')]
      const consumers = [this.#start('consume', 'c'), this.#start('consume', 'd')]
      await torment.run(this.#workers, ms)
      for (const worker of publishers) await worker.finish()
      times.note('publishers have finished')
      for (const worker of consumers) await worker.finish()
      times.note('consumers have finished')
      await this.#start('drain', 'z').end()
      times.note(`chapter ${this.#number} is over`)
    } finally {
      for (const worker of this.#workers) worker.kill()
    }
    const ofThis = new RegExp(`^[pq]${this.#number}\\.`)
    const verdict = await judgeFolder(this.#folder, { ownersMove: true, isOurs: (publisher) => ofThis.test(publisher) })
    const shown = verdict.faults.slice(0, faultsShown).map(({ rule, text }) => `${rule}: ${text}`)
    assert.equal(
      verdict.faults.length,
      0,
      `${verdict.faults.length} faults with WARREN_CHAOS_SEED=${seed}:\n${shown.join('\n')}`,
    )
    return verdict
  }

  forget(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #start(role: Task['role'], letter: string): WorkerProcess {
    const workers = this.#workers
    const name = `${letter}${this.#number}.`
    const common = { actors: 2, folder: this.#folder, isLying: false, isTolerant: true }
    const dice = { seed: seed + this.#number * 10_000 + workers.length * 100 }
    const worker = new WorkerProcess({ ...common, ...dice, role, name, addresses: this.#cluster.nodes.map(addressOf) })
    workers.push(worker)
    return worker
  }
}

/** One fault after the other, now and then two at once; after each the cluster must get on. */
class Torment {
  /** How often each was. */
  readonly counts = new Map<string, number>()
  readonly #cluster: ClusterProcesses
  readonly #times: ServiceTimes
  readonly #dice = new Dice(seed)
  readonly #faults: readonly Fault[]
  #deck: Fault[] = []

  constructor(cluster: ClusterProcesses, times: ServiceTimes) {
    this.#cluster = cluster
    this.#times = times
    this.#faults = allFaults.filter((one) => wanted.test(one.name) && !(one.needsNetworks && cluster.networks === null))
  }

  async run(workers: readonly WorkerProcess[], ms: number): Promise<void> {
    const end = Date.now() + ms
    while (Date.now() < end) {
      const chosen = [this.#next()]
      if (this.#dice.chance(0.25)) chosen.push(this.#next())
      for (const { name } of chosen) this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
      const isPeaceful = chosen.length === 1 && this.#dice.chance(0.4)
      if (isPeaceful) await pause(peaceMs)
      await suffer(this.#cluster, chosen, { dice: this.#dice, times: this.#times, isPeaceful })
      await untilProgress(this.#cluster, this.#times)
      for (const worker of workers) worker.mustRun()
    }
  }

  /** All kinds come before one comes again. */
  #next(): Fault {
    if (this.#deck.length === 0) this.#deck = [...this.#faults]
    return this.#deck.splice(this.#dice.between(0, this.#deck.length - 1), 1)[0] as Fault
  }
}

interface Scene {
  readonly dice: Dice
  readonly times: ServiceTimes
  /** All copies were level before. */
  readonly isPeaceful: boolean
}

/** Some faults at once, until they are healed: after some time, or as soon as the cluster gets on without. */
async function suffer(
  cluster: ClusterProcesses,
  chosen: readonly Fault[],
  { dice, times, isPeaceful }: Scene,
): Promise<void> {
  const name = chosen.map((fault) => fault.name).join(' + ')
  times.note(`begins: ${name}`)
  const hits: Hit[] = []
  for (const fault of chosen) hits.push(await fault.begin(cluster, dice))
  times.note(`has begun: ${name}, ${hits.map(toldOf).join(' + ')}`)
  let isHealed = false
  const isHit = (node: ClusterNode): boolean => hits.some(({ isOut, nodes }) => isOut && nodes.includes(node))
  const others = cluster.nodes.filter((node) => !isHit(node))
  const service = times.watch(name, others.length > 0 ? others : cluster.nodes, () => isHealed)
  // Two faults at once, or one before all is copied again, may leave no majority, and then nothing is promised.
  if (isPeaceful && hits.every(({ isTakenOver }) => isTakenOver)) {
    if (!(await times.comesWithin(takeOverMsMax, service))) times.late(name, takeOverMsMax)
  } else if (dice.chance(0.5)) await pause(dice.between(1_000, 8_000))
  else await Promise.race([service, atMost(outageMsMax)])
  isHealed = true
  times.note(`heals: ${name}`)
  // Together: a node that is started again may wait for what another fault has taken away.
  await Promise.all(hits.map(({ heal }) => heal()))
  times.note(`healed: ${name}`)
  await Promise.race([service, atMost(progressMsMax)])
}

/** The test does not go on for it. */
function atMost(ms: number): Promise<void> {
  return pause(ms, undefined, { ref: false })
}

function toldOf({ nodes, detail }: Hit): string {
  return `${nodes.map((node) => node.name).join()}${detail === undefined ? '' : ` (${detail})`}`
}

/** Null, and said so, where there can be none. */
async function ownNetworks(say: (text: string) => void): Promise<NodeNetworks | null> {
  try {
    return await NodeNetworks.open(3)
  } catch (error) {
    say(`nodes are on loopback and NOT cut from each other: ${error instanceof Error ? error.message : error}`)
    return null
  }
}

/** Until a message gets through each node to each shard. */
async function untilProgress({ nodes }: ClusterProcesses, times: ServiceTimes): Promise<void> {
  const began = Date.now()
  const stuck = new Set(nodes.map(({ name }) => name))
  const progress = Promise.all(nodes.map((node) => times.untilThrough(node).then(() => stuck.delete(node.name))))
  const hasCome = await times.comesWithin(
    progressMsMax,
    progress.then(() => {}),
  )
  assert.ok(hasCome, `nothing gets through ${[...stuck].join()} ${Date.now() - began} ms after healing`)
  times.note(`all get through again, ${Date.now() - began} ms after healing`)
}

async function prepare(cluster: ClusterProcesses): Promise<void> {
  const client = await RawClient.withChannel(addressOf(cluster.node(0)))
  await declareStage(client)
  await client.close()
}

function report(verdicts: readonly Verdict[], chosen: Map<string, number>, say: (text: string) => void): void {
  const sum = (name: Exclude<keyof Verdict, 'faults'>): number => verdicts.reduce((all, one) => all + one[name], 0)
  const counts = { published: sum('published'), confirmed: sum('confirmed'), promised: sum('promised') }
  const deliveries = { delivered: sum('delivered'), redelivered: sum('redelivered'), strangers: sum('strangers') }
  say(`${JSON.stringify(Object.fromEntries(chosen))}: ${JSON.stringify({ ...counts, ...deliveries })}`)
  assert.ok(counts.promised > 10 * seconds, 'too little was published to mean anything')
  assert.ok(queues.length > 0 && deliveries.redelivered > 0, 'no fault ever met an unacknowledged message')
}

function keepJournals(cluster: ClusterProcesses, folder: string): void {
  for (const { name, broker } of cluster.nodes) {
    const journal = join(broker.dataDirectory, 'ownership.jsonl')
    if (existsSync(journal)) copyFileSync(journal, join(folder, `ownership-${name}.log`))
  }
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
