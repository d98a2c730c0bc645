import type { TokenRights } from './token-rights.ts'

/** Who checks tokens; `oauth/` has the one there is. */
export interface TokenVerifier {
  /** Calls `done` once, never before it returns. Does not throw. */
  verify(token: string, done: (verified: VerifiedToken | TokenRefused) => void): void
}

export interface VerifiedToken {
  readonly username: string
  readonly tags: readonly string[]
  readonly rights: TokenRights
}

/** Why a token counts for nothing: for the log, never for whoever showed it; holds nothing of the token. */
export interface TokenRefused {
  readonly refused: string
  /** It was not looked at, for want of keys or time: nobody has guessed. */
  readonly isUndecided?: true
}

/** Three parts of base64url with a JSON object in front: what no password should look like. */
export function looksLikeToken(secret: string): boolean {
  return secret.startsWith('eyJ') && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(secret)
}
