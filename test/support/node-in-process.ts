/** A node with real sockets in this process, and what it said in its log. */
import type { LogFields, Logger } from '../../src/base/logger.ts'
import { type Config, configWith } from '../../src/config.ts'
import { type Daemon, type NodeParts, startDaemon, systemWorld, type World } from '../../src/daemon.ts'

export interface LogLine {
  readonly part: string
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: LogFields
  readonly message: string
}

/** Keeps every line, with the part of the program that said it. */
export function notingLogger(lines: LogLine[], part = ''): Logger {
  const at =
    (level: LogLine['level']) =>
    (fields: LogFields, message: string): void =>
      void lines.push({ part, level, fields, message })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    part: (name) => notingLogger(lines, name),
  }
}

export class NodeInProcess {
  readonly daemon: Daemon
  readonly log: LogLine[]

  private constructor(daemon: Daemon, log: LogLine[]) {
    this.daemon = daemon
    this.log = log
  }

  /** In memory, on free ports of the loopback; users `anna` (administrator) and `ben` with the password `secret` and all rights in `/`. */
  static async start(
    options: Partial<Config>,
    parts: NodeParts = {},
    world: Partial<World> = {},
  ): Promise<NodeInProcess> {
    const log: LogLine[] = []
    const config = configWith({ host: '127.0.0.1', port: 0, httpPort: 0, ...options })
    const daemon = await startDaemon(
      config,
      { ...systemWorld(notingLogger(log)), ...world },
      {
        storage: 'memory',
        opened: async (broker) => {
          for (const [name, tags] of [
            ['anna', ['administrator']],
            ['ben', ['management']],
          ] as const) {
            await broker.putUser(name, 'secret', tags)
            await broker.putPermission(name, '/', { configure: '.*', write: '.*', read: '.*' })
          }
        },
        ...parts,
      },
    )
    return new NodeInProcess(daemon, log)
  }

  /** Of the port for `amqp`, `amqps`, `http` or `https`. */
  port(scheme: string): number {
    const address = this.daemon.addresses.find((one) => one.startsWith(`${scheme}:`))
    return Number(new URL(address ?? 'none:').port)
  }

  /** Status and JSON of a request of the HTTP API. */
  async ask(method: string, path: string, body?: unknown, user = 'anna'): Promise<[status: number, answer: unknown]> {
    const response = await fetch(`http://127.0.0.1:${this.port('http')}/api${path}`, {
      method,
      headers: { authorization: `Basic ${Buffer.from(`${user}:secret`).toString('base64')}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return [response.status, text === '' ? null : JSON.parse(text)]
  }

  /** It has to succeed; what it answers. */
  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const [status, answer] = await this.ask(method, path, body)
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`)
    return answer
  }

  said(pattern: RegExp): LogLine[] {
    return this.log.filter(({ message, fields }) => pattern.test(`${message} ${JSON.stringify(fields)}`))
  }

  async stop(): Promise<void> {
    await this.daemon.stop(1_000)
  }
}
