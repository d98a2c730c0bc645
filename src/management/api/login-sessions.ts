/**
 * Logins of the dashboard, so that the page need not keep a password: a cookie that scripts cannot read (`HttpOnly`) and
 * other sites do not send (`SameSite=Strict`) stands for somebody who has logged in. They are in this node's memory and
 * end with it.
 */
import type { Clock } from '../../base/clock.ts'
import { isLoopbackAddress } from '../../base/network.ts'
import { type Random, randomName } from '../../base/random.ts'
import type { Principal } from '../../broker/commands.ts'
import type { Topology } from '../../broker/topology/topology.ts'

/** Of a node together, and of one user; with one more the one that was not used for the longest time ends. */
export const sessionsMax = 10_000
export const sessionsPerUserMax = 100
/** How long one may stay unused, and how long it may be at all, in milliseconds. */
export const idleMsMax = 30 * 60_000
export const ageMsMax = 8 * 3_600_000
/** Characters of a token: 64 possibilities each, so 192 bits. */
const tokenCharacters = 32

interface LoginSession {
  readonly principal: Principal
  readonly begunAt: number
  usedAt: number
  readonly isLoopback: boolean
  /** Of the user when it began; null: a token was shown, which has an end of its own. */
  readonly user: { readonly id: number; readonly passwordHash: string } | null
}

export interface LoginSessionsParts {
  readonly clock: Clock
  readonly random: Random
  readonly users: Topology['users']
}

export class LoginSessions {
  readonly #parts: LoginSessionsParts
  /** By token; the one that was used last is the last one. */
  readonly #sessions = new Map<string, LoginSession>()

  constructor(parts: LoginSessionsParts) {
    this.#parts = parts
  }

  get count(): number {
    return this.#sessions.size
  }

  /** The token of a new one. */
  begin(principal: Principal, address: string): string {
    const { clock, random, users } = this.#parts
    this.#makeRoom(principal.username)
    const found = principal.token === undefined ? users.get(principal.username) : undefined
    const user = found === undefined ? null : { id: found.id, passwordHash: found.passwordHash }
    const now = clock.monotonic()
    const token = randomName(random, tokenCharacters)
    this.#sessions.set(token, { principal, begunAt: now, usedAt: now, isLoopback: isLoopbackAddress(address), user })
    return token
  }

  /** Who it stands for, with the tags of now; null: nobody, or not any more. */
  use(token: string, address: string): Principal | null {
    const session = this.#sessions.get(token)
    if (session === undefined) return null
    const principal = this.#principalOf(session)
    if (principal === null) {
      this.end(token)
      return null
    }
    // Whoever may come from this machine only has shown that; the cookie is not to be carried elsewhere.
    if (session.isLoopback && !isLoopbackAddress(address)) return null
    session.usedAt = this.#parts.clock.monotonic()
    this.#sessions.delete(token)
    this.#sessions.set(token, session)
    return principal
  }

  end(token: string): void {
    this.#sessions.delete(token)
  }

  /** Null: its time is over, or the user was deleted or has another password. */
  #principalOf({ principal, begunAt, usedAt, user }: LoginSession): Principal | null {
    const { clock, users } = this.#parts
    const now = clock.monotonic()
    if (now - usedAt >= idleMsMax || now - begunAt >= ageMsMax) return null
    if (principal.token !== undefined) return clock.now() < principal.token.expiresAt ? principal : null
    const found = users.get(principal.username)
    if (user === null || found === undefined || found.id !== user.id) return null
    if (found.passwordHash !== user.passwordHash && found.upgradedFrom !== user.passwordHash) return null
    return { username: found.name, tags: found.tags }
  }

  /** What is over goes first. */
  #makeRoom(username: string): void {
    let theirs = 0
    for (const { principal } of this.#sessions.values()) if (principal.username === username) theirs++
    if (this.#sessions.size < sessionsMax && theirs < sessionsPerUserMax) return
    for (const [token, session] of this.#sessions) if (this.#principalOf(session) === null) this.end(token)
    for (const [token, { principal }] of this.#sessions) {
      if (theirs < sessionsPerUserMax && this.#sessions.size < sessionsMax) return
      if (theirs >= sessionsPerUserMax && principal.username !== username) continue
      if (principal.username === username) theirs--
      this.end(token)
    }
  }
}
