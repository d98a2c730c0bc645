/**
 * `warren serve`: one broker from the command line to its last breath. Reads the configuration, starts the daemon in the
 * real world, says on stdout where it listens, and stops it on a signal. The log goes to stderr.
 *
 * Every expected failure is one sentence with its mend on stderr and an exit code (`../exit-code.ts`).
 */
import { readFileSync } from 'node:fs'
import type { Logger } from '../../base/logger.ts'
import { type Config, ConfigError, type LoadedConfig, loadConfig, processEnvironment } from '../../config.ts'
import type { Configuration, Daemon } from '../../daemon.ts'
import { version } from '../../version.ts'
import { ExitCode } from '../exit-code.ts'
import { openLog } from '../open-log.ts'

/** npm and a terminal both pass one Ctrl-C on, so a signal that follows at once is still the first one. */
const secondSignalMsMin = 500

export async function serve(flags: Readonly<Record<string, string>>): Promise<ExitCode> {
  const loaded = await readConfig(flags)
  if (loaded === null) return ExitCode.usage
  const { config, warnings } = loaded
  const log = openLog(config)
  if (log === null) return ExitCode.usage
  const { logger } = log
  // Whoever read them may be gone (`| head`): that is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  for (const warning of warnings) logger.warn({}, warning)
  endOnOwnFault(logger)
  const signals = new StopSignals()
  const read = (): Promise<LoadedConfig> => loadAgain(flags)
  const started = start(config, logger, { read, use: log.use }, signals.asked)
  const daemon = await Promise.race([started, signals.second])
  if (typeof daemon === 'number') return daemon
  for (const address of daemon.addresses) {
    process.stdout.write(`Warren ${version} listens on ${said(address, daemon.dataDirectory)}\n`)
  }
  // What went wrong is in the log.
  process.on('SIGHUP', () => void daemon.reload().catch(() => {}))
  return await stopWhenAsked(daemon, signals, config, logger)
}

/** As whoever reads it can use it. */
function said(address: string, dataDirectory: string | null): string {
  const [protocol, place] = address.split('://')
  if (protocol === 'prometheus') return `http://${place}/metrics, for Prometheus and without a login`
  return `${address}, ${protocol?.startsWith('http') === true ? 'AMQP over WebSocket at /ws' : `data in ${dataDirectory}`}`
}

async function readConfig(flags: Readonly<Record<string, string>>): Promise<LoadedConfig | null> {
  try {
    return await loadAgain(flags)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) complain(problem)
    return null
  }
}

function loadAgain(flags: Readonly<Record<string, string>>): Promise<LoadedConfig> {
  const { config: file = null, ...others } = flags
  return loadConfig({
    file,
    flags: new Map(Object.entries(others).map(([name, value]) => [keyOf(name), value])),
    environment: processEnvironment(),
    readText: (path) => readFileSync(path, 'utf8'),
  })
}

/** `logLevel` → `log-level`: the command line's names as the options have them. */
function keyOf(flag: string): string {
  return flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

async function start(
  config: Config,
  logger: Logger,
  configuration: Configuration,
  stopAsked: AbortSignal,
): Promise<Daemon | ExitCode> {
  const { StartError, startDaemon, systemWorld } = await import('../../daemon.ts')
  try {
    return await startDaemon(config, { ...systemWorld(logger), stopAsked }, { configuration })
  } catch (error) {
    if (stopAsked.aborted) {
      logger.info({}, 'stopped before it had started')
      return ExitCode.done
    }
    if (!(error instanceof StartError)) throw error
    complain(error.message)
    return exitCodes[error.part]
  }
}

const exitCodes = {
  'data-directory': ExitCode.dataDirectory,
  address: ExitCode.address,
  definitions: ExitCode.usage,
  options: ExitCode.usage,
  cluster: ExitCode.cluster,
} as const

async function stopWhenAsked(daemon: Daemon, signals: StopSignals, config: Config, logger: Logger): Promise<ExitCode> {
  const reason = await Promise.race([signals.next(), daemon.failed])
  if (reason instanceof Error) {
    logger.error({ error: reason }, 'the broker cannot go on and ends; nothing confirmed is lost')
    return ExitCode.failed
  }
  logger.info({ signal: reason, drainMsMax: config.drainMsMax }, 'stopping: a second signal stops at once')
  const stopped = daemon.stop(config.drainMsMax).then((isDrained) => (isDrained ? ExitCode.done : ExitCode.cutShort))
  const outcome = await Promise.race([stopped, signals.next(), daemon.failed])
  if (typeof outcome === 'number') return outcome
  if (outcome instanceof Error) logger.error({ error: outcome }, 'the broker failed while it stopped')
  else logger.warn({ signal: outcome }, 'stopped at once; nothing confirmed is lost')
  return outcome instanceof Error ? ExitCode.failed : ExitCode.cutShort
}

/** SIGTERM and SIGINT, one after the other, for whoever waits for the next. */
class StopSignals {
  #pending: string[] = []
  #waiting: ((name: string) => void)[] = []
  #lastMs = -secondSignalMsMin

  readonly #asked = new AbortController()
  /** Of the first one. */
  readonly asked = this.#asked.signal
  /** What becomes of a node that was to stop at once before it had started. */
  readonly second: Promise<ExitCode>
  #secondCame: (code: ExitCode) => void = () => {}

  constructor() {
    this.second = new Promise((resolve) => {
      this.#secondCame = resolve
    })
    for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => this.#received(name))
  }

  next(): Promise<string> {
    const name = this.#pending.shift()
    if (name !== undefined) return Promise.resolve(name)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #received(name: string): void {
    if (performance.now() - this.#lastMs < secondSignalMsMin) return
    this.#lastMs = performance.now()
    if (this.asked.aborted) this.#secondCame(ExitCode.cutShort)
    this.#asked.abort()
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length === 0) this.#pending.push(name)
    for (const resolve of waiting) resolve(name)
  }
}

/** A mistake of ours: what is stored is whole, but nobody knows what memory holds. A supervisor starts it again. */
function endOnOwnFault(logger: Logger): void {
  const end = (error: unknown): never => {
    logger.error({ error }, 'an internal error ends the broker; nothing confirmed is lost')
    process.exit(ExitCode.failed)
  }
  process.on('uncaughtException', end)
  process.on('unhandledRejection', end)
}

function complain(sentence: string): void {
  process.stderr.write(`warren: ${sentence}\n`)
}
