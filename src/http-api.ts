/**
 * The HTTP API as a part of a node: what it is told of it. Loaded and made a while after the start, or when the first request
 * comes, so that a start pays nothing for it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { Memory } from './base/memory.ts'
import { type ProcessFacts, SystemProcessFacts } from './base/process-facts.ts'
import type { Random } from './base/random.ts'
import type { RunQueue } from './base/run-queue.ts'
import { LoginLedger } from './broker/access/login-ledger.ts'
import type { Broker } from './broker/broker.ts'
import type { ConnectionDirectory } from './broker/connection-directory.ts'
import type { Config } from './config.ts'
import type { OwnAnswers } from './management/api/all-nodes/answers.ts'
import type { ApiHandler } from './management/api/api.ts'
import { EarlyLoading } from './management/api/early-loading.ts'
import type { ApiParts, ListenerFacts, TraceCounts } from './management/api/route.ts'
import type { BackupNode } from './management/backup.ts'
import type { ClusterFacts } from './management/cluster-facts.ts'
import { nodeNameAlone } from './management/cluster-name.ts'
import type { MetricsPath } from './management/metrics/metrics.ts'
import type { ReloadNode } from './management/reload.ts'
import { Sampler } from './management/statistics/sampler.ts'
import type { WebhookFacts } from './management/webhooks.ts'
import { version } from './version.ts'

export interface ApiNode {
  readonly broker: Broker
  readonly connections: ConnectionDirectory
  /** The one that counts now. */
  readonly config: () => Config
  readonly clock: Clock
  readonly random: Random
  readonly memory: Memory
  readonly files: Files
  readonly logger: Logger
  readonly runQueue: RunQueue
  /** As URLs; looked at when somebody asks. */
  readonly addresses: readonly string[]
  /** Of the TLS certificate, wall time in milliseconds; null without one. */
  readonly certificateValidUntil: () => number | null
  /** Reads the configuration again; left out where nobody can. */
  readonly reload?: ReloadNode
  /** Left out: the node is on its own. */
  readonly cluster?: ClusterFacts
  /** Null: nothing on disk is this node's alone. */
  readonly backup: BackupNode | null
  /** Null: messages are not traced. */
  readonly tracer: TraceCounts | null
  readonly webhooks: WebhookFacts
}

export type AnswerRequest = (incoming: IncomingMessage, outgoing: ServerResponse) => void

export interface HttpApi {
  readonly answer: AnswerRequest
  /** Requests may come: what they need is loaded soon, a piece at a time. */
  loadSoon(): void
  /** A page for Prometheus, for whoever may see it. */
  metrics(path: MetricsPath, query: URLSearchParams): Promise<AsyncIterable<string>>
  /** Ends what goes on without requests. */
  stop(): void
}

export function httpApi(node: ApiNode): HttpApi {
  const { broker, connections, clock, runQueue, memory } = node
  const logger = logOf(node.logger, 'http')
  const process = new SystemProcessFacts()
  const memoryBytes = (): number => memory.usedBytes()
  const sampler = new Sampler({ broker, connections, clock, runQueue, memoryBytes, logger })
  sampler.start()
  const parts = partsOf(node, sampler, process)
  let answers: Promise<OwnAnswers> | null = null
  node.cluster?.answers(async (question) => {
    answers ??= import('./management/api/all-nodes/answers.ts').then((made) => new made.OwnAnswers(parts))
    return await (await answers).answer(question)
  })
  let handler: Promise<ApiHandler> | null = null
  const load = async (): Promise<ApiHandler> => {
    const { createApi } = await import('./management/api/api.ts')
    return await createApi(parts)
  }
  const made = (): Promise<ApiHandler> => {
    handler ??= load()
    return handler
  }
  const early = new EarlyLoading(clock)
  const loadSoon = (): void => early.begin([() => import('./management/api/api.ts'), made])
  const answer: AnswerRequest = (incoming, outgoing) => {
    made()
      .then((one) => one.handle(incoming, outgoing))
      .catch((error: unknown) => {
        logger.error({ error }, 'a request of the HTTP API could not be answered')
        outgoing.destroy()
      })
  }
  const metrics: HttpApi['metrics'] = async (path, query) => {
    const { metricsText } = await import('./management/metrics/metrics.ts')
    return await metricsText(parts, path, query)
  }
  const stop = (): void => {
    early.stop()
    sampler.stop()
    process.stop()
  }
  return { answer, loadSoon, metrics, stop }
}

function partsOf(node: ApiNode, sampler: Sampler, process: ProcessFacts): ApiParts {
  const { broker, connections, clock, random, memory, files, logger, runQueue, addresses } = node
  return {
    cluster: node.cluster ?? null,
    loginLedger: node.cluster?.loginLedger ?? new LoginLedger({ clock, random, secret: '' }),
    broker,
    connections,
    clock,
    random,
    logger: logOf(logger, 'http'),
    audit: logOf(logger, 'audit'),
    runQueue,
    userFrom: node.config().tlsUserFrom,
    origins: () => node.config().httpOrigins,
    sampler,
    names: { rabbitVersion: node.config().toldVersion, productVersion: version },
    node: {
      name: node.cluster === undefined ? nodeNameAlone : `warren@${node.cluster.node}`,
      startedAt: clock.now(),
      listeners: () => addresses.map(listenerOf),
      get memoryBytesMax() {
        return Math.floor(memory.limitBytes * node.config().memoryWatermark)
      },
      memoryBytes: () => memory.usedBytes(),
      get diskFreeBytesMin() {
        return node.config().diskFreeBytesMin
      },
      get connectionsMax() {
        return node.config().connectionsMax
      },
      get messageBytesMax() {
        return node.config().messageBytesMax
      },
      certificateValidUntil: node.certificateValidUntil,
      processId: process.id,
    },
    reload: node.reload ?? null,
    backup: node.backup,
    tracer: node.tracer,
    webhooks: node.webhooks,
    machine: { process, io: files.io ?? null, diskFreeBytes: () => files.freeBytes(node.config().dataDirectory) },
  }
}

/** As RabbitMQ calls what is listened to. */
const rabbitNames: Readonly<Record<string, string>> = { amqps: 'amqp/ssl' }

function listenerOf(address: string): ListenerFacts {
  const [, protocol = '', host = '', port = '0'] = /^(\w+):\/\/(.*):(\d+)$/.exec(address) ?? []
  return { protocol: rabbitNames[protocol] ?? protocol, host: host.replaceAll(/[[\]]/g, ''), port: Number(port) }
}
