/**
 * What all nodes of a cluster know of logins to the dashboard: the keys that cookies are sealed with, one of each node and
 * made anew when it starts, and which logins were ended before their time. Nothing of it is stored: when no node is left
 * that knows a key, the cookies under it are worth nothing.
 */
import { hkdfSync } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'

/** Keys that are known at one time; with one more the oldest of others goes, and what it has sealed ends. */
export const sealKeysMax = 64
/** Logins that were ended and might still be shown; with one more all that began when the oldest of them did, or before, are ended. */
export const endedLoginsMax = 10_000

/** In bytes. */
export const keyIdBytes = 8
export const seedBytes = 32
export const loginIdBytes = 16

export interface SealKey {
  /** Stands in front of what is sealed; no secret. */
  readonly id: Uint8Array
  /** What the key is made of, together with the secret of the cluster. */
  readonly seed: Uint8Array
  /** Wall time in milliseconds. */
  readonly madeAt: number
  readonly key: Uint8Array
}

export interface EndedLogin {
  readonly id: Uint8Array
  /** When it could no longer be used anyway, wall time in milliseconds. */
  readonly until: number
  /** Wall time in milliseconds. */
  readonly begunAt: number
}

export interface LedgerListener {
  keyLearned(key: SealKey): void
  loginEnded(login: EndedLogin): void
}

export interface LoginLedgerParts {
  readonly clock: Clock
  readonly random: Random
  /** What all nodes of the cluster know; empty for a node on its own. */
  readonly secret: string
}

export class LoginLedger {
  readonly own: SealKey
  readonly #clock: Clock
  readonly #secret: string
  /** By id in hexadecimal digits. */
  readonly #keys = new Map<string, SealKey>()
  /** By id in hexadecimal digits; what was ended last is the last one. */
  readonly #ended = new Map<string, EndedLogin>()
  /** What began at this time or before is ended; wall time in milliseconds. */
  #endedUntil = 0
  #listener: LedgerListener | null = null

  constructor({ clock, random, secret }: LoginLedgerParts) {
    this.#clock = clock
    this.#secret = secret
    this.own = this.#made(random.bytes(keyIdBytes), random.bytes(seedBytes), clock.now())
    this.#keys.set(hex(this.own.id), this.own)
  }

  get keys(): Iterable<SealKey> {
    return this.#keys.values()
  }

  get ended(): Iterable<EndedLogin> {
    return this.#ended.values()
  }

  get endedUntil(): number {
    return this.#endedUntil
  }

  /** Who is told what was not known here. */
  hear(listener: LedgerListener): void {
    this.#listener = listener
  }

  /** Null: nobody knows it, or not any more. */
  key(id: Uint8Array): SealKey | null {
    return this.#keys.get(hex(id)) ?? null
  }

  learnKey(id: Uint8Array, seed: Uint8Array, madeAt: number): void {
    const known = hex(id)
    if (this.#keys.has(known)) return
    const key = this.#made(id, seed, madeAt)
    this.#keys.set(known, key)
    if (this.#keys.size > sealKeysMax) this.#dropOldestKey()
    if (this.#keys.has(known)) this.#listener?.keyLearned(key)
  }

  end(login: EndedLogin): void {
    const id = hex(login.id)
    if (this.#ended.has(id) || this.isEnded(login)) return
    this.#ended.set(id, login)
    if (this.#ended.size > endedLoginsMax) this.#makeRoom()
    this.#listener?.loginEnded(login)
  }

  endUntil(time: number): void {
    this.#endedUntil = Math.max(this.#endedUntil, time)
  }

  isEnded({ id, begunAt }: Pick<EndedLogin, 'id' | 'begunAt'>): boolean {
    return begunAt <= this.#endedUntil || this.#ended.has(hex(id))
  }

  #made(id: Uint8Array, seed: Uint8Array, madeAt: number): SealKey {
    const key = new Uint8Array(hkdfSync('sha256', this.#secret, seed, 'warren dashboard login 1', 32))
    return { id, seed, madeAt, key }
  }

  #dropOldestKey(): void {
    const others = [...this.#keys].filter(([, key]) => key !== this.own)
    const [oldest] = others.reduce((one, other) => (other[1].madeAt < one[1].madeAt ? other : one))
    this.#keys.delete(oldest)
  }

  /** What could not be used any more anyway goes first. What is forgotten then takes with it what is as old: nothing that was ended comes back. */
  #makeRoom(): void {
    const now = this.#clock.now()
    for (const [id, { until }] of this.#ended) if (until < now) this.#ended.delete(id)
    if (this.#ended.size <= endedLoginsMax) return
    const oldest = [...this.#ended.values()].reduce((one, other) => (other.begunAt < one.begunAt ? other : one))
    this.endUntil(oldest.begunAt)
    for (const [id, login] of this.#ended) if (login.begunAt <= this.#endedUntil) this.#ended.delete(id)
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
