import type { Clock } from '../../base/clock.ts'
import { isLoopbackAddress } from '../../base/network.ts'

export interface ThrottleLimits {
  /** Failed logins of one address in a minute; then it is refused until a minute is over. */
  readonly failuresPerAddressMax: number
  /** Failed logins of one user in a minute, from anywhere; then only addresses are let in from which that user has come before. */
  readonly failuresPerUserMax: number
}

/**
 * Makes guessing slow, then impossible for a while: each failed login of an address is answered later than the one
 * before; after too many, no proof is looked at any more. What is counted is forgotten a minute after it began.
 *
 * Nobody can shut a user out: who has logged in from an address before is let in from there, whatever others do, and
 * this machine is only slowed down. The tables are bounded; what is oldest is forgotten first.
 */
export class LoginThrottle {
  limits: ThrottleLimits
  readonly #clock: Clock
  readonly #addresses: Failures
  readonly #users: Failures
  /** Address and user of good logins, in the order of use. */
  readonly #known = new Set<string>()
  refusals = 0
  failures = 0
  /** Answers that were held back. */
  delays = 0

  constructor(clock: Clock, limits: ThrottleLimits) {
    this.#clock = clock
    this.limits = limits
    this.#addresses = new Failures()
    this.#users = new Failures()
  }

  /** Why nobody may log in from there, or as that user; null when they may. For the log. */
  refusal(address: string, username: string | null): string | null {
    if (isLoopbackAddress(address)) return null
    const now = this.#clock.monotonic()
    const { failuresPerAddressMax, failuresPerUserMax } = this.limits
    if (this.#addresses.count(address, now) >= failuresPerAddressMax) {
      this.refusals++
      return `${failuresPerAddressMax} failed logins from this address within a minute`
    }
    if (username === null || this.#users.count(username, now) < failuresPerUserMax) return null
    if (this.#known.has(pairOf(address, username))) return null
    this.refusals++
    return `${failuresPerUserMax} failed logins of this user within a minute`
  }

  /** How long the answer is to be held back, in milliseconds. */
  failed(address: string, username: string | null): number {
    this.failures++
    const now = this.#clock.monotonic()
    const count = this.#addresses.add(address, now)
    if (username !== null) this.#users.add(username, now)
    const over = count - Math.ceil(this.limits.failuresPerAddressMax * atOnceShare)
    if (over <= 0) return 0
    this.delays++
    return Math.min(delayMsMax, delayMsFirst * 2 ** (over - 1))
  }

  /** Whether it has been so before. What was counted of the address is not taken back: others may be behind it. */
  succeeded(address: string, username: string): boolean {
    const pair = pairOf(address, username)
    const wasKnown = this.#known.delete(pair)
    this.#known.add(pair)
    for (const oldest of this.#known) {
      if (this.#known.size <= tableMax) break
      this.#known.delete(oldest)
    }
    return wasKnown
  }

  /** Entries of all tables. */
  get size(): number {
    return this.#addresses.size + this.#users.size + this.#known.size
  }
}

/** Failures in a minute by a key. A minute begins with the first of them. */
class Failures {
  readonly #rows = new Map<string, { count: number; readonly endsAt: number }>()

  get size(): number {
    return this.#rows.size
  }

  count(key: string, now: number): number {
    const row = this.#rows.get(key)
    return row === undefined || row.endsAt <= now ? 0 : row.count
  }

  /** How many there are with this one. */
  add(key: string, now: number): number {
    const row = this.#rows.get(key)
    if (row !== undefined && row.endsAt > now) return ++row.count
    this.#rows.delete(key)
    this.#rows.set(key, { count: 1, endsAt: now + windowMs })
    // In the order in which minutes began, so the first are over first.
    for (const [oldest, { endsAt }] of this.#rows) {
      if (endsAt > now && this.#rows.size <= tableMax) break
      this.#rows.delete(oldest)
    }
    return 1
  }
}

function pairOf(address: string, username: string): string {
  return `${address} ${username}` // no address has a space in it
}

export const throttleDefaults: ThrottleLimits = { failuresPerAddressMax: 20, failuresPerUserMax: 100 }

/** Of the failures an address may have, this share is answered at once; each further one takes twice as long as the one before. */
const atOnceShare = 0.15

const windowMs = 60_000
const delayMsFirst = 250
export const delayMsMax = 4_000
/** Rows of each table. */
export const tableMax = 10_000
