/**
 * Tokens of an OAuth 2 server (JWT, RFC 7519), checked here without asking it: signature by one of its keys, issuer,
 * audience, time. On any doubt a token counts for nothing.
 *
 * What a token gives are its scopes, as RabbitMQ's OAuth 2 plug-in reads them (`broker/access/token-rights.ts`): those that
 * begin with the audience and a point.
 *
 * Loads `jose` with the first token.
 */
import type { JWTPayload } from 'jose'
import type { Clock } from '../base/clock.ts'
import { TokenRights, tagsOf } from '../broker/access/token-rights.ts'
import type { TokenRefused, TokenVerifier, VerifiedToken } from '../broker/access/tokens.ts'
import type { GetKey, KeySource } from './key-source.ts'

export interface JwtVerifierOptions {
  readonly issuer: string
  /** Of this broker; also what its scopes begin with. */
  readonly audience: string
  readonly keys: KeySource
  readonly clock: Clock
}

/** Signatures by a private key only: neither `none` nor a secret that both sides know, for which a public key could be taken. */
export const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const
/** Length of a token, in characters. */
export const tokenLengthMax = 16 * 1024
/** Scopes of one token, and characters of one scope. */
export const scopesMax = 256
const scopeLengthMax = 1024
/** Tokens that are checked at one time; a further one is refused. */
const checksMax = 1_000
/** How much the clocks of the two may differ, in seconds. */
export const leewaySeconds = 10
const nameBytesMax = 255

const noKeys: TokenRefused = { refused: 'there are no keys to check tokens with', isUndecided: true }
const tooMany: TokenRefused = { refused: 'too many tokens are being checked', isUndecided: true }

export class JwtVerifier implements TokenVerifier {
  readonly #options: JwtVerifierOptions
  #checks = 0

  constructor(options: JwtVerifierOptions) {
    this.#options = options
  }

  verify(token: string, done: (verified: VerifiedToken | TokenRefused) => void): void {
    const { clock } = this.#options
    if (token.length > tokenLengthMax) return clock.soon(() => done({ refused: 'the token is too long' }))
    if (this.#checks >= checksMax) return clock.soon(() => done(tooMany))
    this.#checks++
    this.#verified(token)
      .catch((error: unknown) => ({ refused: reasonOf(error) }))
      .then((outcome) => {
        this.#checks--
        // Outside of the promise: what `done` throws is not ours to swallow.
        clock.soon(() => done(outcome))
      })
  }

  async #verified(token: string): Promise<VerifiedToken | TokenRefused> {
    const { keys } = this.#options
    const first = await keys.current()
    if (first === null) return noKeys
    try {
      return await this.#checked(token, first)
    } catch (error) {
      // The server may have new keys since.
      const renewed = isUnknownKey(error) ? await keys.renewed() : null
      if (renewed === null) throw error
      return await this.#checked(token, renewed)
    }
  }

  async #checked(token: string, getKey: GetKey): Promise<VerifiedToken | TokenRefused> {
    const { jwtVerify } = await import('jose')
    const { issuer, audience, clock } = this.#options
    const { payload } = await jwtVerify(token, getKey, {
      algorithms: [...algorithms],
      issuer,
      audience,
      clockTolerance: leewaySeconds,
      currentDate: new Date(clock.now()),
      requiredClaims: ['exp', 'iss', 'aud'],
    })
    return this.#read(payload)
  }

  #read(payload: JWTPayload): VerifiedToken | TokenRefused {
    const { exp } = payload
    if (exp === undefined || !Number.isSafeInteger(exp)) return { refused: 'exp is no whole number' }
    const username = payload.sub ?? payload['client_id']
    if (!isUserName(username)) return { refused: 'neither sub nor client_id is the name of a user' }
    const scopes = scopesOf(payload['scope'])
    if (scopes === null) return { refused: `scope is no text, or has more than ${scopesMax} scopes` }
    const prefix = `${this.#options.audience}.`
    const ours = scopes.filter((scope) => scope.startsWith(prefix)).map((scope) => scope.slice(prefix.length))
    return { username, tags: tagsOf(ours), rights: new TokenRights(ours, (exp + leewaySeconds) * 1_000) }
  }
}

function isUserName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= nameBytesMax && !/\p{Cc}/u.test(name)
}

/** A text with spaces between, or a list. Null when it is neither, or too many. */
function scopesOf(scope: unknown): string[] | null {
  const scopes: unknown = typeof scope === 'string' ? scope.split(' ').filter((each) => each !== '') : (scope ?? [])
  if (!Array.isArray(scopes) || scopes.length > scopesMax) return null
  const isGood = scopes.every((each) => typeof each === 'string' && each.length <= scopeLengthMax)
  return isGood ? scopes : null
}

function isUnknownKey(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_JWKS_NO_MATCHING_KEY'
}

/** Jose's texts name the claim and never the token. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'the token could not be checked'
}
