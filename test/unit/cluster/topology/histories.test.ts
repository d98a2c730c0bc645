/**
 * Random histories: clients of all nodes declare, bind and delete while links break and heal, nodes are slow, end and come
 * again, and owners change as planned and against their will. Held against what must be true of every one of them:
 *
 * - what was answered is true on every node that lets clients in, at the moment of the answer and until somebody asks for
 *   something else;
 * - at the end all nodes know the same, and a node that starts then and reads the log from its beginning knows it too.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SeededRandom } from '../../../../src/base/random.ts'
import { BrokerError } from '../../../../src/broker/errors.ts'
import { recordOf } from '../../../../src/broker/topology/record-of.ts'
import type { Topology } from '../../../../src/broker/topology/topology.ts'
import { bindArguments, exchangeArguments, queueArguments, routed } from '../../../support/broker-harness.ts'
import { TopologyCluster, type TopologyNode } from '../../../support/cluster/topology-cluster.ts'

const names = ['a', 'b', 'c', 'd'] as const
/** Each thing is one client's at a time, so that it is known what must be true of it. */
const things = 12
/** After so long a change is made or lost that a node asked for which is gone, in milliseconds. */
const strayMsMax = 60

/** Everything that a topology knows but where its records lie. */
function dump(topology: Topology): string[] {
  const lines: string[] = []
  for (const vhost of topology.vhosts.values()) {
    for (const queue of vhost.queues.values()) lines.push(JSON.stringify(recordOf(queue)))
    for (const exchange of vhost.exchanges.values()) {
      lines.push(JSON.stringify(recordOf(exchange)))
      for (const binding of exchange.outgoing.values()) lines.push(JSON.stringify(recordOf(binding)))
    }
  }
  for (const node of topology.nodes.values()) lines.push(JSON.stringify(recordOf(node)))
  for (const user of topology.users.values()) lines.push(JSON.stringify(recordOf(user)))
  return lines.sort()
}

/** What is known of a queue and its exchange; null: nothing. */
type Known = 'bound' | 'unbound' | 'gone' | null

/** One client at a time works on one thing: a queue bound to an exchange, both named after it. */
class Worker {
  isBusy = false
  answers = 0
  readonly #cluster: TopologyCluster
  readonly #random: SeededRandom
  readonly #thing: number
  /** What was answered last; null when the last outcome is not known. */
  #state: Known = 'gone'

  constructor(cluster: TopologyCluster, random: SeededRandom, thing: number) {
    this.#cluster = cluster
    this.#random = random
    this.#thing = thing
  }

