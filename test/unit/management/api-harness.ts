/** The HTTP API over a broker whose shards only note what they are told; requests without sockets. */
import assert from 'node:assert/strict'
import { silentLogger } from '../../../src/base/logger.ts'
import type { ProcessFacts } from '../../../src/base/process-facts.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { LoginLedger } from '../../../src/broker/access/login-ledger.ts'
import type { OpenConnection } from '../../../src/broker/connection-directory.ts'
import { type ApiHandler, createApi } from '../../../src/management/api/api.ts'
import type { ApiParts, NodeFacts } from '../../../src/management/api/route.ts'
import type { ClusterFacts } from '../../../src/management/cluster-facts.ts'
import { Sampler } from '../../../src/management/statistics/sampler.ts'
import type { WebhookFacts } from '../../../src/management/webhooks.ts'
import { BrokerHarness, NotedShard } from '../../support/broker-harness.ts'

export interface Sent {
  readonly user?: string | null
  readonly password?: string
  readonly body?: unknown
  /** Sent as it is. */
  readonly raw?: string | Uint8Array | ReadableStream<Uint8Array>
  readonly headers?: Readonly<Record<string, string>>
  readonly remoteAddress?: string
}

export interface Got {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: unknown
}

const noWebhooks: WebhookFacts = {
  report: () => ({ state: 'running', reason: null, unacked: 0, counts: null }),
  running: () => [],
  trial: () => Promise.resolve(null),
  whyRefused: () => null,
}

export class ApiHarness {
  readonly broker: BrokerHarness
  /** Looks when it is told to. */
  readonly sampler: Sampler
  readonly parts: ApiParts
  readonly connections: OpenConnection[] = []
  readonly errors: string[] = []
  /** The option `http-origins`. */
  origins = 'same-host'
  readonly #handler: ApiHandler

  private constructor(
    broker: BrokerHarness,
    parts: ApiParts,
    handler: ApiHandler,
    connections: OpenConnection[],
    errors: string[],
  ) {
    this.broker = broker
    this.sampler = parts.sampler
    this.parts = parts
    this.#handler = handler
    this.connections = connections
    this.errors = errors
  }

  /** Users `administrator`, `monitoring`, `policymaker`, `management` and `nobody` have the tag of that name and all rights in `/`. */
  static async open(facts: Partial<NodeFacts> = {}, cluster: ClusterFacts | null = null): Promise<ApiHarness> {
    const broker = await BrokerHarness.open()
    broker.shards.shards[0] = new ConfirmingShard()
    const connections: OpenConnection[] = []
    const errors: string[] = []
    const parts = {
      broker: broker.broker,
      cluster,
      loginLedger:
        cluster?.loginLedger ?? new LoginLedger({ clock: broker.clock, random: new SeededRandom(6), secret: '' }),
      connections: { openConnections: connections, totals: noTotals },
      clock: broker.clock,
      runQueue: broker.topology.runQueue,
    }
    const sampler = new Sampler({ ...parts, memoryBytes: () => 1, logger: silentLogger })
    const all: ApiParts = {
      ...parts,
      sampler,
      backup: null,
      origins: () => harness.origins,
      webhooks: noWebhooks,
      machine: { process: quietProcess, io: null, diskFreeBytes: () => Promise.resolve(1) },
      reload: null,
      audit: silentLogger,
      random: new SeededRandom(5),
      logger: { ...silentLogger, error: (_fields, message) => void errors.push(message) },
      names: { rabbitVersion: '4.1.0', productVersion: '0.0.0' },
      node: {
        name: 'warren@test',
        startedAt: 0,
        listeners: () => [{ protocol: 'amqp', host: '*', port: 5672 }],
        memoryBytesMax: 1,
        memoryBytes: () => 1,
        diskFreeBytesMin: 1,
        connectionsMax: 1,
        messageBytesMax: 16 * 1024 * 1024,
        processId: 1,
        certificateValidUntil: () => null,
        ...facts,
      },
    }
    const handler = await createApi(all)
    const harness = new ApiHarness(broker, all, handler, connections, errors)
    broker.broker.listener = {
      topologyCommitted: () => {},
      publishGateChanged: () => {},
      gone: (kind, name, text) => {
        for (const one of connections) if ((kind === 'user' ? one.username : one.vhost) === name) one.close(text)
      },
    }
    for (const tag of tags) harness.user(tag, tag === 'nobody' ? [] : [tag])
    return harness
  }

