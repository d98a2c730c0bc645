import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { readText } from './proc.ts'

export interface ChildOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** Takes what the program prints. */
  readonly logPath: string
  readonly stopMsMax: number
}

/** A program we started and stop again, by its process id. */
export class Child {
  readonly #options: ChildOptions
  readonly #process: ChildProcess
  #exit: string | null = null
  readonly #exited: Promise<void>

  constructor(options: ChildOptions) {
    this.#options = options
    const log = openSync(options.logPath, 'a')
    const { env, cwd } = options
    // A group of its own, so that Ctrl-C in the terminal reaches only the benchmark, which then stops it in order.
    this.#process = spawn(options.command, options.args, { env, cwd, stdio: ['ignore', log, log], detached: true })
    closeSync(log)
    this.#exited = new Promise((resolve) => {
      const end = (text: string): void => {
        this.#exit = text
        resolve()
      }
      this.#process.once('error', (error) => end(error.message))
      this.#process.once('exit', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`))
    })
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#exit === null
  }

  /** Waits until a connection to the port succeeds. Rejects, with the end of its output, when the program ends first. */
  async listening(port: number, msMax: number): Promise<void> {
    const deadline = performance.now() + msMax
    while (!(await canConnect(port))) {
      if (this.#exit !== null) throw new Error(`${this.#options.name} ended (${this.#exit}):\n${this.output()}`)
      if (performance.now() > deadline) {
        await this.stop()
        throw new Error(`${this.#options.name} does not listen after ${msMax / 1000} s:\n${this.output()}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  /** The end of what it has printed. */
  output(): string {
    return (readText(this.#options.logPath) ?? '').slice(-2000)
  }

  /** SIGKILL. Resolves when the process has ended. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exited
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** SIGTERM, and SIGKILL when that is not enough. Resolves when the process has ended. */
  async stop(): Promise<void> {
    if (this.#exit !== null) return
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), this.#options.stopMsMax)
    await this.#exited
    clearTimeout(timer)
  }
}

/** A TCP port of the loopback interface that nobody listens on just now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no free port'))
        else resolve(address.port)
      })
    })
  })
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const end = (isOpen: boolean): void => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
