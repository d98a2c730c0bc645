/**
 * The check of the NATS servers, once at the start and then each minute: the servers themselves (`requirements.ts`) and
 * how our streams are stored; with it, what they refuse to our connections (`refused`). What is wrong then is a problem with a sentence; whoever listens makes an alarm of it.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { StartError } from '../../start-error.ts'
import { inDomain } from './account-check.ts'
import { type CheckedServer, type StoredStream, streamProblems } from './requirements.ts'
import { type AskServers, type Check, checkServers } from './server-check.ts'
import { nameOf, serverIdOf } from './server-id.ts'

export interface NatsCheckSettings {
  /** Streams and buckets are ours whose names are it, or begin with it and a `-` or `_`. */
  readonly clusterName: string
  readonly replicas: number
  /** JetStream domain; null: that of whom one is connected to. */
  readonly domain: string | null
  /** Of servers that there are, as far as one knows without asking. */
  readonly names: readonly string[]
}

/** How often while running, in milliseconds. */
export const checkEveryMs = 60_000
/** The same while something is wrong: whoever mends it, at another node perhaps, wants to see that it is mended. */
export const checkAgainMs = 10_000
/** From a change until it is looked at, in milliseconds: a server that ends with its node has ended by then. */
const checkSoonMs = 2_000
const requestMsMax = 5_000

/** A server that is not to be removed as things are; says why. */
export class ServerStays extends Error {
  readonly code = 'SERVER_STAYS'
}

export class NatsCheck {
  servers: readonly CheckedServer[] = []
  problems: readonly string[] = []
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #settings: NatsCheckSettings
  readonly #ask: AskServers
  readonly #connection: NatsConnection
  readonly #refused: () => readonly string[]
  readonly #listeners: (() => void)[] = []
  #unfit: readonly string[] = []
  #timer: Timer | null = null
  #isStopped = false
  /** The next check is not to wait for long. */
  #isWanted = false

  constructor(
    { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
    settings: NatsCheckSettings,
    ask: AskServers,
    connection: NatsConnection,
    refused: () => readonly string[] = () => [],
  ) {
    this.#clock = clock
    this.#logger = logger
    this.#settings = settings
    this.#ask = ask
    this.#connection = connection
    this.#refused = refused
  }

  /** Rejects only if this program is wrong: servers that cannot be asked are a problem. */
  async now(): Promise<Check> {
    const check = await this.#asked()
    const refused = this.#refused()
    // Whoever is refused is not answered either.
    const streams = check.hasLeader && refused.length === 0 ? await this.#streamProblems() : []
    this.servers = check.servers
    const isSilent = (sentence: string): boolean =>
      check.servers.some(({ version, problems }) => version === null && problems.includes(sentence))
    this.#unfit = [...check.problems.filter((sentence) => !isSilent(sentence)), ...streams]
    this.#set([...new Set([...refused, ...check.problems, ...streams])])
    return check
  }

  get isFit(): boolean {
    return this.#unfit.length === 0
  }

  /** What no start may go on with. Servers that do not answer are not among it: a majority does. */
  throwIfUnfit(): void {
    const [first] = this.#unfit
    if (first !== undefined) throw new StartError('cluster', first)
  }

  start(): void {
    const usualMs = this.problems.length === 0 ? checkEveryMs : checkAgainMs
    const afterMs = this.#isWanted ? checkSoonMs : usualMs
    this.#isWanted = false
    this.#timer = this.#clock.after(afterMs, () => void this.#again())
  }

  /** Something has changed: checks in a moment, without waiting for the minute. */
  soon(): void {
    this.#isWanted = true
    if (this.#timer === null || this.#isStopped) return
    this.#timer.cancel()
    this.start()
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  listen(problemsChanged: () => void): void {
    this.#listeners.push(problemsChanged)
  }

  /** `system` is a connection to the system account. */
  async removeServer(system: NatsConnection | null, name: string): Promise<void> {
    const { servers, namesTold } = await this.now()
    const server = servers.find((one) => nameOf(one.name, [name]) === name)
    // NATS takes out no server by a name that it does not know itself.
    const isNamed = namesTold.has(name)
    if (system === null) {
      throw new ServerStays('only the system account of NATS may remove a server; give nats-system-credentials')
    }
    if (server === undefined) throw new ServerStays(`there is no NATS server '${name}' in the group`)
    if (server.version !== null) throw new ServerStays(`the NATS server '${name}' still runs; stop it for good first`)
    const [silent] = this.servers.filter((other) => other.version === null && other.name !== server.name)
    if (silent !== undefined) {
      throw new ServerStays(`${silent.name} does not answer either; remove nothing before it does`)
    }
    const request = JSON.stringify(isNamed ? { peer: name } : { peer_id: serverIdOf(name) })
    const answer = await system.request('$JS.API.SERVER.REMOVE', request, { timeout: requestMsMax })
    const { error } = answer.json<{ readonly error?: { readonly description?: string } }>()
    if (error !== undefined) throw new Error(`NATS refuses to remove '${name}' (${error.description})`)
    await this.now()
  }

  async #again(): Promise<void> {
    this.#timer = null
    await this.now()
    if (!this.#isStopped) this.start()
  }

  async #asked(): Promise<Check> {
    const { replicas, names } = this.#settings
    try {
      const check = await checkServers(this.#ask, replicas, names)
      if (check.servers.length > 0) return check
      return unknown(noSystemAccount)
    } catch (error) {
      // Somebody listens there in the system account alone.
      if (error instanceof Error && /no responders/i.test(error.message)) return unknown(noSystemAccount)
      return unknown(`the NATS servers cannot be checked (${error instanceof Error ? error.message : error})`)
    }
  }

  async #streamProblems(): Promise<string[]> {
    const { clusterName, replicas, domain } = this.#settings
    try {
      const { jetstreamManager } = await import('@nats-io/jetstream')
      const options = { timeout: requestMsMax, checkAPI: false, ...inDomain(domain) }
      const manager = await jetstreamManager(this.#connection, options)
      const ours: StoredStream[] = []
      for await (const { config } of manager.streams.list()) {
        if (isOurs(config.name, clusterName)) ours.push(config)
      }
      return streamProblems(ours, replicas)
    } catch (error) {
      // Whoever cannot be asked for streams cannot store anything either; that shows elsewhere.
      this.#logger.debug({ error }, 'the streams could not be checked')
      return []
    }
  }

  #set(problems: readonly string[]): void {
    const before = this.problems
    this.problems = problems
    for (const problem of problems) if (!before.includes(problem)) this.#logger.warn({}, problem)
    if (problems.length === before.length && problems.every((one) => before.includes(one))) return
    if (problems.length === 0) this.#logger.info({}, 'the NATS servers give again what is needed')
    for (const changed of this.#listeners) changed()
  }
}

const noSystemAccount =
  'no NATS server answers to the system account; correct nats-system-credentials, nats-system-nkey or nats-system-user'

function unknown(problem: string): Check {
  return { servers: [], problems: [problem], hasLeader: false, hasMajority: false, namesTold: new Set() }
}

/** Streams and buckets of the cluster. */
function isOurs(stream: string, clusterName: string): boolean {
  const name = stream.startsWith('KV_') ? stream.slice('KV_'.length) : stream
  return name === clusterName || name.startsWith(`${clusterName}-`) || name.startsWith(`${clusterName}_`)
}
