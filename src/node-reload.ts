/**
 * Reading the configuration of a running node again: what can be changed while it runs is, the rest is named. All or
 * nothing: whatever can fail is tried first, and when it fails, all is as before.
 */
import type { Logger } from './base/logger.ts'
import type { Certificates } from './certificates.ts'
import { type Config, ConfigError, type LoadedConfig, optionKey } from './config.ts'
import type { NodePorts } from './listeners.ts'
import { ReloadRefused, type ReloadReport } from './management/reload.ts'
import { StartError } from './start-error.ts'

/** Where the configuration comes from, for those who can read it again. */
export interface Configuration {
  /** Rejects with a `ConfigError`. */
  read(): Promise<LoadedConfig>
  /** What is outside of the node: levels and files of the log. Throws a sentence when it cannot be; then nothing has changed. */
  use(config: Config): void
}

export interface NodeReloadParts {
  /** The one that counts now. */
  readonly config: Config
  readonly configuration: Configuration | null
  readonly ports: NodePorts
  readonly certificates: Certificates
  readonly logger: Logger
  /** Limits, watermarks: what cannot fail. */
  adopt(config: Config): void
}

/** What counts at once, or for connections that come from then on. */
const liveFields = [
  'port',
  'httpPort',
  'prometheusPort',
  'tlsPort',
  'httpsPort',
  'tlsCertificate',
  'tlsKey',
  'tlsAuthority',
  'tlsVerify',
  'tlsMinVersion',
  'httpOrigins',
  'logLevel',
  'logLevels',
  'auditLog',
  'auditedChanges',
  'memoryWatermark',
  'webhookAllow',
  'diskFreeBytesMin',
  'failuresPerAddressMax',
  'failuresPerUserMax',
  'connectionsMax',
  'unauthenticatedMax',
  'unauthenticatedPerAddressMax',
  'handshakeMsMax',
  'loginBytesMax',
  'failedLoginDelayMs',
  'closeMsMax',
  'frameBytesMax',
  'channelsMax',
  'heartbeatMs',
  'messageBytesMax',
  'consumersPerChannelMax',
  'unackedPerChannelMax',
  'unconfirmedPerChannelMax',
  'transactionBytesMax',
  'transactionEntriesMax',
  'parkedBytesMax',
  'heldRepliesMax',
  'deliveryBytesMax',
  'outputBytesMax',
  'returnedBytesMax',
] as const satisfies readonly (keyof Config)[]

export class NodeReload {
  readonly #parts: NodeReloadParts
  #config: Config
  /** One after the other. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: NodeReloadParts) {
    this.#parts = parts
    this.#config = parts.config
  }

  readonly reload = (): Promise<ReloadReport> => {
    const next = this.#last.then(() => this.#reload())
    this.#last = next.catch(() => {})
    return next
  }

  async #reload(): Promise<ReloadReport> {
    const { configuration, logger } = this.#parts
    if (configuration === null) throw new ReloadRefused(['this node was started without a configuration to read again'])
    try {
      const { config: read, warnings } = await configuration.read()
      const next = merged(this.#config, read)
      await this.#use(next, configuration)
      const report = { changed: differing(this.#config, next), needsRestart: differing(next, read), warnings }
      this.#config = next
      logger.info({ ...report }, 'the configuration was read again')
      return report
    } catch (error) {
      const problems = problemsOf(error)
      logger.error({ problems }, 'the configuration was read again and is not used: all is as before')
      throw new ReloadRefused(problems)
    }
  }

  async #use(next: Config, configuration: Configuration): Promise<void> {
    const { ports, certificates, adopt } = this.#parts
    const useCertificates = await certificates.prepare(next)
    const change = await ports.prepare(next)
    try {
      configuration.use(next)
    } catch (error) {
      change.undo()
      throw error
    }
    useCertificates()
    change.keep()
    adopt(next)
  }
}

/** What cannot be changed stays as it is. */
function merged(now: Config, read: Config): Config {
  const changes = Object.fromEntries(liveFields.map((field) => [field, read[field]]))
  return Object.freeze({ ...now, ...changes })
}

/** Keys of the options that are not the same. */
function differing(before: Config, after: Config): string[] {
  const fields = Object.keys(before) as (keyof Config)[]
  return fields.filter((field) => before[field] !== after[field]).map(optionKey)
}

function problemsOf(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.problems
  if (error instanceof StartError) return [error.message]
  return [error instanceof Error ? error.message : String(error)]
}