  user(
    name: string,
    userTags: readonly string[],
    patterns: Partial<Record<'configure' | 'write' | 'read', string>> = {},
  ): void {
    this.broker.topology.putUser(name, 'plain$secret', userTags)
    this.broker.broker.putPermission(name, '/', { configure: '.*', write: '.*', read: '.*', ...patterns })
  }

  async send(method: string, path: string, sent: Sent = {}): Promise<Got> {
    const { user = 'administrator', password = 'secret', body, raw, headers = {}, remoteAddress = '127.0.0.1' } = sent
    const login = Buffer.from(`${user}:${password}`).toString('base64')
    const content = raw ?? (body === undefined ? null : JSON.stringify(body))
    const request = new Request('http://localhost/api', {
      method,
      headers: { ...(user === null ? {} : { authorization: `Basic ${login}` }), ...headers },
      ...(content === null ? {} : { body: content, duplex: 'half' }),
    } as RequestInit)
    const response = await this.#handler.fetch(request, { target: path, remoteAddress })
    const text = isEvents(response) ? await firstEvent(response) : await response.text()
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: isJson(response) && text !== '' ? JSON.parse(text) : null,
    }
  }

  /** It has to succeed; what it answers. */
  async json(method: string, path: string, body?: unknown): Promise<unknown> {
    const got = await this.send(method, path, body === undefined ? {} : { body })
    assert(got.status < 300, `${method} ${path}: ${got.status} ${got.text}`)
    return got.json
  }

  /** It has to be refused; how. */
  async refusal(
    method: string,
    path: string,
    sent: Sent = {},
  ): Promise<[status: number, error: unknown, reason: unknown]> {
    const got = await this.send(method, path, sent)
    assert(got.json !== null, `${method} ${path}: ${got.status}, no refusal`)
    const { error, reason } = got.json as { error: unknown; reason: unknown }
    return [got.status, error, reason]
  }
}

function isEvents({ headers }: Response): boolean {
  return headers.get('content-type') === 'text/event-stream'
}

/** Of a stream that has no end. */
async function firstEvent({ body }: Response): Promise<string> {
  const reader = body?.getReader()
  const first = await reader?.read()
  void reader?.cancel()
  return new TextDecoder().decode(first?.value)
}

function isJson({ headers }: Response): boolean {
  return headers.get('content-type') === 'application/json'
}

const quietProcess: ProcessFacts = {
  id: 1,
  startedAtSeconds: 0,
  now: () => ({
    processors: 1,
    residentBytes: 1,
    heapUsedBytes: 1,
    heapTotalBytes: 1,
    externalBytes: 1,
    userSeconds: 1,
    systemSeconds: 1,
    loopDelaySeconds: { median: 0, p99: 0, max: 0 },
    loopBusySeconds: 1,
    collections: new Map([['minor', { count: 1, seconds: 1 }]]),
  }),
  resetDelays: () => {},
  descriptors: () => Promise.resolve({ open: 1, max: 2 }),
  stop: () => {},
}

const noTotals = {
  connectionsOpened: 0,
  connectionsClosed: 0,
  channelsOpened: 0,
  channelsClosed: 0,
  bytesRead: 0,
  bytesWritten: 0,
}

export const tags = ['administrator', 'monitoring', 'policymaker', 'management', 'nobody'] as const
export type Tag = (typeof tags)[number]

/** Everything is stored at once. */
class ConfirmingShard extends NotedShard {
  override publish(...args: Parameters<NotedShard['publish']>): void {
    super.publish(...args)
    args[3]?.confirm(args[4])
  }
}
