/**
 * NATS as a node finds it: started or joined, connected and checked. `startNats` is all that the rest of a node calls.
 *
 * In this order: the child process (if the node runs one), a connection, a JetStream leader, the requirements. Only then
 * does it resolve; what cannot be had is a `StartError` with one sentence that says what to mend. A server that does not
 * answer is no reason not to start while a majority does: it is a problem that `problems` names.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import type { ChildProcesses } from '../../base/child-processes.ts'
import type { Clock } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import { KeepAlive } from '../../base/keep-alive.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { StartError } from '../../start-error.ts'
import { checkAccount } from './account-check.ts'
import { connectNats, type NatsConnected, type NatsTarget } from './connection.ts'
import { reasonAgainst } from './left-server.ts'
import { NatsCheck } from './nats-check.ts'
import { clientUser, natsConfig, systemUser } from './nats-config.ts'
import { natsLogFile } from './nats-files.ts'
import { NatsProcess, type NatsProcessParts } from './nats-process.ts'
import { findNatsProgram } from './nats-program.ts'
import { isLoginRefused, loginRefusedSentence } from './refusals.ts'
import type { CheckedServer } from './requirements.ts'
import { readClusterSecret } from './secret.ts'
import { type AskServers, byMonitors, bySystemAccount } from './server-check.ts'
import type { ChildNatsSettings, JoinedNatsSettings, NatsLogin, NatsSettings } from './settings.ts'
import { anotherServer, inBrackets, noLeader, notAnswered, notReached } from './start-sentences.ts'

export interface NatsWorld {
  readonly clock: Clock
  readonly random: Random
  readonly files: Files
  readonly processes: ChildProcesses
  readonly logger: Logger
  /**
   * Takes a directory for this process alone, until what it resolves to is called. Rejects with `StartError` when another
   * process has it: its nats-server must not be taken for one that was left behind.
   */
  readonly lock: (directory: string) => Promise<() => Promise<void>>
  /** Ends what waits for servers: `startNats` then rejects, with all closed and the child ended. */
  readonly stopAsked?: AbortSignal | undefined
}

export interface Nats {
  readonly connection: NatsConnection
  /** For what must not wait behind data: sessions and leases. */
  readonly control: NatsConnection
  /** JetStream domain of the servers that store; null: that of whom one is connected to. */
  readonly domain: string | null
  /** In how many servers each stream and bucket is to be stored. */
  readonly replicas: number
  /** One line for people: what was started or joined. */
  readonly described: string
  /** As the last check found them. */
  readonly servers: readonly CheckedServer[]
  /** Process id of the child; null when there is none, or when it is between two starts. */
  readonly childPid: number | null
  /** Sentences of the last check. Empty when all is well. */
  readonly problems: readonly string[]
  /** Nodes have come or gone: the servers are checked in a moment, not only with the next minute. */
  checkSoon(): void
  /** Called when `problems` has changed. */
  listen(problemsChanged: () => void): void
  /**
   * Takes a server that has been stopped for good out of the group, so that its copies are made elsewhere and a majority
   * is counted without it. Rejects with a sentence.
   */
  removeServer(name: string): Promise<void>
  /** The child is to end with this process, also when that is killed before `close`: nobody will come back for it. */
  renounce(): Promise<void>
  /** Sends what is to be sent, then ends the connections and the child. Last of all. */
  close(): Promise<void>
}

export async function startNats(settings: NatsSettings, world: NatsWorld): Promise<Nats> {
  // While one waits for others there may be nothing else for which the process goes on.
  const keepAlive = new KeepAlive()
  try {
    return await (settings.kind === 'child' ? startWithChild(settings, world) : joinServers(settings, world))
  } finally {
    keepAlive.release()
  }
}

// ---------------------------------------------------------------- the two ways

async function startWithChild(settings: ChildNatsSettings, world: NatsWorld): Promise<Nats> {
  const { nodeName, clientPort, directory, peers } = settings
  const program = await findNatsProgram(world.processes, settings.program)
  const secret = await readClusterSecret(settings, world.files)
  const files = { storeDirectory: directory, logFile: natsLogFile(directory) }
  const target = (user: string, password: string, name: string): NatsTarget => ({
    servers: [`nats://127.0.0.1:${clientPort}`],
    login: { ...noLogin, user, password },
    tls: null,
    name: `warren ${nodeName}${name}`,
    learnsServers: false,
  })
  const parts = new Parts(settings, world)
  try {
    const child = await parts.startChild(directory, {
      ...world,
      program,
      directory,
      configWith: (logins) => natsConfig({ ...settings, ...files, secret, logins }),
      reasonAgainst: ({ systemPassword }) => {
        const wanted = { name: nodeName, version: program.version }
        return reasonAgainst(target(systemUser, systemPassword, ' adopts'), wanted, world)
      },
    })
    const { password, systemPassword } = child.logins
    const system = await parts.connect(target(systemUser, systemPassword, ' checks'))
    child.proven()
    const connection = await parts.connect(target(clientUser, password, ''))
    const control = await parts.connect(target(clientUser, password, ' sessions'))
    const check = parts.checker(bySystemAccount(system), connection)
    await parts.waitForLeader(
      check,
      peers.map(({ name }) => name),
    )
    check.start()
    const { version, path } = program
    const runs = child.isAdopted ? 'goes on, of an earlier start,' : 'runs'
    const what = `NATS ${version} (${path}, process ${child.pid}) ${runs} for node ${nodeName}`
    const described = `${what}: ${copies(settings.replicas)}, each write synced, data in ${directory}`
    return parts.nats({ connection, control, system, check, described })
  } catch (error) {
    await parts.close()
    throw error
  }
}

