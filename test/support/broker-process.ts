/**
 * A broker as a user runs it: `warren serve` as a child process on a free port of the loopback, with a data directory
 * of its own. It can be killed at any moment and started again on the same data.
 *
 * Not a mock and not an in-process broker. With WARREN_TEST_URL set, tests use the broker at that address instead
 * (RabbitMQ, say, to check the tests themselves); such a broker can be neither killed nor restarted.
 *
 * Invariant: at most one child at a time, and none outlives this process.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from './ports.ts'

/** How long a broker may take from start to listening, unless a test says otherwise. */
const readyMsMax = 60_000
/** How long a broker may take to drain on SIGTERM before it is killed, which `stop` reports as an error. */
const stopMsMax = 60_000
/** Of what the broker printed, this much is kept for the report of a failure. */
const outputCharsMax = 64 * 1024

export interface BrokerOptions {
  /** More arguments of `warren serve`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What runs instead of `warren`: a compiled file of this folder that takes the same arguments. */
  readonly program?: string
  /** An existing data directory; it is not removed at the end. */
  readonly dataDirectory?: string
  /** Where it listens and who is to log in, instead of 127.0.0.1, a free port and guest. */
  readonly url?: string
  /** Goes before the command: a program that makes itself the broker, in a network of its own say. */
  readonly prefix?: readonly string[]
  /** All that it prints, of all its runs, is added to this file. */
  readonly outputFile?: string
}

/** How a child process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const main = fileURLToPath(new URL('../../bin/warren.js', import.meta.url))

export class BrokerProcess {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly dataDirectory: string
  readonly isExternal: boolean
  /** Ours, or said to be Warren by `WARREN_TEST_PRODUCT=warren`. */
  readonly isWarren: boolean
  readonly #options: BrokerOptions
  #child: ChildProcess | null = null
  #exited: Promise<Exit> = Promise.resolve({ code: null, signal: null })
  #output = ''

  private constructor(address: URL, isExternal: boolean, options: BrokerOptions) {
    this.host = address.hostname
    this.port = Number(address.port || '5672')
    this.user = decodeURIComponent(address.username || 'guest')
    this.password = decodeURIComponent(address.password || 'guest')
    this.isExternal = isExternal
    this.isWarren = !isExternal || process.env['WARREN_TEST_PRODUCT'] === 'warren'
    this.#options = options
    this.dataDirectory = isExternal ? '' : (options.dataDirectory ?? mkdtempSync(join(tmpdir(), 'warren-test-')))
  }

  /** A broker that listens; with `WARREN_TEST_URL`, whatever listens there. */
  static async start(options: BrokerOptions = {}): Promise<BrokerProcess> {
    const externalUrl = process.env['WARREN_TEST_URL']
    if (externalUrl !== undefined) return new BrokerProcess(new URL(externalUrl), true, options)
    const broker = await BrokerProcess.prepare(options)
    await broker.restart()
    return broker
  }

  /** A broker of our own that has not been started. */
  static async prepare(options: BrokerOptions): Promise<BrokerProcess> {
    const url = options.url ?? `amqp://guest:guest@127.0.0.1:${await freePort()}`
    return new BrokerProcess(new URL(url), false, options)
  }

  /** With vhost `/`, as `amqp://` URLs spell it. */
  get url(): string {
    return `amqp://${encodeURIComponent(this.user)}:${encodeURIComponent(this.password)}@${this.host}:${this.port}/%2f`
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** What it printed last, on both streams: for the report of a failure. */
  get output(): string {
    return this.#output
  }

  /** Settles when the present child ends. */
  get exited(): Promise<Exit> {
    return this.#exited
  }

  /** Starts it (again) on the same port and data, and waits until it listens. */
  async restart(): Promise<void> {
    this.spawn()
    await this.untilListening()
  }

  /** Starts it and does not wait: for those who mean to kill it before it listens. */
  spawn(): void {
    if (this.isExternal) throw new Error(`the broker at ${this.url} is not ours to start; unset WARREN_TEST_URL`)
    if (this.#child !== null) throw new Error('the broker runs already')
    const { program, prefix = [] } = this.#options
    const [command = process.execPath, ...args] = [
      ...prefix,
      process.execPath,
      program === undefined ? main : fileURLToPath(new URL(program, import.meta.url)),
      'serve',
      '--port',
      String(this.port),
      '--host',
      this.host,
      '--data',
      this.dataDirectory,
      ...(this.#options.args ?? []),
    ]
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: childEnvironment(this.#options.env ?? {}),
    })
    this.#child = child
    this.#output = ''
    running.add(child)
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#keep(text))
    this.#exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        running.delete(child)
        if (this.#child === child) this.#child = null
        resolve({ code, signal })
      })
    })
  }

  /** Waits for the line that names our port. */
  async untilListening(msMax = readyMsMax): Promise<void> {
    const child = this.#child
    if (child === null) throw new Error('the broker was not started')
    const isListening = (): boolean => this.#output.includes(`:${this.port}`)
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => end(this.#failure(`did not listen within ${msMax} ms`)), msMax)
      const end = (error: Error | null): void => {
        clearTimeout(timer)
        child.stdout?.off('data', look)
        child.stderr?.off('data', look)
        child.off('close', died)
        if (error === null) resolve()
        else reject(error)
      }
      const look = (): void => {
        if (isListening()) end(null)
      }
      const died = (code: number | null, signal: string | null): void =>
        end(this.#failure(`ended (${signal ?? code}) before it listened`))
      child.stdout?.on('data', look)
      child.stderr?.on('data', look)
      child.on('close', died)
      look()
    })
  }

  /** Sends the signal and waits for the end. Nothing happens when it is gone already. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    if (this.isExternal) throw new Error(`the broker at ${this.url} is not ours to kill; unset WARREN_TEST_URL`)
    this.#child?.kill(signal)
    return this.#exited
  }

  /** Ends it in order and removes its data. Fails when it had to be killed or ended with an error. */
  async stop(msMax = stopMsMax): Promise<void> {
    if (this.isExternal) return
    const isUp = this.#child !== null
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), msMax)
    const exit = await this.kill('SIGTERM')
    clearTimeout(timer)
    if (this.#options.dataDirectory === undefined) rmSync(this.dataDirectory, { recursive: true, force: true })
    if (isUp && exit.code !== 0) throw this.#failure(`did not end in order on SIGTERM (${exit.signal ?? exit.code})`)
  }

  #keep(text: string): void {
    if (this.#options.outputFile !== undefined) appendFileSync(this.#options.outputFile, text)
    this.#output = (this.#output + text).slice(-outputCharsMax)
  }

  #failure(what: string): Error {
    return new Error(`the broker ${what}; it printed:\n${this.#output || '(nothing)'}`)
  }
}

/** Children to end with this process, whatever ends it. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Ours without what would configure the broker, or make it think that it is a test; no HTTP, as many run side by side. */
function childEnvironment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('WARREN_') && name !== 'NODE_TEST_CONTEXT',
  )
  return { ...Object.fromEntries(kept), WARREN_HTTP_PORT: 'none', ...more }
}
