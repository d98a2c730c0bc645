import { createHmac } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { type PasswordVerifier, unknownUserHash } from './password-hash.ts'

/**
 * Decides whether a password is a user's, without letting a storm of connections melt the processor or starve the
 * thread pool that also writes the log.
 *
 * - A login that fitted is remembered for a minute, as an HMAC under a key that lives and dies with this process over
 *   name, kept hash and password: nothing in it helps to find a password, and a changed password never fits it.
 * - The same login asked for again while it is being checked waits for that check.
 * - One check runs at a time, a bounded number waits; above that logins fail.
 *
 * An unknown user costs what a wrong password costs. An empty password fails, whoever asks.
 */
export class Logins {
  readonly #clock: Clock
  readonly #verifier: PasswordVerifier
  readonly #key: Uint8Array
  /** Fingerprint of a verified login → when it ends, in the order of ending. */
  readonly #verified = new Map<string, number>()
  readonly #waiting = new Map<string, Check>()
  #isChecking = false

  constructor(parts: { clock: Clock; random: Random; verifier: PasswordVerifier }) {
    this.#clock = parts.clock
    this.#verifier = parts.verifier
    this.#key = parts.random.bytes(32)
  }

  /** `stored` is what is kept of the user's password, null when there is no such user. Calls `done` exactly once. */
  check(username: string, stored: string | null, password: string, done: (fits: boolean) => void): void {
    const fingerprint = this.#fingerprint(username, stored, password)
    if (password === '') done(false)
    else if (this.#isVerified(fingerprint)) done(true)
    else if (this.#wait({ fingerprint, stored, password, callers: [done] })) this.#checkNext()
    else done(false)
  }

  /** False when too many wait already. */
  #wait(check: Check): boolean {
    const same = this.#waiting.get(check.fingerprint)
    if (same === undefined) {
      if (this.#waiting.size >= checksMax) return false
      this.#waiting.set(check.fingerprint, check)
      return true
    }
    if (same.callers.length >= callersMax) return false
    same.callers.push(...check.callers)
    return true
  }

  #checkNext(): void {
    if (this.#isChecking) return
    const [check] = this.#waiting.values()
    if (check === undefined) return
    this.#isChecking = true
    this.#verifier.verify(check.stored ?? unknownUserHash, check.password, (fits) => {
      this.#isChecking = false
      this.#waiting.delete(check.fingerprint)
      const isRight = fits && check.stored !== null
      if (isRight) this.#remember(check.fingerprint)
      this.#checkNext()
      for (const done of check.callers) done(isRight)
    })
  }

  #isVerified(fingerprint: string): boolean {
    const end = this.#verified.get(fingerprint)
    if (end === undefined) return false
    if (this.#clock.monotonic() < end) return true
    this.#verified.delete(fingerprint)
    return false
  }

  #remember(fingerprint: string): void {
    const now = this.#clock.monotonic()
    for (const [oldest, end] of this.#verified) {
      if (end > now && this.#verified.size < verifiedMax) break
      this.#verified.delete(oldest)
    }
    this.#verified.set(fingerprint, now + verifiedMs)
  }

  #fingerprint(username: string, stored: string | null, password: string): string {
    // As JSON, in which no two different triples look alike.
    const login = JSON.stringify([username, stored, password])
    return createHmac('sha256', this.#key).update(login).digest('base64')
  }
}

interface Check {
  readonly fingerprint: string
  readonly stored: string | null
  readonly password: string
  readonly callers: ((fits: boolean) => void)[]
}

/** How long a verified login is remembered, in milliseconds. */
export const verifiedMs = 60_000
/** Verified logins remembered; above it the oldest is forgotten. */
export const verifiedMax = 10_000
/** Different logins that wait for scrypt. At some 80 ms each, more would wait longer than a handshake may take. */
export const checksMax = 100
/** Connections that wait for the same check. */
export const callersMax = 20_000
