import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Child, freePort } from '../target/child.ts'
import { type AmqpAddress, parseAmqpUrl } from '../wire/amqp-url.ts'
import type { ClusterTarget, CpuPart } from './cluster-target.ts'

const folder = '/usr/lib/rabbitmq/bin'
const startMsMax = 120_000
const stopMsMax = 60_000
const commandMsMax = 120_000

interface Node {
  readonly name: string
  readonly address: AmqpAddress
  readonly env: NodeJS.ProcessEnv
  readonly child: Child
}

/**
 * Debian's RabbitMQ as the rival: nodes on loopback that are one cluster, with a port mapper of their own, a cookie in a
 * temporary home and quorum queues, which a majority has written and synced before a publish is confirmed. Otherwise
 * default settings, except that idle schedulers sleep rather than spin, which favours it on machines with few cores.
 */
export class RabbitMqCluster implements ClusterTarget {
  readonly name: string
  readonly parts: readonly CpuPart[]
  readonly queueArguments = { 'x-queue-type': 'quorum' }
  readonly #home: string
  readonly #portMapper: Child
  readonly #members: readonly Node[]

  static async start(directory: string, nodes: number): Promise<RabbitMqCluster> {
    if (!existsSync(join(folder, 'rabbitmq-server'))) {
      throw new Error(`there is no rabbitmq-server in ${folder}: run 'apt-get install rabbitmq-server'`)
    }
    const home = await mkdtemp(join(directory, 'rabbitmq-cluster-bench-'))
    await mkdir(join(home, 'home'))
    writeFileSync(join(home, 'home', '.erlang.cookie'), 'WARRENBENCHMARKCOOKIE', { mode: 0o400 })
    writeFileSync(join(home, 'enabled_plugins'), '[].\n')
    writeFileSync(join(home, 'rabbitmq.conf'), 'loopback_users.guest = true\n')
    const mapperPort = await freePort()
    const portMapper = await startPortMapper(home, mapperPort)
    const members: Node[] = []
    for (let index = 0; index < nodes; index++) members.push(await startNode(home, mapperPort, index))
    const cluster = new RabbitMqCluster(home, portMapper, members)
    try {
      await Promise.all(members.map(({ child, address }) => child.listening(address.port, startMsMax)))
      cluster.#join()
    } catch (error) {
      await cluster.close()
      throw error
    }
    return cluster
  }

  private constructor(home: string, portMapper: Child, members: readonly Node[]) {
    this.#home = home
    this.#portMapper = portMapper
    this.#members = members
    this.name = `RabbitMQ, ${members.length} nodes, quorum queues`
    this.parts = [{ name: 'brokers', pids: () => members.map(({ child }) => child.pid) }]
  }

  get nodes(): readonly AmqpAddress[] {
    return this.#members.map(({ address }) => address)
  }

  get lastWords(): string | null {
    const ended = this.#members.find(({ child }) => !child.isRunning)
    return ended === undefined ? null : `${ended.name} said:\n${ended.child.output()}`
  }

  /** A quorum queue is led where it is declared. */
  homeOf(_queue: string, wanted: number): number {
    return wanted
  }

  get places(): number {
    return this.#members.length
  }

  placeOf(): null {
    return null
  }

  #join(): void {
    const [first, ...others] = this.#members
    for (const { env } of others) {
      for (const args of [['stop_app'], ['join_cluster', first?.name ?? ''], ['start_app']]) rabbitmqctl(args, env)
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#members.map(({ child }) => child.stop()))
    await this.#portMapper.stop()
    await rm(this.#home, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function startPortMapper(home: string, port: number): Promise<Child> {
  const env = { PATH: `${process.env['PATH'] ?? ''}:${folder}`, HOME: join(home, 'home') }
  const args = ['-address', '127.0.0.1', '-port', String(port)]
  const logPath = join(home, 'epmd.log')
  const mapper = new Child({ name: 'epmd', command: 'epmd', args, env, cwd: home, logPath, stopMsMax: 2_000 })
  await mapper.listening(port, 5_000)
  return mapper
}

async function startNode(home: string, mapperPort: number, index: number): Promise<Node> {
  const port = await freePort()
  const name = `bench${index}p${port}@localhost`
  const own = join(home, `n${index}`)
  for (const part of ['mnesia', 'log']) await mkdir(join(own, part), { recursive: true })
  const env = {
    PATH: `${process.env['PATH'] ?? ''}:${folder}`,
    LANG: 'C.UTF-8',
    HOME: join(home, 'home'),
    ERL_EPMD_PORT: String(mapperPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: name,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(await freePort()),
    RABBITMQ_MNESIA_BASE: join(own, 'mnesia'),
    RABBITMQ_LOG_BASE: join(own, 'log'),
    RABBITMQ_PID_FILE: join(own, 'pid'),
    RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'enabled_plugins'),
    RABBITMQ_CONF_ENV_FILE: join(home, 'none'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
  }
  const logPath = join(own, 'output.log')
  const command = join(folder, 'rabbitmq-server')
  const child = new Child({ name, command, args: [], env, cwd: own, logPath, stopMsMax })
  return { name, address: parseAmqpUrl(`amqp://guest:guest@127.0.0.1:${port}`), env, child }
}

function rabbitmqctl(args: readonly string[], env: NodeJS.ProcessEnv): void {
  const done = spawnSync(join(folder, 'rabbitmqctl'), args, { env, encoding: 'utf8', timeout: commandMsMax })
  if (done.status === 0) return
  throw new Error(`rabbitmqctl ${args.join(' ')} failed: ${done.error?.message ?? done.stderr + done.stdout}`)
}
