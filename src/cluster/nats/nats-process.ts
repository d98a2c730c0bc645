/**
 * The NATS server of this node as a child process: configured, started, started again when it dies, stopped with the node.
 *
 * When the node dies and does not stop, the server lives on for `orphanLifeMs`: what it leads need not wait for an election,
 * and what it stores stays one of the copies. The next start on the same directory adopts it when it is what this start would
 * begin, and well; else it ends it first. Invariant: no server is started while one that was written down is there, so no two
 * of them ever have one store.
 */
import type { ChildEnd, ChildEvents, ChildProcess, ChildProcesses, OrphanRules } from '../../base/child-processes.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import { type Random, randomName } from '../../base/random.ts'
import { StartError } from '../../start-error.ts'
import { type ChildLogins, loginsOf } from './nats-config.ts'
import { NatsFiles, type NotedProcess, programText } from './nats-files.ts'
import { NatsLines } from './nats-lines.ts'
import { isRouteTrouble, NatsLog, natsLine } from './nats-log.ts'
import type { NatsProgram } from './nats-program.ts'

export interface NatsProcessParts {
  readonly clock: Clock
  readonly random: Random
  readonly files: Files
  readonly processes: ChildProcesses
  readonly logger: Logger
  readonly program: NatsProgram
  readonly directory: string
  /** What it is told (`nats-config.ts`), with these logins. */
  readonly configWith: (logins: ChildLogins) => string
  /** Why the server that is there and has these logins is not to be used, in words; null when it is well. */
  readonly reasonAgainst: (logins: ChildLogins) => Promise<string | null>
}

/** Waits between starts, in milliseconds: doubled each time, and short again when it has run for a while. */
const waitMsMin = 250
const waitMsMax = 15_000
const provenMs = 60_000
/** How long what it says of its routes is believed, in milliseconds: it tries again every second, and at length every minute or so. */
const troubleMs = 90_000
/** From SIGTERM to SIGKILL, in milliseconds. A server with much to close takes some seconds. */
export const stopMsMax = 20_000
/**
 * In its "lame duck mode" a server first has other servers lead what it leads, and ends when nobody is connected to it. Ended
 * by SIGTERM alone it leaves them to find that out: an election of 4 to 9 s for each stream that it led.
 */
export const farewell = { signal: 'SIGUSR2', ms: 2_000 } as const
/** How long a server goes on whose node has died, in milliseconds: a supervisor starts a node again sooner, people mostly do. */
export const orphanLifeMs = 5 * 60_000
/** How long one that is there may take to answer, in milliseconds, and how often it is asked: it may just have been started. */
export const answerMsMax = 5_000
const askMs = 250
/**
 * Threads of the server that run Go at once, which `GOMAXPROCS` in the environment overrules: half of the processors, for the
 * broker has the others. Most of what a small frame costs the server is the waking of threads (`docs/benchmarks.md`).
 */
const threadsOf = (processors: number): number => Math.max(1, Math.floor(processors / 2))

/** Of passwords and claims, in characters. */
const nameLength = 32

export class NatsProcess {
  readonly program: NatsProgram
  /** Rejects when it ends before `proven` is called: it cannot run like this. */
  readonly broken: Promise<never>
  #break: (error: Error) => void = () => {}
  readonly #parts: NatsProcessParts
  readonly #files: NatsFiles
  readonly #orphan: OrphanRules
  readonly #log: NatsLog
  readonly #lines: NatsLines
  #logins: ChildLogins
  #child: ChildProcess | null = null
  #isAdopted = false
  #startedAt = 0
  #waitMs = waitMsMin
  #timer: Timer | null = null
  #lastError = ''
  #trouble = { at: 0, message: '' }
  #isProven = false
  /** Its end is what we want. */
  #isEnding = false
  #ended: () => void = () => {}

