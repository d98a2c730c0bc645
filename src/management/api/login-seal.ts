/**
 * What a cookie holds: a login, sealed (AES-256-GCM), so that nobody reads or changes it and each node of the cluster can
 * open it.
 *
 *     version u8 | key id, 8 bytes | nonce, 12 bytes | the login as JSON, encrypted | tag, 16 bytes          in base64url
 *
 * The tag is over version and key id too. There is no password in it; what is kept of one is known by a digest of that.
 */
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import type { Random } from '../../base/random.ts'
import { keyIdBytes, type LoginLedger, loginIdBytes, type SealKey } from '../../broker/access/login-ledger.ts'

/** What was sealed. */
export interface SealedLogin {
  /** In base64url. */
  readonly id: string
  readonly username: string
  /** Of the user when it began; null: a token was shown. */
  readonly user: { readonly id: number; readonly mark: string } | null
  /** Scopes of the token that was shown, and when it ends, wall time in milliseconds; null: it was none. */
  readonly token: { readonly scopes: readonly string[]; readonly expiresAt: number } | null
  /** Wall time in milliseconds: of the login, and of this seal. */
  readonly begunAt: number
  readonly usedAt: number
  /** It was shown on this machine, or over TLS. */
  readonly isLoopback: boolean
  readonly isSecure: boolean
}

const version = 1
const nonceBytes = 12
const tagBytes = 16
const headBytes = 1 + keyIdBytes + nonceBytes
const algorithm = 'aes-256-gcm'
/** Browsers keep a cookie of 4 KiB, name and attributes with it. */
export const sealedLengthMax = 3_800

export class LoginSeal {
  readonly #ledger: LoginLedger
  readonly #random: Random

  constructor(ledger: LoginLedger, random: Random) {
    this.#ledger = ledger
    this.#random = random
  }

  /** Null: it does not fit in a cookie. */
  seal(login: SealedLogin): string | null {
    const { id, key } = this.#ledger.own
    const nonce = this.#random.bytes(nonceBytes)
    const cipher = createCipheriv(algorithm, key, nonce)
    cipher.setAAD(aadOf(id))
    const parts = [aadOf(id), nonce, cipher.update(JSON.stringify(login), 'utf8'), cipher.final(), cipher.getAuthTag()]
    const sealed = Buffer.concat(parts).toString('base64url')
    return sealed.length <= sealedLengthMax ? sealed : null
  }

  /** Null: no node of ours has sealed it, or nobody knows that key any more. */
  open(sealed: string): SealedLogin | null {
    if (sealed.length > sealedLengthMax) return null
    const bytes = Buffer.from(sealed, 'base64url')
    if (bytes.length < headBytes + tagBytes || bytes[0] !== version) return null
    const key = this.#ledger.key(bytes.subarray(1, 1 + keyIdBytes))
    if (key === null) return null
    const text = opened(bytes, key)
    return text === null ? null : (JSON.parse(text) as SealedLogin) // sealed by us
  }
}

/** By which a change of what is kept of a password is noticed. */
export function markOf(passwordHash: string): string {
  return createHash('sha256').update(passwordHash).digest('base64url')
}

/** A login of this id, as the ledger knows it. */
export function loginIdOf({ id }: Pick<SealedLogin, 'id'>): Uint8Array {
  return new Uint8Array(Buffer.from(id, 'base64url'))
}

export function newLoginId(random: Random): string {
  return Buffer.from(random.bytes(loginIdBytes)).toString('base64url')
}

function aadOf(keyId: Uint8Array): Uint8Array {
  return Uint8Array.of(version, ...keyId)
}

/** The tag is compared in constant time, by OpenSSL. */
function opened(bytes: Buffer, { id, key }: SealKey): string | null {
  const tagAt = bytes.length - tagBytes
  const decipher = createDecipheriv(algorithm, key, bytes.subarray(1 + keyIdBytes, headBytes), {
    authTagLength: tagBytes,
  })
  decipher.setAAD(aadOf(id))
  decipher.setAuthTag(bytes.subarray(tagAt))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(headBytes, tagAt)), decipher.final()]).toString('utf8')
  } catch {
    // It was not sealed with this key, or was changed.
    return null
  }
}
