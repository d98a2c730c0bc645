/**
 * The NATS server of this node as a child process: configured, started, started again when it dies, stopped with the
 * node. It cannot outlive the node for long (`base/child-processes.ts`); should it after all, the next start on the same
 * directory finds it by the process file and ends it first.
 *
 * In `directory`: `nats-server.conf`, `nats-server.pid` (id and identity of the child), `jetstream/` (its store).
 */
import { join } from 'node:path'
import type { ChildEnd, ChildProcess, ChildProcesses } from '../../base/child-processes.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import { StartError } from '../../start-error.ts'
import type { NatsProgram } from './nats-program.ts'
import { readSmallFile, removeIfThere, writeSmallFile } from './small-file.ts'

export interface NatsProcessParts {
  readonly clock: Clock
  readonly files: Files
  readonly processes: ChildProcesses
  readonly logger: Logger
  readonly program: NatsProgram
  readonly directory: string
  /** What it is told (`nats-config.ts`). */
  readonly config: string
}

/** Waits between starts, in milliseconds: doubled each time, and short again when it has run for a while. */
const waitMsMin = 250
const waitMsMax = 15_000
const provenMs = 60_000
/** From SIGTERM to SIGKILL, in milliseconds. A server with much to close takes some seconds. */
export const stopMsMax = 20_000
/**
 * In its "lame duck mode" a server first has other servers lead what it leads, and ends when nobody is connected to it. Ended
 * by SIGTERM alone it leaves them to find that out: an election of 4 to 9 s for each stream that it led.
 */
export const farewell = { signal: 'SIGUSR2', ms: 2_000 } as const
/** How often it is looked for whether a process that is no child has gone. */
const lookMs = 100

export class NatsProcess {
  readonly program: NatsProgram
  /** Rejects when it ends before `proven` is called: it cannot run like this. */
  readonly broken: Promise<never>
  #break: (error: Error) => void = () => {}
  readonly #parts: NatsProcessParts
  #child: ChildProcess | null = null
  #startedAt = 0
  #waitMs = waitMsMin
  #timer: Timer | null = null
  #lastError = ''
  #isProven = false
  #isStopping = false
  #ended: () => void = () => {}

  /** Writes the configuration, ends what is left of an earlier start, and starts it. Throws `StartError`. */
  static async start(parts: NatsProcessParts): Promise<NatsProcess> {
    const { files, directory, config } = parts
    await files.makeDirectory(directory)
    await reap(parts)
    await writeSmallFile(files, configPath(directory), config)
    const made = new NatsProcess(parts)
    made.#start()
    return made
  }

  private constructor(parts: NatsProcessParts) {
    this.#parts = parts
    this.program = parts.program
    this.broken = new Promise((_, reject) => {
      this.#break = reject
    })
    this.broken.catch(() => undefined)
  }

  /** Null between two starts. */
  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /** It works: from now on it is started again when it ends. */
  proven(): void {
    this.#isProven = true
  }

  /** SIGUSR2, SIGTERM after `farewell`, SIGKILL when it has not ended within `stopMsMax`. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#timer?.cancel()
    const child = this.#child
    if (child !== null) {
      const gone = new Promise<void>((resolve) => {
        this.#ended = resolve
      })
      const { clock } = this.#parts
      child.signal(farewell.signal)
      const timers = [
        clock.after(farewell.ms, () => child.signal('SIGTERM')),
        clock.after(stopMsMax, () => child.signal('SIGKILL')),
      ]
      await gone
      for (const timer of timers) timer.cancel()
    }
    await removeIfThere(this.#parts.files, processPath(this.#parts.directory))
  }

  #start(): void {
    const { processes, program, directory, clock } = this.#parts
    this.#startedAt = clock.monotonic()
    this.#child = processes.start(
      { program: program.path, args: ['-c', configPath(directory)], orphanMsMax: stopMsMax, farewell },
      { line: (text) => this.#line(text), ended: (end) => this.#hasEnded(end) },
    )
    void this.#remember(this.#child.pid)
  }

  /** A child that is not written down can still not outlive us, unless its watcher is killed too. */
  async #remember(pid: number): Promise<void> {
    const { processes, files, directory, logger } = this.#parts
    try {
      const identity = await processes.identity(pid)
      if (identity === null || this.#isStopping) return
      await writeSmallFile(files, processPath(directory), `${pid} ${identity}\n`)
    } catch (error) {
      logger.warn({ error, pid }, 'the process id of nats-server cannot be written down')
    }
  }