  /** Adopts what is left of an earlier start, or ends it, writes the configuration and starts another. Throws `StartError`. */
  static async start(parts: NatsProcessParts): Promise<NatsProcess> {
    const files = new NatsFiles(parts.files, parts.directory)
    await parts.files.makeDirectory(parts.directory)
    const log = await NatsLog.open(parts, files.log, (text) => made.#line(text))
    const made = new NatsProcess(parts, files, log)
    try {
      const left = await made.#leftBehind()
      if (left === null || !(await made.#adopt(left))) await made.#begin()
    } catch (error) {
      log.close()
      throw error
    }
    return made
  }

  private constructor(parts: NatsProcessParts, files: NatsFiles, log: NatsLog) {
    const { random, program } = parts
    this.#parts = parts
    this.#files = files
    this.#log = log
    this.#lines = new NatsLines(parts)
    this.program = program
    this.#logins = { password: randomName(random, nameLength), systemPassword: randomName(random, nameLength) }
    const claim = { path: files.claim, text: randomName(random, nameLength) }
    this.#orphan = { lifeMs: orphanLifeMs, claim, farewell, stopMsMax }
    this.broken = new Promise((_, reject) => {
      this.#break = reject
    })
    this.broken.catch(() => undefined)
  }

  /** Null between two starts. */
  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /** Whether it was there already. */
  get isAdopted(): boolean {
    return this.#isAdopted
  }

  get logins(): ChildLogins {
    return this.#logins
  }

  /** What it has said lately of why it does not come to the others; null when nothing but waiting is to be done. */
  get trouble(): string | null {
    const { at, message } = this.#trouble
    return message !== '' && this.#parts.clock.monotonic() - at < troubleMs ? message : null
  }

  /** It works: from now on it is started again when it ends. */
  proven(): void {
    this.#isProven = true
  }

  /** It is to end with this node, also when that is killed from now on. */
  async renounce(): Promise<void> {
    await this.#files.renounce()
  }

  /** SIGUSR2, SIGTERM after `farewell`, SIGKILL when it has not ended within `stopMsMax`. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#isEnding = true
    this.#timer?.cancel()
    if (this.#child !== null) await this.#end(this.#child)
    this.#log.close()
    await this.#files.forget()
  }

  async #end(child: ChildProcess): Promise<void> {
    this.#isEnding = true
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

  // ---------------------------------------------------------------- one that is there

  async #leftBehind(): Promise<NotedProcess | null> {
    const noted = await this.#files.notedProcess()
    if (noted === null) return null
    return (await this.#identityOf(noted.pid)) === noted.identity ? noted : null
  }

  async #identityOf(pid: number): Promise<string | null> {
    try {
      return await this.#parts.processes.identity(pid)
    } catch (error) {
      const mend =
        'let it see the processes of its user (in a unit of systemd: no PrivateUsers= with ProtectProc=), or end that one'
      const sentence = `process ${pid} may be a nats-server on ${this.#parts.directory}, which this node cannot see; ${mend}`
      throw new StartError('cluster', sentence, error)
    }
  }

  /** False when it has ended, or was ended because it is not what is wanted. */
  async #adopt(left: NotedProcess): Promise<boolean> {
    const { processes, logger } = this.#parts
    const { pid } = left
    // First our watcher, then our claim, by which the one before us gives it up: at no time has it none.
    this.#isEnding = true
    this.#child = processes.adopt(pid, left.identity, this.#orphan, this.#events())
    await this.#claim()
    const reason = (await this.#reasonAgainst(left)) ?? (await this.#reasonAgainstAnswer())
    if (this.#child === null) return false
    if (reason === null) {
      logger.info({ pid }, 'the nats-server of an earlier start goes on')
      this.#startedAt = this.#parts.clock.monotonic()
      this.#isAdopted = true
      this.#isEnding = false
      this.#isProven = true
      return true
    }
    logger.warn({ pid, reason }, 'a nats-server of an earlier start is still there and is ended')
    await this.#orStuck(this.#end(this.#child), pid)
    return false
  }

  /** By what is written down of it. */
  async #reasonAgainst({ program }: NotedProcess): Promise<string | null> {
    if (program !== programText(this.program)) return `its program is ${program || 'unknown'}`
    const config = await this.#files.textOf(this.#files.config)
    const logins = loginsOf(config)
    if (logins === null || this.#parts.configWith(logins) !== config) return 'its configuration is another'
    this.#logins = logins
    return null
  }

  async #reasonAgainstAnswer(): Promise<string | null> {
    const { clock, reasonAgainst } = this.#parts
    const deadline = clock.monotonic() + answerMsMax
    for (;;) {
      const reason = await reasonAgainst(this.#logins)
      if (reason === null || this.#child === null || clock.monotonic() >= deadline) return reason
      await new Promise<void>((resolve) => clock.after(askMs, resolve))
    }
  }

  #orStuck(ended: Promise<void>, pid: number): Promise<void> {
    const { clock, directory } = this.#parts
    return new Promise((resolve, reject) => {
      const sentence = `process ${pid} is a nats-server on ${directory} and does not end; end it by hand, or give another --data`
      const timer = clock.after(2 * stopMsMax, () => reject(new StartError('cluster', sentence)))
      void ended.then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  // ---------------------------------------------------------------- one that is started

  async #begin(): Promise<void> {
    await this.#claim()
    await this.#files.write(this.#files.config, this.#parts.configWith(this.#logins))
    this.#isEnding = false
    this.#start()
  }

  async #claim(): Promise<void> {
    const { claim } = this.#orphan
    if (claim !== null) await this.#files.write(claim.path, `${claim.text}\n`)
  }

  #start(): void {
    const { processes, program, clock } = this.#parts
    this.#startedAt = clock.monotonic()
    const command = {
      program: program.path,
      args: ['-c', this.#files.config],
      environment: { GOMAXPROCS: String(threadsOf(processes.processors)) },
      orphan: this.#orphan,
    }
    this.#child = processes.start(command, this.#events())
  }

  #events(): ChildEvents {
    return {
      spawned: (pid) => this.#note(pid),
      line: (text) => this.#line(text),
      ended: (end) => this.#hasEnded(end),
    }
  }

  /** Before it begins: what is not written down is not found by the next start, and has the store. */
  async #note(pid: number): Promise<void> {
    const identity = await this.#parts.processes.identity(pid)
    if (identity !== null) await this.#files.note({ pid, identity, program: programText(this.program) })
  }

  #hasEnded(end: ChildEnd): void {
    this.#child = null
    this.#ended()
    if (!this.#isEnding) void this.#log.look().then(() => this.#startAgain(end))
  }

  #startAgain({ code, signal, error }: ChildEnd): void {
    if (this.#isEnding) return
    const how = error?.message ?? signal ?? (code === null ? 'gone' : `exit code ${code}`)
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
    if (isRouteTrouble(message)) this.#trouble = { at: this.#parts.clock.monotonic(), message }
    if (message !== '') this.#lines.say(this.#isEnding ? 'debug' : level, message)
  }
}
