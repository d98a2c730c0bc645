import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { isLoopbackAddress } from '../../base/network.ts'
import type { Random } from '../../base/random.ts'
import type { LoginOrigin, LoginProof, Principal } from '../commands.ts'
import type { Topology } from '../topology/topology.ts'
import { LoginAttempts } from './login-attempts.ts'
import { LoginThrottle, type ThrottleLimits } from './login-throttle.ts'
import { Logins } from './logins.ts'
import { hashPassword, isWeak, type PasswordVerifier } from './password-hash.ts'
import { looksLikeToken, type TokenRefused, type TokenVerifier, type VerifiedToken } from './tokens.ts'
import type { User } from './user.ts'

type Done = (principal: Principal | null) => void

/**
 * Where everybody logs in, whatever they come by and whatever they prove themselves with: one place that slows down those
 * who guess, looks at the proof, and writes down who came in and who did not.
 */
export class LoginDesk {
  readonly #parts: LoginDeskParts
  readonly #logins: Logins
  readonly #loopbackUsers: ReadonlySet<string>
  readonly #throttle: LoginThrottle
  readonly attempts = new LoginAttempts()

  constructor(parts: LoginDeskParts) {
    this.#parts = parts
    this.#logins = new Logins(parts)
    this.#loopbackUsers = new Set(parts.loopbackUsers)
    this.#throttle = new LoginThrottle(parts.clock, parts.throttle)
  }

  get throttle(): LoginThrottle {
    return this.#throttle
  }

  /** As `BrokerCommands.login`. */
  login(proof: LoginProof, origin: LoginOrigin, done: Done): void {
    const named = proof.kind === 'token' ? null : proof.username
    const halt = this.#throttle.refusal(origin.address, named)
    if (halt !== null) {
      this.attempts.failed(origin)
      this.#refused(named, proof, origin, halt)
      this.#parts.clock.soon(() => done(null))
      return
    }
    this.#check(proof, origin, (outcome) => {
      if ('principal' in outcome) {
        const { principal } = outcome
        this.attempts.succeeded(origin)
        const wasKnown = this.#throttle.succeeded(origin.address, principal.username)
        // Each request by HTTP is a login; the first of a user from an address is the one that tells something.
        const level = wasKnown && origin.via === 'http' ? 'debug' : 'info'
        this.#parts.audit[level]({ ...shown(origin, proof), user: principal.username }, 'login')
        done(principal)
        return
      }
      this.attempts.failed(origin)
      this.#refused(named, proof, origin, outcome.refused)
      // Else who comes again and again while keys cannot be had would be kept out when they are there.
      const delayMs = outcome.isUndecided === true ? 0 : this.#throttle.failed(origin.address, named)
      if (delayMs === 0) done(null)
      else this.#parts.clock.after(delayMs, () => done(null))
    })
  }

  /** As `BrokerCommands.renewLogin`. */
  renew(current: Principal, secret: string, origin: LoginOrigin, done: Done): void {
    if (current.token === undefined) return this.#parts.clock.soon(() => done(current))
    const proof: LoginProof = { kind: 'token', token: secret }
    this.#verifyToken(secret, (outcome) => {
      const isSame = 'principal' in outcome && outcome.principal.username === current.username
      if (isSame) this.#parts.audit.info({ ...shown(origin, proof), user: current.username }, 'login renewed')
      else this.#refused(current.username, proof, origin, 'refused' in outcome ? outcome.refused : 'another user')
      done(isSame ? outcome.principal : null)
    })
  }

  #refused(username: string | null, proof: LoginProof, origin: LoginOrigin, reason: string): void {
    this.#parts.audit.warn({ ...shown(origin, proof), user: username, reason }, 'login refused')
  }

  #check(proof: LoginProof, origin: LoginOrigin, done: (outcome: Outcome) => void): void {
    const isLoopback = isLoopbackAddress(origin.address)
    switch (proof.kind) {
      case 'password':
        if (this.#parts.tokens !== null && looksLikeToken(proof.password)) this.#verifyToken(proof.password, done)
        else this.checkPassword(proof.username, proof.password, isLoopback, done)
        break
      case 'certificate':
        done(this.#ofCertificate(proof.username, isLoopback))
        break
      case 'token':
        this.#verifyToken(proof.token, done)
        break
    }
  }

  checkPassword(username: string, password: string, isLoopback: boolean, done: (outcome: Outcome) => void): void {
    const { topology } = this.#parts
    const stored = topology.users.get(username)?.passwordHash ?? null
    this.#logins.check(username, stored, password, (fits) => {
      const user = topology.users.get(username)
      // The user may have been deleted or given another password while this one was hashed.
      const isStill = user !== undefined && stored !== null && [user.passwordHash, user.upgradedFrom].includes(stored)
      if (!fits || !isStill) done({ refused: stored === null ? 'unknown user' : 'wrong password' })
      else done(this.#inPlace(user, isLoopback))
      if (fits && isStill && isWeak(user.passwordHash)) void this.#upgrade(user, password)
    })
  }

  #ofCertificate(username: string | null, isLoopback: boolean): Outcome {
    if (username === null) return { refused: 'the certificate has no such name, or several' }
    const user = this.#parts.topology.users.get(username)
    return user === undefined ? { refused: 'unknown user' } : this.#inPlace(user, isLoopback)
  }

  #inPlace({ name, tags }: User, isLoopback: boolean): Outcome {
    if (!isLoopback && this.#loopbackUsers.has(name)) return { refused: 'only from this machine' }
    return { principal: { username: name, tags } }
  }

  #verifyToken(token: string, done: (outcome: Outcome) => void): void {
    const { tokens, clock } = this.#parts
    if (tokens === null) return clock.soon(() => done({ refused: 'tokens are not taken here' }))
    tokens.verify(token, (verified) => done('refused' in verified ? verified : { principal: principalOf(verified) }))
  }

  /** Keeps a stronger hash of a password that has just been shown to be right (RabbitMQ's are imported). */
  async #upgrade(user: User, password: string): Promise<void> {
    const { random, topology, logger, upgrade } = this.#parts
    const stored = user.passwordHash
    if (user.upgradedFrom === stored) return
    user.upgradedFrom = stored // one at a time
    try {
      const passwordHash = await hashPassword(password, random)
      if (topology.users.get(user.name) !== user || user.passwordHash !== stored) return
      await upgrade(user.name, stored, passwordHash)
    } catch (error) {
      logger.warn({ error }, `the password hash of user '${user.name}' could not be made stronger`)
    }
  }
}

export interface LoginDeskParts {
  readonly topology: Topology
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Who came in, who did not. */
  readonly audit: Logger
  readonly verifier: PasswordVerifier
  /** Null: tokens are not taken. */
  readonly tokens: TokenVerifier | null
  readonly throttle: ThrottleLimits
  readonly loopbackUsers: readonly string[]
  /** Stores a stronger hash instead of another. */
  upgrade(username: string, from: string, passwordHash: string): Promise<unknown>
}

/** Why not is for the log only. */
export type Outcome = { readonly principal: Principal } | TokenRefused

function principalOf({ username, tags, rights: token }: VerifiedToken): Principal {
  return { username, tags, token }
}

function shown({ address, via }: LoginOrigin, { kind }: LoginProof): Record<string, string> {
  return { address, via, proof: kind }
}
