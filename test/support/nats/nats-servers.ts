/**
 * Real nats-servers with JetStream for tests: one, or a cluster of three, on free ports, with `sync_interval: always`. They can
 * be killed, paused and started again; their stores live in a directory of their own, which goes with them.
 *
 * The program is `NATS_SERVER` in the environment, or `nats-server` on the path or below `/opt/nats`. With `CI=true` a
 * missing one fails the test that asks; elsewhere `natsServerPath` is null and the test says that it did not run.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { freePorts } from '../ports.ts'

const startMsMax = 30_000

export function natsServerPath(): string | null {
  const named = process.env['NATS_SERVER']
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'nats-server'))
  const unpacked = ['/opt/nats/usr/sbin/nats-server', '/opt/nats/nats-server']
  const found = [...(named === undefined ? [] : [named]), ...onPath, ...unpacked].find((path) => existsSync(path))
  if (found === undefined && process.env['CI'] === 'true') throw new Error('CI needs a nats-server')
  return found ?? null
}

interface Server {
  readonly name: string
  readonly port: number
  readonly configFile: string
  process: ChildProcess | null
}

export class NatsServers {
  readonly #program: string
  readonly #directory: string
  readonly #servers: Server[] = []
  readonly #connections: NatsConnection[] = []

  private constructor(program: string, directory: string) {
    this.#program = program
    this.#directory = directory
  }

  /** Starts so many servers, and waits until JetStream answers. */
  static async start(program: string, count: 1 | 3): Promise<NatsServers> {
    const servers = new NatsServers(program, mkdtempSync(join(tmpdir(), 'warren-nats-')))
    try {
      await servers.#prepare(count)
      for (const server of servers.#servers) servers.#spawn(server)
      await servers.#ready()
    } catch (error) {
      await servers.stop()
      throw error
    }
    return servers
  }

  get count(): number {
    return this.#servers.length
  }

  nameOf(index: number): string {
    return this.#at(index).name
  }

  indexOf(name: string): number {
    return this.#servers.findIndex((server) => server.name === name)
  }

  urls(): string[] {
    return this.#servers.map(({ port }) => `127.0.0.1:${port}`)
  }

  /** A connection that reconnects for ever; to one server only when `index` is given. Ends with the servers. */
  async connect(index?: number): Promise<NatsConnection> {
    const servers = index === undefined ? this.urls() : [`127.0.0.1:${this.#at(index).port}`]
    const connection = await connect({
      servers,
      ignoreClusterUpdates: true,
      reconnect: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      waitOnFirstConnect: true,
    })
    this.#connections.push(connection)
    return connection
  }

  /** Ends one server as a power cut would, but for what its disk has not synced. */
  async kill(index: number): Promise<void> {
    const { process: child } = this.#at(index)
    if (child === null) return
    this.#at(index).process = null
    await ended(child, 'SIGKILL')
  }

  pause(index: number): void {
    this.#at(index).process?.kill('SIGSTOP')
  }

  goOn(index: number): void {
    this.#at(index).process?.kill('SIGCONT')
  }

  /** Starts a server that was killed. */
  restart(index: number): void {
    const server = this.#at(index)
    if (server.process === null) this.#spawn(server)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#connections.splice(0).map((connection) => connection.close()))
    for (const server of this.#servers) {
      const child = server.process
      server.process = null
      if (child !== null) await ended(child, 'SIGKILL')
    }
    rmSync(this.#directory, { recursive: true, force: true })
  }

  // ---- inside

  async #prepare(count: number): Promise<void> {
    const ports = await freePorts(2 * count)
    const routes = ports.slice(count).map((port) => `nats://127.0.0.1:${port}`)
    for (let index = 0; index < count; index++) {
      const name = `s${index}`
      const directory = join(this.#directory, name)
      mkdirSync(directory)
      const lines = [
        `server_name: ${name}`,
        `listen: "127.0.0.1:${ports[index]}"`,
        `jetstream { store_dir: "${directory}", sync_interval: always, max_mem: 64MB, max_file: 4GB }`,
      ]
      if (count > 1) {
        lines.push(
          `cluster { name: test, listen: "127.0.0.1:${ports[count + index]}", routes: [${routes.join(', ')}] }`,
        )
      }
      const configFile = join(this.#directory, `${name}.conf`)
      writeFileSync(configFile, `${lines.join('\n')}\n`)
      this.#servers.push({ name, port: ports[index] ?? 0, configFile, process: null })
    }
  }

  #spawn(server: Server): void {
    server.process = spawn(this.#program, ['-c', server.configFile], { stdio: 'ignore' })
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + startMsMax
    const connection = await this.connect()
    for (;;) {
      try {
        const manager = await jetstreamManager(connection, { timeout: 1_000 })
        await manager.streams.add({ name: 'ready', subjects: ['ready'], num_replicas: this.count, max_bytes: 1024 })
        await manager.streams.delete('ready')
        return
      } catch (error) {
        if (Date.now() > deadline) throw error
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }

  #at(index: number): Server {
    const server = this.#servers[index]
    if (server === undefined) throw new Error(`there is no server ${index}`)
    return server
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  child.kill('SIGCONT')
  await exit
}
