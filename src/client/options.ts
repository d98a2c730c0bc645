import type { Logger } from '../base/logger.ts'
import type { Backoff } from './backoff.ts'
import { badOption } from './errors.ts'
import type { Hooks } from './hooks.ts'

/** All optional. Times are milliseconds, sizes bytes. */
export interface ClientOptions {
  /** Shown by the broker for each connection. */
  readonly name?: string
  /** For one attempt to connect and log in. */
  readonly connectTimeoutMs?: number
  /** How often `connect` goes through all URLs before it rejects; `Infinity` waits for a broker to come. */
  readonly connectRounds?: number
  /** From `send` to the broker's confirm, over reconnects. The message may have been stored all the same. */
  readonly confirmTimeoutMs?: number
  /** For declarations, bindings, `get` and the like. */
  readonly operationTimeoutMs?: number
  /** Asked of the broker; 0 is none. A silent broker is given up after twice that. */
  readonly heartbeatSeconds?: number
  readonly reconnect?: Partial<Backoff>
  /** What is on its way and not confirmed; further sends wait. */
  readonly unconfirmedMax?: number
  readonly unconfirmedBytesMax?: number
  /** Sends that wait because of it, or because the broker is away; further ones reject. */
  readonly waitingMax?: number
  readonly waitingBytesMax?: number
  /** Channels for declarations, `get` and the like; further operations wait. Consumers have one each besides. */
  readonly channelsMax?: number
  /** The largest body a compressed message may become. */
  readonly decompressedBytesMax?: number
  /** Gets what happens to connections, never single messages. */
  readonly logger?: Logger
  readonly hooks?: Hooks
}

export interface Settings {
  readonly name: string
  readonly connectTimeoutMs: number
  readonly connectRounds: number
  readonly confirmTimeoutMs: number
  readonly operationTimeoutMs: number
  readonly heartbeatSeconds: number
  readonly reconnect: Backoff
  readonly unconfirmedMax: number
  readonly unconfirmedBytesMax: number
  readonly waitingMax: number
  readonly waitingBytesMax: number
  readonly channelsMax: number
  readonly decompressedBytesMax: number
}

const defaults = {
  name: 'warrenmq client',
  connectTimeoutMs: 10_000,
  connectRounds: 1,
  confirmTimeoutMs: 30_000,
  operationTimeoutMs: 15_000,
  heartbeatSeconds: 30,
  reconnect: { initialMs: 100, factor: 2, maxMs: 30_000, jitter: 0.5 },
  unconfirmedMax: 2_000,
  unconfirmedBytesMax: 16 * 1024 * 1024,
  waitingMax: 100_000,
  waitingBytesMax: 64 * 1024 * 1024,
  channelsMax: 8,
  decompressedBytesMax: 64 * 1024 * 1024,
} as const satisfies Settings

/** Throws `BAD_OPTION` for what is no positive number. */
export function settingsOf(options: ClientOptions): Settings {
  const settings = {
    ...defaults,
    ...withoutUndefined(options),
    reconnect: { ...defaults.reconnect, ...withoutUndefined(options.reconnect ?? {}) },
  } as Settings
  for (const key of Object.keys(defaults) as (keyof Settings)[]) {
    const value = settings[key]
    const least = key === 'heartbeatSeconds' ? 0 : 1
    if (typeof value === 'number' && !(value >= least)) {
      throw badOption(`The option '${key}' is ${value}.`, `Give a number of at least ${least}, or leave it out.`)
    }
  }
  checkBackoff(settings.reconnect)
  return settings
}

function checkBackoff({ initialMs, factor, maxMs, jitter }: Backoff): void {
  if (initialMs > 0 && factor >= 1 && maxMs >= initialMs && jitter >= 0 && jitter <= 1) return
  const mend = 'Take initialMs > 0, factor >= 1, maxMs >= initialMs and jitter from 0 to 1.'
  throw badOption("The option 'reconnect' makes no sense.", mend)
}

function withoutUndefined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
