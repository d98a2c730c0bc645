/** A nats-server as an operator runs one: with the configuration that a test gives, which may change while it runs. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../ports.ts'
import { removeFolder } from '../remove-folder.ts'

export interface OperatedOptions {
  readonly name?: string
  /** In its block `jetstream`; null: it has none. */
  readonly jetstream?: string | null
}

/** Two accounts: `warren` (password `w`) has JetStream, `system` (`s`) is for looking after the servers. */
export function twoAccounts(jetstream = 'enabled', permissions = ''): string {
  return `accounts {
  W { jetstream: ${jetstream}, users: [{ user: warren, password: "w" ${permissions} }] }
  S { users: [{ user: system, password: "s" }] }
}
system_account: S`
}

export class OperatedServer {
  readonly folder = mkdtempSync(join(tmpdir(), 'warren-operated-'))
  readonly url: string
  readonly monitor: string
  readonly #program: string
  readonly #port: number
  readonly #fixed: string
  #process: ChildProcess | null = null

  private constructor(program: string, port: number, monitorPort: number, options: OperatedOptions) {
    const { name = 'alone', jetstream = 'sync_interval: always' } = options
    this.#program = program
    this.#port = port
    this.url = `nats://127.0.0.1:${port}`
    this.monitor = `http://127.0.0.1:${monitorPort}`
    const store = jetstream === null ? '' : `jetstream {\n  store_dir: "${this.folder}"\n  ${jetstream}\n}`
    this.#fixed = `server_name: ${name}\nlisten: "127.0.0.1:${port}"\nhttp: "127.0.0.1:${monitorPort}"\n${store}\n`
  }

  static async start(program: string, config: string, options: OperatedOptions = {}): Promise<OperatedServer> {
    const server = new OperatedServer(program, await freePort(), await freePort(), options)
    server.write(config)
    await server.begin()
    return server
  }

  /** For the next start, or `reload`. */
  write(config: string): void {
    writeFileSync(this.#configFile, this.#fixed + config)
  }

  reload(): void {
    this.#process?.kill('SIGHUP')
  }

  async begin(): Promise<void> {
    const child = spawn(this.#program, ['-c', this.#configFile], { stdio: 'ignore' })
    this.#process = child
    for (let tries = 0; !(await answers(this.#port)); tries++) {
      assert.ok(tries < 200 && child.exitCode === null, 'the nats-server does not start')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async end(): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null) return
    const exit = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await exit
  }

  async remove(): Promise<void> {
    await this.end()
    removeFolder(this.folder)
  }

  get #configFile(): string {
    return join(this.folder, 'nats.conf')
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
