/**
 * Nodes of a cluster as a user runs them: `warren serve --node-name … --peers …` as child processes on loopback, or in
 * networks of their own, each with a nats-server of its own as its child. Each can be killed, frozen and started again on its data, and so can its server.
 *
 * Invariant: nothing outlives this process for long. The server of a broker that was killed goes on, until the test ends.
 */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrokerOptions, BrokerProcess } from '../broker-process.ts'
import { freePort, freeRuns } from '../ports.ts'
import { removeFolder } from '../remove-folder.ts'
import { linkPort, type NodeNetworks } from './node-networks.ts'

/** How long a cluster may take from nothing to all of its nodes listening: NATS elects its leaders first. */
const readyMsMax = 60_000
/** How long a node may take to stop when the others stop as well: the last ones find no majority, and wait for one. */
const stopMsMax = 60_000
/** Of nodes that have an address of their own. */
const amqpPort = 5_672
/** Name and password. */
const tester = 'tester'
const userDefinitions = {
  vhosts: [{ name: '/' }],
  users: [{ name: tester, password: tester, tags: ['administrator'] }],
  permissions: [{ user: tester, vhost: '/', configure: '.*', write: '.*', read: '.*' }],
}

export interface ClusterOptions {
  readonly nodes?: number
  /** More arguments for each node. */
  readonly args?: readonly string[]
  /** Options that have no flag, by their names in the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Whether each node has a port for HTTP. */
  readonly hasHttp?: boolean
  /** What the nodes print is kept here, in a file for each. */
  readonly outputFolder?: string
  /** One for each node; they are closed with the cluster. */
  readonly networks?: NodeNetworks | null
}

export class ClusterProcesses {
  readonly nodes: ClusterNode[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'warren-cluster-'))
  readonly #options: ClusterOptions
  /** Of all nodes that there ever were. */
  readonly #ports: number[] = []

  private constructor(options: ClusterOptions) {
    this.#options = options
    // Servers whose brokers have been killed end soon when there is nothing to come back for.
    process.once('exit', () => removeFolder(this.#folder))
  }

  static async start(options: ClusterOptions = {}): Promise<ClusterProcesses> {
    const cluster = new ClusterProcesses(options)
    await cluster.add(options.nodes ?? 3)
    return cluster
  }

  /** More nodes, whose peers are all; those that are there already know nothing of it. Not with `networks`. */
  async add(count: number): Promise<void> {
    const first = this.#ports.length
    const { networks = null } = this.#options
    this.#ports.push(...(networks === null ? await freeRuns(count) : new Array(count).fill(linkPort)))
    const hostOf = (index: number): string => networks?.peerHost(index) ?? '127.0.0.1'
    const peers = this.#ports.map((port, index) => `n${index + 1}=${hostOf(index)}:${port}`).join(',')
    const added: ClusterNode[] = []
    for (let index = first; index < this.#ports.length; index++) added.push(await this.#prepare(index, peers))
    this.nodes.push(...added)
    for (const { broker } of added) broker.spawn()
    try {
      await Promise.all(added.map(({ broker }) => broker.untilListening(readyMsMax)))
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  async #prepare(index: number, peers: string): Promise<ClusterNode> {
    const { args = [], env = {}, hasHttp = false, outputFolder, networks = null } = this.#options
    const name = `n${index + 1}`
    const http = hasHttp ? ['--http-port', String(await freePort())] : []
    const broker = await BrokerProcess.prepare({
      args: ['--node-name', name, '--peers', peers, ...http, ...args],
      env,
      dataDirectory: join(this.#folder, name),
      ...(outputFolder === undefined ? {} : { outputFile: join(outputFolder, `${name}.log`) }),
      ...(networks === null ? {} : this.#inNetwork(networks, index, env)),
    })
    return new ClusterNode(name, broker, { linkPort: this.#ports[index] ?? 0, httpPort: Number(http[1] ?? 0) })
  }

  /** Away from loopback nodes need a secret, and `guest` is not let in. */
  #inNetwork(networks: NodeNetworks, index: number, env: Readonly<Record<string, string>>): Partial<BrokerOptions> {
    const definitions = join(this.#folder, 'definitions.json')
    writeFileSync(definitions, JSON.stringify(userDefinitions))
    return {
      env: { WARREN_CLUSTER_SECRET: 'the secret of nodes under test', WARREN_DEFINITIONS: definitions, ...env },
      url: `amqp://${tester}:${tester}@${networks.clientHost(index)}:${amqpPort}`,
      prefix: networks.prefix(index),
    }
  }

  node(index: number): ClusterNode {
    const node = this.nodes[index]
    if (node === undefined) throw new Error(`there is no node ${index}`)
    return node
  }

  /** Ends all in order, all at once, and removes their data. */
  async stop(): Promise<void> {
    const ended = await Promise.allSettled(this.nodes.map(({ broker }) => broker.stop(stopMsMax)))
    await this.kill()
    for (const { status, reason } of ended as PromiseRejectedResult[]) if (status === 'rejected') throw reason
  }

  async kill(): Promise<void> {
    for (const node of this.nodes) {
      node.thaw()
      await node.broker.kill()
      node.killServer()
    }
    this.#options.networks?.close()
    removeFolder(this.#folder)
  }

  get networks(): NodeNetworks | null {
    return this.#options.networks ?? null
  }
}

export class ClusterNode {
  readonly name: string
  readonly broker: BrokerProcess
  /** For the other nodes. */
  readonly linkPort: number
  /** 0: none. */
  readonly httpPort: number
  #frozen: number[] = []

  constructor(name: string, broker: BrokerProcess, { linkPort, httpPort }: { linkPort: number; httpPort: number }) {
    this.name = name
    this.broker = broker
    this.linkPort = linkPort
    this.httpPort = httpPort
  }

  /** Of its NATS server, for those of the others. */
  get routePort(): number {
    return this.linkPort + 1
  }

  /** Of the nats-server that it runs; null when there is none. */
  get serverPid(): number | null {
    try {
      const pid = Number.parseInt(readFileSync(join(this.broker.dataDirectory, 'nats', 'nats-server.pid'), 'utf8'), 10)
      return Number.isSafeInteger(pid) && isRunning(pid) ? pid : null
    } catch {
      return null
    }
  }

  killServer(): void {
    const pid = this.serverPid
    if (pid !== null) process.kill(pid, 'SIGKILL')
  }

  /** The whole machine goes: broker and server at once. */
  async crash(): Promise<void> {
    this.killServer()
    await this.broker.kill()
    this.killServer()
  }

  /** Broker, server or both stand still until `thaw`. */
  freeze(what: 'broker' | 'server' | 'both'): void {
    const pids = [what === 'server' ? null : this.broker.pid, what === 'broker' ? null : this.serverPid]
    for (const pid of pids) {
      if (pid === null || pid === undefined) continue
      process.kill(pid, 'SIGSTOP')
      this.#frozen.push(pid)
    }
  }

  thaw(): void {
    for (const pid of this.#frozen.splice(0)) if (isRunning(pid)) process.kill(pid, 'SIGCONT')
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
