import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { topologyShard } from '../../../src/cluster/membership/ownership.ts'
import { MemoryStore } from './memory-coordination.ts'
import { ModelLog } from './model-host.ts'
import { SimulatedLinks } from './simulated-links.ts'
import { type SimulatedClusterParts, SimulatedNode, type SimulatedNodeOptions } from './simulated-node.ts'

export interface SimulatedClusterOptions extends Omit<SimulatedNodeOptions, 'rate'> {
  /** How fast the nodes' clocks run, in turn. */
  readonly rates?: readonly number[]
}

/** Several nodes over one store, in a time that only the test moves. */
export class SimulatedCluster {
  readonly parts: SimulatedClusterParts
  readonly nodes: readonly SimulatedNode[]

  constructor(names: readonly string[], shards: number, seed: number, options: SimulatedClusterOptions = {}) {
    const world = new ManualClock()
    const random = new SeededRandom(seed)
    const shardNames = [topologyShard, ...Array.from({ length: shards }, (_, index) => `shard-${index}`)]
    const logs = new Map(shardNames.map((shard) => [shard, new ModelLog()]))
    this.parts = {
      world,
      random,
      store: new MemoryStore(world),
      logs,
      links: new SimulatedLinks(),
      running: new Set(),
      journal: [],
    }
    const { rates = [1] } = options
    this.nodes = names.map((name, index) => {
      return new SimulatedNode(name, this.parts, { ...options, rate: rates[index % rates.length] ?? 1 })
    })
  }

  node(name: string): SimulatedNode {
    const node = this.nodes.find((each) => each.name === name)
    if (node === undefined) throw new Error(`there is no node ${name}`)
    return node
  }

  startAll(): void {
    for (const node of this.nodes) node.start()
  }

  /** Runs what falls due within `ms`, each with all that follows from it. `check` is called after each step. */
  async run(ms: number, check: () => void = () => {}): Promise<void> {
    const { world } = this.parts
    const end = world.now() + ms
    for (let due = world.nextDue; due <= end; due = world.nextDue) {
      world.advance(Math.max(0, due - world.now()))
      await new Promise((resolve) => setImmediate(resolve))
      check()
    }
    world.advance(end - world.now())
    await new Promise((resolve) => setImmediate(resolve))
    check()
  }

  /** Names of the nodes that serve this shard. */
  servers(shard: string): readonly string[] {
    const names: string[] = []
    for (const { name, process } of this.nodes) {
      if (process?.hosts.some((host) => host.shard === shard && process.serves(host))) names.push(name)
    }
    return names
  }

  /** Of all shards, as `shard: node`; those that nobody serves have `-`. */
  ownership(): ReadonlyMap<string, string> {
    return new Map([...this.parts.logs.keys()].map((shard) => [shard, this.servers(shard).join('+') || '-']))
  }
}
