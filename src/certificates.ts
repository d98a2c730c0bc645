/**
 * The certificates that clients are shown: read from their files, checked, and read again when the files change. Whatever
 * is wrong with new ones, the old ones go on: connections come in as before, and the log says so.
 */
import type { Clock, Timer } from './base/clock.ts'
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import { readText } from './base/read-text.ts'
import { checkTlsSettings, type TlsServerSettings, validUntil } from './base/tls-acceptor.ts'
import type { Config } from './config.ts'
import { errorName, StartError } from './start-error.ts'

export interface CertificatesParts {
  readonly clock: Clock
  readonly files: Files
  readonly logger: Logger
}

/** How often the files are looked at, in milliseconds. */
export const certificateCheckMs = 2_000
/** Of one file, in bytes. */
const fileBytesMax = 1024 * 1024

export class Certificates {
  readonly #parts: CertificatesParts
  #config: Config
  #settings: TlsServerSettings | null
  #lastProblem = ''
  #timer: Timer | null = null
  #isStopped = false
  #hear: (settings: TlsServerSettings) => void = () => {}

  private constructor(parts: CertificatesParts, config: Config, settings: TlsServerSettings | null) {
    this.#parts = parts
    this.#config = config
    this.#settings = settings
    this.#watch()
  }

  /** Rejects with a `StartError` when a port needs a certificate and the files give none. */
  static async open(config: Config, parts: CertificatesParts): Promise<Certificates> {
    return new Certificates(parts, config, await readSettings(config, parts.files))
  }

  /** Null: there is no port that needs them. */
  get settings(): TlsServerSettings | null {
    return this.#settings
  }

  /** For a port of this configuration, which need not be the one that is used yet. Rejects as `open` does. */
  async settingsFor(config: Config): Promise<TlsServerSettings> {
    if (config === this.#config && this.#settings !== null) return this.#settings
    const settings = await readSettings(config, this.#parts.files)
    if (settings === null) throw new StartError('options', 'a port for TLS needs tls-cert and tls-key')
    return settings
  }

  /** Until when the certificate is valid, wall time in milliseconds; null without one. */
  get validUntil(): number | null {
    return this.#settings === null ? null : validUntil(this.#settings)
  }

  /** Who wants to know of others. One listener. */
  set changed(hear: (settings: TlsServerSettings) => void) {
    this.#hear = hear
  }

  /** What a new configuration names. Nothing is changed yet; rejects as `open` does. */
  async prepare(config: Config): Promise<() => void> {
    const settings = await readSettings(config, this.#parts.files)
    return () => {
      this.#config = config
      this.#adopt(settings)
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  #adopt(settings: TlsServerSettings | null): void {
    const isOther = JSON.stringify(settings) !== JSON.stringify(this.#settings)
    this.#settings = settings
    this.#lastProblem = ''
    if (settings === null || !isOther) return
    this.#parts.logger.info({ validUntil: new Date(validUntil(settings)).toISOString() }, 'the TLS certificate is new')
    this.#hear(settings)
  }

  #watch(): void {
    if (this.#isStopped) return
    this.#timer = this.#parts.clock.after(certificateCheckMs, () => void this.#look().then(() => this.#watch()))
  }

  async #look(): Promise<void> {
    const config = this.#config
    try {
      const settings = await readSettings(config, this.#parts.files)
      if (config === this.#config && !this.#isStopped) this.#adopt(settings)
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      // Once for each: the files stay as they are until somebody mends them.
      if (problem !== this.#lastProblem) this.#parts.logger.error({}, `the old TLS certificate stays: ${problem}`)
      this.#lastProblem = problem
    }
  }
}

async function readSettings(config: Config, files: Files): Promise<TlsServerSettings | null> {
  const { tlsPort, httpsPort, tlsCertificate, tlsKey, tlsAuthority, tlsVerify, tlsMinVersion } = config
  if (tlsPort === 'none' && httpsPort === 'none') return null
  const settings: TlsServerSettings = {
    cert: await pem(files, 'tls-cert', tlsCertificate),
    key: await pem(files, 'tls-key', tlsKey),
    ca: tlsAuthority === 'none' ? null : await pem(files, 'tls-ca', tlsAuthority),
    verify: tlsVerify,
    minVersion: `TLSv${tlsMinVersion}`,
  }
  try {
    checkTlsSettings(settings)
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    const mend = 'give PEM files in tls-cert and tls-key that belong together, and certificates in tls-ca'
    throw new StartError('options', `TLS cannot be used (${what}); ${mend}`, error)
  }
  return settings
}

async function pem(files: Files, key: string, path: string): Promise<string> {
  try {
    return await readText(files, path, fileBytesMax)
  } catch (error) {
    const mend = 'give the path of a PEM file that this user may read'
    throw new StartError('options', `${key} = "${path}" cannot be read (${errorName(error)}); ${mend}`, error)
  }
}
