import { existsSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Child, freePort } from './child.ts'

const serverPath = '/usr/lib/rabbitmq/bin/rabbitmq-server'
const startMsMax = 90_000
const stopMsMax = 60_000

/**
 * Debian's RabbitMQ as the rival: a node of its own in a temporary directory, loopback only, with its own port mapper,
 * so that it neither meets nor disturbs another node on the machine. Default settings otherwise, as a user has them
 * after `apt-get install rabbitmq-server`, except that idle schedulers sleep rather than spin, which favours it on
 * machines with few cores.
 */
export class RabbitMq {
  readonly url: string
  readonly #server: Child
  readonly #portMapper: Child
  readonly #home: string

  static async start(directory: string, wantedPort?: number): Promise<RabbitMq> {
    if (!existsSync(serverPath)) throw new Error(`${serverPath} is missing: run 'apt-get install rabbitmq-server'`)
    const home = await mkdtemp(join(directory, 'rabbitmq-bench-'))
    for (const name of ['mnesia', 'log', 'home']) await mkdir(join(home, name))
    writeFileSync(join(home, 'enabled_plugins'), '[].\n')
    writeFileSync(join(home, 'rabbitmq.conf'), 'loopback_users.guest = true\n')
    const port = wantedPort ?? (await freePort())
    const env = await environment(home, port)
    const logPath = join(home, 'output.log')
    const common = { env, cwd: home, logPath }
    const mapperArgs = ['-address', '127.0.0.1', '-port', env['ERL_EPMD_PORT'] ?? '']
    const portMapper = new Child({ ...common, name: 'epmd', command: 'epmd', args: mapperArgs, stopMsMax: 2000 })
    await portMapper.listening(Number(env['ERL_EPMD_PORT']), 5000)
    const server = new Child({ ...common, name: 'rabbitmq-server', command: serverPath, args: [], stopMsMax })
    const rabbit = new RabbitMq(server, portMapper, home, port)
    await server.listening(port, startMsMax).catch(async (error) => {
      await rabbit.stop()
      throw error
    })
    return rabbit
  }

  private constructor(server: Child, portMapper: Child, home: string, port: number) {
    this.#server = server
    this.#portMapper = portMapper
    this.#home = home
    this.url = `amqp://guest:guest@127.0.0.1:${port}`
  }

  async stop(): Promise<void> {
    await this.#server.stop()
    await this.#portMapper.stop()
    await rm(this.#home, { recursive: true, force: true })
  }
}

async function environment(home: string, port: number): Promise<NodeJS.ProcessEnv> {
  return {
    PATH: `${process.env['PATH'] ?? ''}:/usr/lib/rabbitmq/bin`,
    LANG: 'C.UTF-8',
    HOME: join(home, 'home'),
    ERL_EPMD_PORT: String(await freePort()),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(await freePort()),
    RABBITMQ_MNESIA_BASE: join(home, 'mnesia'),
    RABBITMQ_LOG_BASE: join(home, 'log'),
    RABBITMQ_PID_FILE: join(home, 'pid'),
    RABBITMQ_CONFIG_FILE: join(home, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, 'enabled_plugins'),
    RABBITMQ_CONF_ENV_FILE: join(home, 'none'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
  }
}
