/**
 * Passwords as argon2id (RFC 9106), where Node has it (24.7 and later); before, `supported` is false and its hashes fit no
 * password. The text that is kept:
 *
 * ```
 * argon2id$<memory in KiB>$<passes>$<lanes>$<salt, base64>$<hash, base64>
 * ```
 */
import * as crypto from 'node:crypto'

interface Parameters {
  readonly message: Uint8Array
  readonly nonce: Uint8Array
  readonly parallelism: number
  readonly tagLength: number
  /** KiB. */
  readonly memory: number
  readonly passes: number
}

type Derive = (
  algorithm: 'argon2id',
  parameters: Parameters,
  done: (error: Error | null, hash: Uint8Array) => void,
) => void

/** Not in the types of the oldest Node we run on. */
const derive = (crypto as unknown as { readonly argon2?: Derive }).argon2 ?? null

export const supportsArgon2 = derive !== null

/** 64 MiB and some 80 ms, as our scrypt. */
const cost = { memory: 65_536, passes: 2, parallelism: 1 } as const
export const argon2HashBytes = 32
/** What a stored hash may ask for at most, so that a definition file cannot stop the node. */
const memoryKiBMax = 512 * 1024
const passesMax = 16

export interface Argon2Hash {
  readonly memory: number
  readonly passes: number
  readonly parallelism: number
  readonly salt: Buffer
  readonly hash: Buffer
}

const form = /^argon2id\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]{22,88}={0,2})\$([A-Za-z0-9+/]{22,88}={0,2})$/

/** Null when it is not written so, or asks for more than may be. */
export function readArgon2(stored: string): Argon2Hash | null {
  const [, memory, passes, lanes, salt, hash] = form.exec(stored) ?? []
  if (salt === undefined || hash === undefined) return null
  const read = { memory: Number(memory), passes: Number(passes), parallelism: Number(lanes) }
  const isSane =
    read.parallelism >= 1 &&
    read.parallelism <= 16 &&
    read.memory >= 8 * read.parallelism &&
    read.memory <= memoryKiBMax &&
    read.passes >= 1 &&
    read.passes <= passesMax
  return isSane ? { ...read, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') } : null
}

/** Calls `done` once, later; with null where Node cannot or would not. */
export function deriveArgon2(
  message: Uint8Array,
  { memory, passes, parallelism, salt, hash }: Argon2Hash,
  done: (hash: Uint8Array | null) => void,
): void {
  if (derive === null) {
    void Promise.resolve().then(() => done(null))
    return
  }
  const parameters = { message, nonce: salt, parallelism, tagLength: hash.length, memory, passes }
  derive('argon2id', parameters, (error, derived) => done(error === null ? derived : null))
}

/** The text to keep of a new password. Rejects where Node has no argon2id. */
export function hashWithArgon2(message: Uint8Array, salt: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const wanted = { ...cost, salt, hash: Buffer.alloc(argon2HashBytes) }
    deriveArgon2(message, wanted, (hash) => {
      if (hash === null) reject(new Error('Node could not make an argon2id hash'))
      else resolve(argon2Text(salt, Buffer.from(hash)))
    })
  })
}

export function argon2Text(salt: Buffer, hash: Buffer): string {
  const { memory, passes, parallelism } = cost
  return ['argon2id', memory, passes, parallelism, salt.toString('base64'), hash.toString('base64')].join('$')
}
