/**
 * Membership and ownership of several nodes under faults, with a seed: processes that are killed, stopped, cut off,
 * started anew; a store that answers late, twice, or not; clocks that run wrong and jump.
 *
 *   SEED=17 node --test dist/test/simulation/ownership.test.js      one seed again
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SeededRandom } from '../../src/base/random.ts'
import { fieldsOf } from '../../src/cluster/membership/entry-fields.ts'
import type { CoordinationFaults } from '../support/cluster/memory-coordination.ts'
import { judgeOwnership, type ProcessEnd } from '../support/cluster/ownership-judge.ts'
import { SimulatedCluster } from '../support/cluster/simulated-cluster.ts'
import type { SimulatedNode } from '../support/cluster/simulated-node.ts'

const seedsPerTest = 10
const tests = 6
const seedAsked = process.env['SEED']
const sessionMs = 20_000
const shards = 6
const rounds = 12

const troubled: CoordinationFaults = {
  delayMsMax: 400,
  timeoutMs: 2_000,
  requestLost: 0.05,
  answerLost: 0.05,
  requestLate: 0.05,
  readStale: 0.3,
  staleMax: 20,
}
const slow: CoordinationFaults = { ...troubled, requestLost: 0, answerLost: 0, requestLate: 0, readStale: 0 }

const kinds = [
  'kill',
  'stop',
  'cut',
  'slow',
  'drain',
  'lose',
  'outage',
  'mend',
  'mend',
  'jump',
  'steal',
  'unlink',
  'putBack',
] as const
type Kind = (typeof kinds)[number]
/** Only with some seeds, since less can be asked of those. */
const special: ReadonlySet<Kind> = new Set(['jump', 'steal', 'unlink', 'putBack'])
/**
 * A lease that an operator frees by hand is taken by another node at once, and its holder learns of it by its watch, or
 * by the log: that much later it stops.
 */
const stealMsMax = 8_000
/** A node sees after half a session that what it renews is lost, waits for one, and may find an old one of its own. */
const beginAnewMsMax = 2.5 * sessionMs
/** In which a process that was stopped notices it when it goes on. */
const wakingMs = 300

class OwnershipRun {
  readonly cluster: SimulatedCluster
  readonly #random: SeededRandom
  readonly #kinds: readonly Kind[]
  readonly #killed: ProcessEnd[] = []
  /** Of processes that stand still, by incarnation. */
  readonly #stoppedAt = new Map<number, number>()
  readonly #overlaps: string[] = []
  /** Journals are written by the wall clock, and cannot be compared once it has jumped. */
  #hasJumped = false
  readonly faults: string[] = []

  constructor(seed: number) {
    const names = ['n1', 'n2', 'n3', 'n4', 'n5'].slice(0, 3 + (seed % 3))
    // The slowest clock and the fastest are at most a factor of 1.5 apart.
    this.cluster = new SimulatedCluster(names, shards, seed, {
      faults: troubled,
      hostMsMax: 3_000,
      rates: [0.85, 1, 1.25],
    })
    this.#random = this.cluster.parts.random
    const allowed = [
      seed % 4 === 0 ? 'jump' : null,
      seed % 5 === 0 ? 'steal' : null,
      seed % 3 === 0 ? 'unlink' : null,
      seed % 7 === 0 ? 'putBack' : null,
    ]
    this.#kinds = kinds.filter((kind) => !special.has(kind) || allowed.includes(kind))
  }

  async go(): Promise<void> {
    this.cluster.startAll()
    await this.#run(15_000)
    for (let round = 0; round < rounds; round++) {
      const count = 1 + this.#random.below(2)
      for (let fault = 0; fault < count; fault++) this.#hurt()
      await this.#run(this.#random.below(40_000))
    }
    this.#heal()
    await this.#run(sessionMs + 5_000 + (this.#kinds.includes('putBack') ? beginAnewMsMax : 0))
  }

