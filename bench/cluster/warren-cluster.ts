import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { placeShards } from '../../src/cluster/membership/placement.ts'
import { queuePlacement } from '../../src/cluster/topology/queue-placement.ts'
import { Child, freePort } from '../target/child.ts'
import { readText } from '../target/proc.ts'
import { type AmqpAddress, parseAmqpUrl } from '../wire/amqp-url.ts'
import type { ClusterTarget, CpuPart } from './cluster-target.ts'

export interface WarrenClusterOptions {
  /** Where its temporary data directories are made: a real disk, or a sync costs nothing. */
  readonly directory: string
  readonly nodes: number
  readonly shards: number
  /** For Node itself, of each node. */
  readonly nodeArgs: readonly string[]
}

const startMsMax = 120_000
const stopMsMax = 30_000
/** From its own on: for links, for routes and for clients of its nats-server. */
const portsPerNode = 3
/** After the last node listens: shards are taken, and leaders of NATS elected, one after the other. */
const settleMs = 5_000
const mainPath = fileURLToPath(new URL('../../bin/warren.js', import.meta.url))

interface Node {
  readonly name: string
  readonly address: AmqpAddress
  readonly directory: string
  readonly child: Child
}

/** Nodes of this build on loopback, each with a nats-server of its own; everything in a temporary directory. */
export class WarrenCluster implements ClusterTarget {
  readonly name: string
  readonly parts: readonly CpuPart[]
  readonly queueArguments = {}
  readonly #home: string
  readonly #members: readonly Node[]
  readonly #shards: number

  static async start(options: WarrenClusterOptions): Promise<WarrenCluster> {
    if (!existsSync(mainPath)) throw new Error(`${mainPath} is not built: run 'npm run build'`)
    const home = await mkdtemp(join(options.directory, 'warren-cluster-bench-'))
    const cluster = new WarrenCluster(home, await startNodes(home, options), options)
    try {
      await Promise.all(cluster.#members.map(({ address, child }) => child.listening(address.port, startMsMax)))
      await new Promise((resolve) => setTimeout(resolve, settleMs))
    } catch (error) {
      await cluster.close()
      throw error
    }
    return cluster
  }

  private constructor(home: string, members: readonly Node[], { nodes, shards }: WarrenClusterOptions) {
    this.#home = home
    this.#members = members
    this.#shards = shards
    this.name = `Warren, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}, ${shards} ${shards === 1 ? 'shard' : 'shards'}`
    this.parts = [
      { name: 'brokers', pids: () => members.map(({ child }) => child.pid) },
      { name: 'nats-servers', pids: () => members.flatMap(({ directory }) => serverPid(directory)) },
    ]
  }

  get nodes(): readonly AmqpAddress[] {
    return this.#members.map(({ address }) => address)
  }

  get lastWords(): string | null {
    const ended = this.#members.find(({ child }) => !child.isRunning)
    return ended === undefined ? null : `${ended.name} said:\n${ended.child.output()}`
  }

  /** As all nodes work it out, as long as none of them was away. */
  homeOf(queue: string): number {
    const names = this.#members.map(({ name }) => name)
    const owner = placeShards({ shards: this.#shardNames, nodes: names }).get(this.placeOf(queue))?.owner
    return names.indexOf(owner ?? '')
  }

  get places(): number {
    return this.#shards
  }

  placeOf(queue: string): string {
    return `shard-${this.#shardOf(queue)}`
  }

  #shardOf(queue: string): number {
    const place = queuePlacement(this.#shards, { name: '', incarnation: 0 })
    const definition = { name: queue, isDurable: true, exclusiveOwner: null }
    return place('/', definition as Parameters<typeof place>[1], 0)
  }

  get #shardNames(): string[] {
    return Array.from({ length: this.#shards }, (_, index) => `shard-${index}`)
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map(({ child }) => child.stop()))
    await rm(this.#home, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function startNodes(home: string, { nodes, shards, nodeArgs }: WarrenClusterOptions): Promise<Node[]> {
  const names = Array.from({ length: nodes }, (_, index) => `n${index + 1}`)
  const linkPorts = await freeRuns(nodes)
  const peers = names.map((name, index) => `${name}=127.0.0.1:${linkPorts[index]}`).join(',')
  const env = {
    ...process.env,
    WARREN_HTTP_PORT: 'none',
    WARREN_CLUSTER_SHARDS: String(shards),
    WARREN_CLUSTER_REPLICAS: String(nodes >= 3 ? 3 : 1),
  }
  const members: Node[] = []
  for (const name of names) {
    const port = await freePort()
    const directory = join(home, name)
    const place = ['--host', '127.0.0.1', '--port', String(port), '--data', directory]
    const args = [
      '--single-threaded-gc',
      '--initial-old-space-size=256',
      ...nodeArgs,
      mainPath,
      'serve',
      '--node-name',
      name,
      '--peers',
      peers,
      ...place,
    ]
    const logPath = join(home, `${name}.log`)
    const child = new Child({ name, command: process.execPath, args, env, cwd: process.cwd(), logPath, stopMsMax })
    members.push({ name, address: parseAmqpUrl(`amqp://guest:guest@127.0.0.1:${port}`), directory, child })
  }
  return members
}

/** Of the nats-server of a node; none while it is started anew. */
function serverPid(directory: string): number[] {
  const pid = Number.parseInt(readText(join(directory, 'nats', 'nats-server.pid')) ?? '', 10)
  return Number.isSafeInteger(pid) ? [pid] : []
}

/** First ports of `count` runs of neighbouring ports that were free a moment ago. */
async function freeRuns(count: number): Promise<number[]> {
  const runs: number[] = []
  while (runs.length < count) {
    const first = 20_000 + Math.floor(Math.random() * 4_000) * portsPerNode
    if (!runs.includes(first) && (await areFree(first))) runs.push(first)
  }
  return runs
}

async function areFree(first: number): Promise<boolean> {
  const held: Server[] = []
  try {
    for (let port = first; port < first + portsPerNode; port++) held.push(await hold(port))
    return true
  } catch {
    return false
  } finally {
    for (const server of held) server.close()
  }
}

function hold(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