  begin(node: TopologyNode): void {
    this.isBusy = true
    this.#state = null
    void this.#act(node).then(
      () => {
        this.isBusy = false
      },
      (error: unknown) => {
        this.isBusy = false
        if (!(error instanceof BrokerError)) throw error
      },
    )
  }

  /** Its node has ended: nobody will answer, and what it asked for last may still happen, soon. */
  forget(): void {
    this.#state = null
    this.#cluster.clock.after(strayMsMax, () => {
      this.isBusy = false
    })
  }

  async #act(node: TopologyNode): Promise<void> {
    const choice = this.#random.below(3)
    const session = node.session()
    const { vhost } = session
    const [queue, exchange] = [`q${this.#thing}`, `x${this.#thing}`]
    const isDurable = this.#thing % 2 === 0
    if (choice < 2) {
      await node.answered<unknown>((r) => vhost.declareQueue(session, queueArguments(queue, { isDurable }), r))
      await node.answered<boolean>((r) =>
        vhost.declareExchange(session, exchangeArguments(exchange, 'fanout', { isDurable }), r),
      )
      const args = bindArguments(exchange, queue)
      await node.answered<boolean>((r) => vhost.bindQueue(session, args, r))
      if (choice === 1) await node.answered<boolean>((r) => vhost.unbindQueue(session, args, r))
      // What is not durable goes with its node, at a moment that nobody knows.
      this.#answered(isDurable ? (choice === 0 ? 'bound' : 'unbound') : null)
    } else {
      await node.answered<number>((r) => vhost.deleteQueue(session, queue, { ifUnused: false, ifEmpty: false }, r))
      await node.answered<void>((r) => vhost.deleteExchange(session, exchange, false, r))
      this.#answered('gone')
    }
  }

  #answered(state: Known): void {
    this.#state = state
    this.answers++
    this.check()
  }

  /** On every node that lets clients in. */
  check(): void {
    if (this.#state === null) return
    const [queue, exchange] = [`q${this.#thing}`, `x${this.#thing}`]
    for (const node of this.#cluster.all) {
      if (!node.isReady || node.restarts.length > 0) continue
      const vhost = node.topology.vhosts.get('/')
      const isThere = vhost?.queues.has(queue) === true
      assert.equal(isThere, this.#state !== 'gone', `${queue} on ${node.self.name} after '${this.#state}'`)
      assert.equal(vhost?.exchanges.has(exchange), this.#state !== 'gone', `${exchange} on ${node.self.name}`)
      if (!isThere) continue
      const expected: string[] = this.#state === 'bound' ? [queue] : []
      assert.deepEqual(routed(node.session(), exchange, ''), expected, `${exchange} on ${node.self.name}`)
    }
  }
}

class History {
  readonly cluster: TopologyCluster
  readonly workers: Worker[]
  readonly #random: SeededRandom
  #isChanging = false
  readonly happened = { plannedMoves: 0, takeOvers: 0, ends: 0, cuts: 0, restarts: 0 }

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    const random = this.#random
    this.cluster = new TopologyCluster({ segmentRecordsMax: 32 })
    this.cluster.links.delayMs = () => random.below(6)
    this.cluster.log.commitMs = () => 1 + random.below(8)
    this.cluster.log.followMs = () => random.below(12)
    this.workers = Array.from({ length: things }, (_, thing) => new Worker(this.cluster, random, thing))
  }

  async run(steps: number): Promise<void> {
    const { cluster } = this
    for (const name of names) cluster.start(name)
    await cluster.owns('a')
    await cluster.until(() => cluster.all.every(({ isReady }) => isReady))
    for (let step = 0; step < steps; step++) {
      for (const worker of this.workers) {
        if (!worker.isBusy && this.#random.below(4) === 0) this.#begin(worker)
      }
      if (this.#random.below(25) === 0) this.#disturb()
      await cluster.pass(1 + this.#random.below(6))
    }
    await this.#quiet()
  }

  readonly #nodeOf = new Map<Worker, TopologyNode>()

  #begin(worker: Worker): void {
    const ready = this.cluster.all.filter(({ isReady, restarts }) => isReady && restarts.length === 0)
    const node = ready[this.#random.below(ready.length)]
    if (node === undefined) return
    this.#nodeOf.set(worker, node)
    worker.begin(node)
  }

  #disturb(): void {
    const { cluster } = this
    const name = names[this.#random.below(names.length)] ?? 'a'
    switch (this.#random.below(4)) {
      case 0: {
        this.happened.cuts++
        const other = names[this.#random.below(names.length)] ?? 'b'
        cluster.links.cut(name, other)
        cluster.clock.after(this.#random.below(60), () => cluster.links.connectAll())
        return
      }
      case 1:
        return this.#change(() => this.#move(name))
      case 2:
        return this.#change(() => this.#takeOver(name))
      default:
        return this.#change(() => this.#end(name))
    }
  }

  /** One after the other: who owns next is decided when this is known of the last. */
  #change(change: () => Promise<void>): void {
    if (this.#isChanging) return
    this.#isChanging = true
    void change().finally(() => {
      this.#isChanging = false
    })
  }

  get #owner(): TopologyNode | undefined {
    return this.cluster.all.find(({ owned }) => owned !== null && owned === this.cluster.log.owner)
  }

  async #move(name: string): Promise<void> {
    const owner = this.#owner
    if (owner === undefined || owner.self.name === name) return
    this.happened.plannedMoves++
    await owner.stepDown()
    await this.cluster.owns(name)
  }

  /** While the owner still believes that it is one. */
  async #takeOver(name: string): Promise<void> {
    const owner = this.#owner
    if (owner === undefined || owner.self.name === name) return
    this.happened.takeOvers++
    await this.cluster.owns(name)
    await this.cluster.pass(this.#random.below(30))
    if (owner.restarts.length === 0) {
      owner.owned?.commit()
      if (owner.restarts.length === 0) await owner.stepDown()
    }
    if (owner.restarts.length > 0) await this.#startAnew(owner.self.name)
  }

  async #startAnew(name: string): Promise<void> {
    this.happened.restarts++
    this.#kill(name)
    await this.cluster.pass(this.#random.below(40))
    this.cluster.start(name)
  }

  async #end(name: string): Promise<void> {
    this.happened.ends++
    const isOwner = this.#owner?.self.name === name
    this.#kill(name)
    await this.cluster.pass(this.#random.below(40))
    if (this.#random.below(2) === 0) this.cluster.sessionEnds(name)
    const next = names.filter((other) => other !== name)[this.#random.below(names.length - 1)] ?? 'a'
    if (isOwner) await this.cluster.owns(next)
    await this.cluster.pass(this.#random.below(40))
    this.cluster.start(name)
  }

  #kill(name: string): void {
    const node = this.cluster.kill(name)
    for (const worker of this.workers) if (this.#nodeOf.get(worker) === node && worker.isBusy) worker.forget()
  }

  async #quiet(): Promise<void> {
    const { cluster } = this
    await cluster.until(() => !this.#isChanging)
    cluster.links.connectAll()
    if (this.#owner === undefined) await cluster.owns('b')
    await cluster.settled()
    await cluster.until(() => this.workers.every(({ isBusy }) => !isBusy))
    await cluster.settled()
    cluster.start('late')
    await cluster.settled()
  }
}

describe('a history of changes, nodes and owners', () => {
  for (let seed = 1; seed <= 12; seed++) {
    it(`with seed ${seed}`, { timeout: 120_000 }, async () => {
      const history = new History(seed)
      await history.run(500)
      const { cluster, workers, happened } = history
      for (const worker of workers) worker.check()
      const expected = dump(cluster.node('a').topology)
      for (const { self, topology } of cluster.all) assert.deepEqual(dump(topology), expected, `on ${self.name}`)
      const answers = workers.reduce((sum, worker) => sum + worker.answers, 0)
      assert.ok(answers > 100, `${answers} answers`)
      assert.ok(happened.plannedMoves + happened.takeOvers + happened.ends > 3, JSON.stringify(happened))
    })
  }
})
