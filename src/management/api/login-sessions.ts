/**
 * Logins of the dashboard, so that the page need not keep a password: a cookie that scripts cannot read (`HttpOnly`) and
 * other sites do not send (`SameSite=Strict`) stands for somebody who has logged in.
 *
 * No node keeps a table of them: the cookie itself says who it is, sealed (`login-seal.ts`), so each node of a cluster takes it,
 * also when the one that gave it out is gone. What is asked each time is the user as it is now, and whether it was ended.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import { isLoopbackAddress } from '../../base/network.ts'
import type { Random } from '../../base/random.ts'
import type { EndedLogin, LoginLedger } from '../../broker/access/login-ledger.ts'
import { TokenRights, tagsOf } from '../../broker/access/token-rights.ts'
import type { Principal } from '../../broker/commands.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import { LoginSeal, loginIdOf, markOf, newLoginId, type SealedLogin } from './login-seal.ts'

/** How long one may stay unused, and how long it may be at all, in milliseconds. */
export const idleMsMax = 30 * 60_000
export const ageMsMax = 8 * 3_600_000
/** How old a cookie that is used may be before it is sealed anew, in milliseconds: idle time is exact to this. */
export const renewMs = 60_000
/** How far the clocks of nodes may lie apart, in milliseconds; what was sealed later than that from now counts for nothing. */
export const clockSkewMsMax = 5 * 60_000

export interface LoginSessionsParts {
  readonly clock: Clock
  readonly random: Random
  readonly loginLedger: LoginLedger
  readonly users: Topology['users']
}

/** Where somebody logs in from. */
export interface LoginPlace {
  readonly address: string
  readonly isSecure: boolean
}

/** Somebody whose cookie is in order. */
export interface LoggedIn {
  readonly principal: Principal
  /** What the cookie should hold from now on; null: what it holds. */
  readonly renewed: string | null
  readonly isSecure: boolean
}

export class LoginSessions {
  readonly #parts: LoginSessionsParts
  readonly #seal: LoginSeal

  constructor(parts: LoginSessionsParts) {
    this.#parts = parts
    this.#seal = new LoginSeal(parts.loginLedger, parts.random)
  }

  /** What the cookie of a new one holds; null: there is more in a token than a cookie may have. */
  begin({ username, token: shown }: Principal, { address, isSecure }: LoginPlace): string | null {
    const { clock, random, users } = this.#parts
    const found = shown === undefined ? users.get(username) : undefined
    const user = found === undefined ? null : { id: found.id, mark: markOf(found.passwordHash) }
    const token = shown === undefined ? null : { scopes: shown.scopes, expiresAt: shown.expiresAt }
    const now = clock.now()
    const isLoopback = isLoopbackAddress(address)
    const id = newLoginId(random)
    return this.#seal.seal({ id, username, user, token, begunAt: now, usedAt: now, isLoopback, isSecure })
  }

  /** Who it stands for, with the tags of now; null: nobody, or not any more. */
  use(sealed: string, address: string): LoggedIn | null {
    const login = this.#seal.open(sealed)
    if (login === null || !this.#isInTime(login)) return null
    // Whoever may come from this machine only has shown that; the cookie is not to be carried elsewhere.
    if (login.isLoopback && !isLoopbackAddress(address)) return null
    const { id, begunAt, isSecure } = login
    if (this.#parts.loginLedger.isEnded({ id: loginIdOf({ id }), begunAt })) return null
    const principal = this.#principalOf(login)
    return principal === null ? null : { principal, renewed: this.#renewed(login), isSecure }
  }

  /** Null: there is nothing to end. */
  end(sealed: string): EndedLogin | null {
    const login = this.#seal.open(sealed)
    if (login === null) return null
    const { begunAt } = login
    const ended = { id: loginIdOf(login), begunAt, until: begunAt + ageMsMax + clockSkewMsMax }
    this.#parts.loginLedger.end(ended)
    return ended
  }

  #isInTime({ begunAt, usedAt }: SealedLogin): boolean {
    const now = this.#parts.clock.now()
    return now - usedAt < idleMsMax && now - begunAt < ageMsMax && Math.max(begunAt, usedAt) - now <= clockSkewMsMax
  }

  /** Null: the user was deleted, or has another password. */
  #principalOf({ username, user, token }: SealedLogin): Principal | null {
    const { clock, users } = this.#parts
    if (token !== null) {
      if (clock.now() >= token.expiresAt) return null
      const tags = tagsOf(token.scopes)
      return { username, tags, token: new TokenRights(token.scopes, token.expiresAt) }
    }
    const found = users.get(username)
    if (user === null || found === undefined || found.id !== user.id) return null
    const isSame = isMark(user.mark, found.passwordHash)
    if (!isSame && (found.upgradedFrom === null || !isMark(user.mark, found.upgradedFrom))) return null
    return { username: found.name, tags: found.tags }
  }

  /** A hash that was made stronger meanwhile is the one that counts from now on. */
  #renewed(login: SealedLogin): string | null {
    const { clock, users } = this.#parts
    const now = clock.now()
    if (now - login.usedAt < renewMs) return null
    const found = login.user === null ? undefined : users.get(login.username)
    const user = found === undefined ? login.user : { id: found.id, mark: markOf(found.passwordHash) }
    return this.#seal.seal({ ...login, user, usedAt: now })
  }
}

function isMark(mark: string, passwordHash: string): boolean {
  const [given, expected] = [Buffer.from(mark), Buffer.from(markOf(passwordHash))]
  return given.length === expected.length && timingSafeEqual(given, expected)
}