  #hasEnded({ code, signal, error }: ChildEnd): void {
    this.#child = null
    this.#ended()
    if (this.#isStopping) return
    const how = error === null ? (signal ?? `exit code ${code}`) : error.message
    const why = this.#lastError === '' ? '' : `: ${this.#lastError}`
    if (!this.#isProven) {
      const mend = 'mend what it names; a port is that of this node in --peers, or one of the two above'
      this.#break(new StartError('cluster', `nats-server ended at once (${how}${why}); ${mend}`))
      return
    }
    const { clock, logger } = this.#parts
    if (clock.monotonic() - this.#startedAt > provenMs) this.#waitMs = waitMsMin
    const waitMs = this.#waitMs
    this.#waitMs = Math.min(2 * waitMs, waitMsMax)
    logger.error({ how, waitMs }, `nats-server has ended${why}; it is started again`)
    this.#timer = clock.after(waitMs, () => this.#start())
  }

  #line(text: string): void {
    const { level, message } = natsLine(text)
    if (level === 'error') this.#lastError = message
    if (message !== '') this.#parts.logger[this.#isStopping ? 'debug' : level]({ nats: true }, message)
  }
}

function configPath(directory: string): string {
  return join(directory, 'nats-server.conf')
}

function processPath(directory: string): string {
  return join(directory, 'nats-server.pid')
}

/** Ends a server that an earlier node left behind. It holds the store and the ports, so it must be gone first. */
async function reap({ files, processes, directory, clock, logger }: NatsProcessParts): Promise<void> {
  const [, pidText, identity] = /^(\d+) (.+)\n$/.exec(await textOf(files, processPath(directory))) ?? []
  const pid = Number(pidText)
  if (identity === undefined || (await processes.identity(pid)) !== identity) return
  logger.warn({ pid }, 'a nats-server of an earlier start is still there and is ended')
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    processes.signal(pid, name)
    for (let waited = 0; waited < stopMsMax; waited += lookMs) {
      if ((await processes.identity(pid)) !== identity) return
      await new Promise<void>((resolve) => clock.after(lookMs, resolve))
    }
  }
  const mend = 'end it by hand, or give another --data'
  throw new StartError('cluster', `process ${pid} is a nats-server on ${directory} and does not end; ${mend}`)
}

async function textOf(files: Files, path: string): Promise<string> {
  try {
    return await readSmallFile(files, path)
  } catch {
    return ''
  }
}

// ---------------------------------------------------------------- its log

type Level = 'debug' | 'info' | 'warn' | 'error'

/**
 * Most of what it says is of no interest to whoever runs Warren. Of its errors nearly all are of one connection, such as
 * a node that is not there yet; only a fatal one is an error of ours.
 */
const levels: Readonly<Record<string, Level>> = {
  TRC: 'debug',
  DBG: 'debug',
  INF: 'debug',
  WRN: 'warn',
  ERR: 'warn',
  FTL: 'error',
}

/** True of our own configuration, and meant so. */
const expected = /^Plaintext passwords detected/

/** `[123] [WRN] text`; anything else, such as the trace of a panic, is an error. */
export function natsLine(text: string): { readonly level: Level; readonly message: string } {
  const [, word = '', message = ''] = /^\[\d+\] (?:\S+ \S+ )?\[([A-Z]{3})\] (.*)$/.exec(text) ?? []
  const level = levels[word]
  if (level === undefined) return { level: 'error', message: text.replace(/^nats-server: /, '').trim() }
  return { level: expected.test(message) ? 'debug' : level, message: message.trim() }
}