  /** What went wrong, as sentences. */
  judge(): string[] {
    const found = [...this.#overlaps]
    const { journal } = this.cluster.parts
    const overlapMsMax = this.#kinds.includes('steal') ? stealMsMax : 0
    const allowed = { overlapMsMax, areSetBack: overlapMsMax > 0 || this.#kinds.includes('putBack') }
    if (!this.#hasJumped) found.push(...judgeOwnership(journal, this.#killed, allowed))
    for (const [shard, server] of this.cluster.ownership()) {
      if (server === '-') found.push(`shard ${shard} is served by nobody after all was healed`)
    }
    return found
  }

  async #run(ms: number): Promise<void> {
    const mayOverlap = this.#kinds.includes('steal')
    await this.cluster.run(ms, () => {
      if (mayOverlap) return
      for (const [shard, servers] of this.cluster.ownership()) {
        const { world } = this.cluster.parts
        if (servers.includes('+')) this.#overlaps.push(`${servers} serve shard ${shard} at ${world.now()}`)
      }
    })
  }

  #hurt(): void {
    const node = this.cluster.nodes[this.#random.below(this.cluster.nodes.length)]
    if (node === undefined) return
    const kind = this.#kinds[this.#random.below(this.#kinds.length)] ?? 'mend'
    this.faults.push(`${kind} ${node.name}`)
    switch (kind) {
      case 'kill':
        return this.#kill(node)
      case 'stop':
        return this.#stop(node)
      case 'cut':
        return node.process?.coordination.cut()
      case 'slow':
        if (node.process !== null) node.process.coordination.faults = { ...troubled, delayMsMax: 3_000 }
        return
      case 'jump':
        this.#hasJumped = true
        return node.process?.clock.jump((this.#random.below(3) - 1) * 86_400_000)
      case 'drain':
        return void node.process?.membership?.setDraining(this.#random.below(2) === 0).catch(() => {})
      case 'steal':
        return this.#steal()
      case 'putBack':
        return this.#putBack()
      case 'unlink':
        return this.#unlink(node)
      case 'lose':
        return this.#loseHost(node)
      case 'outage':
        for (const each of this.cluster.nodes) each.process?.coordination.cut()
        return
      case 'mend':
        return this.#mend(node)
    }
  }

  #stop(node: SimulatedNode): void {
    if (node.process === null || node.process.clock.isStopped) return
    this.#stoppedAt.set(node.incarnation, this.cluster.parts.world.now())
    node.process.clock.stop()
  }

  #kill(node: SimulatedNode): void {
    const { world } = this.cluster.parts
    const { incarnation } = node
    if (node.process === null) return
    this.#killed.push({ incarnation, at: this.#stoppedAt.get(incarnation) ?? world.now() })
    node.kill()
    // A link of another node finds out, sometimes.
    const other = this.cluster.nodes[this.#random.below(this.cluster.nodes.length)]
    world.after(this.#random.below(3_000), () => {
      if (other?.process?.clock.isStopped === false) other.process.membership?.provedDead(node.name, incarnation)
    })
  }

  /** An operator writes a lease by hand. */
  #steal(): void {
    const { store } = this.cluster.parts
    const key = `lease.shard-${this.#random.below(shards)}`
    const lease = store.read(key)
    if (lease === null) return
    const fields = fieldsOf(lease.value)
    const { incarnation, name: node } = this.cluster.nodes[this.#random.below(this.cluster.nodes.length)] ?? {}
    const epoch = Number(fields?.['epoch'] ?? 0)
    const lower = this.#random.below(epoch + 1)
    const entries = [
      { node: null, incarnation: 0, epoch: epoch + 1 },
      { epoch: lower },
      { node: null, incarnation: 0, epoch: lower },
      { node, incarnation, epoch: lower },
      { node, incarnation },
      { node: 'n99', incarnation: 1_000_000, epoch: epoch + 1_000 },
      { node, incarnation, epoch: Number.MAX_SAFE_INTEGER },
    ]
    const entry = entries[this.#random.below(entries.length + 2)]
    const damaged = this.#random.below(2) === 0 ? null : 'nonsense'
    store.write(key, entry === undefined ? damaged : JSON.stringify({ ...fields, ...entry }), lease.revision)
  }

  /** What the nodes agree on is lost, or put back from an old copy. */
  #putBack(): void {
    const { store } = this.cluster.parts
    store.putBack(this.#random.below(2) * this.#random.below(store.revision + 1))
  }

  /** Some of its links are cut, or all are there again. */
  #unlink(node: SimulatedNode): void {
    const { links } = this.cluster.parts
    if (this.#random.below(3) === 0) return links.heal()
    for (const { name } of this.cluster.nodes) if (this.#random.below(2) === 0) links.cut(node.name, name)
  }

  #loseHost(node: SimulatedNode): void {
    const host = node.process?.hosts.find(({ isOpen }) => isOpen)
    if (host === undefined || node.process?.clock.isStopped === true) return
    host.isOpen = false
    host.failsToOpen = this.#random.below(5)
    node.process?.ownership?.hostLost(host.shard, 'failed', 'the disk is full')
  }

  #mend(node: SimulatedNode): void {
    node.start()
    const { incarnation } = node
    // One that is killed before it could do anything has not served since it was stopped.
    if (node.process?.clock.isStopped === true)
      this.cluster.parts.world.after(wakingMs, () => this.#stoppedAt.delete(incarnation))
    node.process?.clock.goOn()
    if (node.process?.coordination.isCut === true) node.process.coordination.heal()
  }

  #heal(): void {
    this.cluster.parts.links.heal()
    for (const node of this.cluster.nodes) {
      node.faults = slow
      this.#mend(node)
      const { process } = node
      if (process === null) continue
      process.coordination.faults = slow
      for (const host of process.hosts) host.failsToOpen = 0
      process.membership?.setDraining(false).catch(() => {})
    }
  }
}

async function check(seed: number): Promise<void> {
  const run = new OwnershipRun(seed)
  await run.go()
  assert.deepEqual(run.judge(), [], `SEED=${seed}: ${run.faults.join(', ')}`)
}

if (seedAsked !== undefined) {
  test(`no shard is served twice, and each is served after all is healed (seed ${seedAsked})`, () => {
    return check(Number(seedAsked))
  })
} else {
  for (let first = 1; first <= tests * seedsPerTest; first += seedsPerTest) {
    const last = first + seedsPerTest - 1
    test(`no shard is served twice, and each is served after all is healed (seeds ${first} to ${last})`, async () => {
      for (let seed = first; seed <= last; seed++) await check(seed)
    })
  }
}