async function joinServers(settings: JoinedNatsSettings, world: NatsWorld): Promise<Nats> {
  const { nodeName, servers, login, tls, systemLogin, monitors, replicas } = settings
  const parts = new Parts(settings, world)
  try {
    const target = { servers, tls, learnsServers: true }
    const connection = await parts.connect({ ...target, login, name: `warren ${nodeName}` })
    const control = await parts.connect({ ...target, login, name: `warren ${nodeName} sessions` })
    const system =
      systemLogin === null
        ? null
        : await parts.connect({ ...target, login: systemLogin, name: `warren ${nodeName} checks` })
    const ask: AskServers = system === null ? byMonitors(monitors) : bySystemAccount(system)
    const check = parts.checker(ask, connection)
    await parts.waitForLeader(check, [])
    await parts.checkAccount(connection, settings)
    check.start()
    const names = check.servers.map(({ name, version }) => (version === null ? `${name} (down)` : `${name} ${version}`))
    const described = `node ${nodeName} has joined the NATS servers ${names.join(', ')}: ${copies(replicas)}, each write synced`
    return parts.nats({ connection, control, system, check, described })
  } catch (error) {
    await parts.close()
    throw error
  }
}

const noLogin: NatsLogin = { credentialsFile: null, nkeyFile: null, user: null, password: null, token: null }

function copies(replicas: number): string {
  return replicas === 1 ? 'one copy of each message' : `${replicas} copies of each message`
}

// ---------------------------------------------------------------- their parts

/** How often something is tried again, and how often it is said that one waits, in milliseconds. */
const retryMs = 250
const sayMs = 5_000
const drainMsMax = 5_000
/** How long a child that finds its port taken may need to say so, in milliseconds. */
const childEndMs = 3_000

interface Started {
  readonly connection: NatsConnection
  readonly control: NatsConnection
  readonly system: NatsConnection | null
  readonly check: NatsCheck
  readonly described: string
}

/** What is open so far; closed again when another part cannot be had. */
class Parts {
  readonly #settings: NatsSettings
  readonly #world: NatsWorld
  #child: NatsProcess | null = null
  #unlock: () => Promise<void> = () => Promise.resolve()
  readonly #connections: NatsConnected[] = []
  readonly #deadline: number
  #check: NatsCheck | null = null
  /** Rejects when what waits is to be given up: the child cannot run, or nobody wants it any more. */
  #broken: Promise<never>

  constructor(settings: NatsSettings, world: NatsWorld) {
    this.#settings = settings
    this.#world = world
    this.#deadline = world.clock.monotonic() + settings.startMsMax
    this.#broken = unwanted(world.stopAsked)
  }

  /** In a directory that nobody else has. */
  async startChild(directory: string, parts: NatsProcessParts): Promise<NatsProcess> {
    await this.#world.files.makeDirectory(directory)
    this.#unlock = await this.#world.lock(directory)
    this.#child = await NatsProcess.start(parts)
    this.#broken = Promise.race([this.#broken, this.#child.broken])
    this.#broken.catch(() => undefined)
    return this.#child
  }

  /** Tries until there is a connection, the time is over, or trying on is of no use. */
  async connect(target: NatsTarget): Promise<NatsConnection> {
    const { clock, files, logger } = this.#world
    let saidAt = clock.monotonic()
    for (;;) {
      try {
        const connected = await this.#orBroken(connectNats(target, files, logger, () => this.#check?.soon()))
        this.#connections.push(connected)
        return connected.connection
      } catch (error) {
        if (error instanceof StartError) throw error
        if (isLoginRefused(error)) throw await this.#refused(target, error)
        if (this.#isLate) throw notReached(target, error)
        if (this.#child === null && clock.monotonic() - saidAt >= sayMs) {
          saidAt = clock.monotonic()
          logger.warn({ connection: target.name }, notReached(target, error).message)
        }
      }
      await this.#pause()
    }
  }

  /** Our own child has the passwords we gave it: whoever refuses them is another program, for which the child has no port. */
  async #refused(target: NatsTarget, error: unknown): Promise<StartError> {
    if (this.#child === null) return new StartError('cluster', loginRefusedSentence(target), error)
    await this.#orBroken(new Promise<void>((resolve) => this.#world.clock.after(childEndMs, resolve)))
    return anotherServer(target, error)
  }

  /** One check of the servers, which knows what they refuse to the connections made here. */
  checker(ask: AskServers, connection: NatsConnection): NatsCheck {
    const refused = (): string[] => this.#connections.flatMap(({ problem }) => (problem === null ? [] : [problem]))
    const { domain } = this
    const names = this.#settings.kind === 'child' ? this.#settings.peers.map(({ name }) => name) : []
    this.#check = new NatsCheck(this.#world, { ...this.#settings, domain, names }, ask, connection, refused)
    return this.#check
  }

  /** Tries until JetStream answers the account, the time is over, or it is refused for good. */
  async checkAccount(connection: NatsConnection, { clusterName, domain }: JoinedNatsSettings): Promise<void> {
    for (;;) {
      try {
        return await checkAccount(connection, { clusterName, domain })
      } catch (error) {
        if (error instanceof StartError) throw error
        if (this.#isLate) throw notAnswered(domain, error)
      }
      await this.#pause()
    }
  }

  get domain(): string | null {
    return this.#settings.kind === 'joined' ? this.#settings.domain : null
  }

  /** Waits for the others, saying now and then for whom. Throws when what answers does not fit. */
  async waitForLeader(check: NatsCheck, expected: readonly string[]): Promise<void> {
    const { clock, logger } = this.#world
    let saidAt = clock.monotonic()
    for (;;) {
      const { hasLeader, hasMajority, servers } = await this.#orBroken(check.now())
      const answering = servers.filter(({ version }) => version !== null)
      const [problem] = answering.flatMap(({ problems }) => problems)
      if (problem !== undefined) throw new StartError('cluster', problem)
      // Servers that nodes run come one by one, and so does the number that the group believes to have.
      const isComplete = expected.length === 0 || check.isFit
      if (hasLeader && hasMajority && (isComplete || this.#isLate)) return check.throwIfUnfit()
      const missing = expected.filter((name) => !answering.some((server) => server.name === name))
      if (this.#isLate) throw this.#noLeader(answering, missing, check)
      if (clock.monotonic() - saidAt >= sayMs) {
        saidAt = clock.monotonic()
        const forWhom =
          missing.length === 0 ? `a ${hasLeader ? 'majority' : 'leader'} among them` : `those of ${missing.join(', ')}`
        const fields = { answering: answering.map(({ name }) => name) }
        logger.info(fields, `waiting for the NATS servers: ${forWhom}${inBrackets(this.#child?.trouble ?? null)}`)
      }
      await this.#pause()
    }
  }

  #noLeader(answering: readonly CheckedServer[], missing: readonly string[], { problems }: NatsCheck): StartError {
    const [problem] = problems
    if (answering.length === 0 && problem !== undefined) return new StartError('cluster', problem)
    const isMonitored = this.#settings.kind === 'joined' && this.#settings.systemLogin === null
    const all = isMonitored
      ? 'start the others, and give the monitoring addresses of all of them in nats-monitor'
      : null
    return noLeader(answering, missing, this.#settings.startMsMax, this.#child?.trouble ?? all)
  }

  nats({ connection, control, system, check, described }: Started): Nats {
    const child = this.#child
    return {
      connection,
      control,
      domain: this.domain,
      replicas: this.#settings.replicas,
      described,
      get servers() {
        return check.servers
      },
      get problems() {
        return check.problems
      },
      get childPid() {
        return child?.pid ?? null
      },
      checkSoon: () => check.soon(),
      listen: (changed) => check.listen(changed),
      removeServer: (name) => check.removeServer(system, name),
      renounce: () => child?.renounce() ?? Promise.resolve(),
      close: () => this.close(),
    }
  }

  async close(): Promise<void> {
    this.#check?.stop()
    await Promise.all(this.#connections.map(({ connection }) => this.#end(connection)))
    await this.#child?.stop()
    await this.#unlock()
  }

  /** A server that has gone takes nothing any more: then there is nothing to wait for. */
  async #end(connection: NatsConnection): Promise<void> {
    const { clock } = this.#world
    const late = new Promise<void>((resolve) => clock.after(drainMsMax, resolve))
    await Promise.race([connection.drain().catch(() => undefined), late])
    await connection.close().catch(() => undefined)
  }

  get #isLate(): boolean {
    return this.#world.clock.monotonic() >= this.#deadline
  }

  #orBroken<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#broken])
  }

  #pause(): Promise<void> {
    return this.#orBroken(new Promise<void>((resolve) => this.#world.clock.after(retryMs, resolve)))
  }
}

function unwanted(stopAsked: AbortSignal | undefined): Promise<never> {
  const asked = new Promise<never>((_, reject) => {
    const giveUp = (): void =>
      reject(new StartError('cluster', 'the node was stopped while it waited for NATS servers'))
    if (stopAsked?.aborted) giveUp()
    else stopAsked?.addEventListener('abort', giveUp, { once: true })
  })
  asked.catch(() => undefined)
  return asked
}
