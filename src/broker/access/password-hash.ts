import { createHash, scrypt, timingSafeEqual } from 'node:crypto'
import { encodedBytes, encodeText } from '../../amqp/short-string.ts'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { argon2HashBytes, argon2Text, deriveArgon2, hashWithArgon2, readArgon2, supportsArgon2 } from './argon2-hash.ts'

/**
 * Passwords as they are kept: one line of text that names how it was made.
 *
 * ```
 * argon2id$…                                                  ours, where Node has it (`argon2-hash.ts`)
 * scrypt$<log2 N>$<r>$<p>$<salt, base64>$<hash, base64>       ours elsewhere
 * rabbit-sha256$<base64 of 4 bytes salt and the hash>         RabbitMQ's, from imported definitions
 * rabbit-sha512$<the same>
 * rabbit-md5$<the same>
 * ```
 *
 * What is hashed are the password's bytes as they came over the wire, UTF-8 or not.
 */

/** Checks a password against what is kept of it, on another thread. Injected, so that tests need not wait. */
export interface PasswordVerifier {
  /** Calls `done` once, never before it returns. An unreadable hash fits no password. */
  verify(stored: string, password: string, done: (fits: boolean) => void): void
}

/** 32 MiB and some 80 ms: `N` = 2^15, `r` = 8, `p` = 1. */
const cost = { log2N: 15, r: 8, p: 1 }
const saltBytes = 16
const hashBytes = 32
/** What an imported hash may ask for at most, so that a definition file cannot stop the node. */
const log2NMax = 18
const memoryBytesMax = 512 * 1024 * 1024

/**
 * `guest`/`guest` of a first start, ready made: that password is no secret, and a first start need not wait for scrypt.
 */
export const guestPasswordHash = 'scrypt$15$8$1$xCvLDLWilM8PYoRKBxYA8g==$9NWsEqlOLClrLP9y4hP4Vtgxx1SSpRvrM3rbjegNbBw='

/** What the password of an unknown user is compared with: costs as much as any other and fits none. */
export const nobodysPasswordHash = `scrypt$${cost.log2N}$${cost.r}$${cost.p}$${'A'.repeat(22)}==$${'A'.repeat(43)}=`

/** The same for unknown users: made as new passwords are, so that asking for them takes as long. */
export const unknownUserHash = supportsArgon2
  ? argon2Text(Buffer.alloc(saltBytes), Buffer.alloc(argon2HashBytes))
  : nobodysPasswordHash

/** The text to keep of a new password. */
export function hashPassword(password: string, random: Random): Promise<string> {
  const salt = Buffer.from(random.bytes(saltBytes))
  if (supportsArgon2) return hashWithArgon2(bytesOf(password), salt)
  return new Promise((resolve, reject) => {
    derive(password, salt, hashBytes, cost, (error, hash) => {
      if (error !== null) return reject(error)
      const parts = ['scrypt', cost.log2N, cost.r, cost.p, salt.toString('base64'), hash.toString('base64')]
      resolve(parts.join('$'))
    })
  })
}

/** Whether a text is a hash that `verify` can read: said when a user is made, not at the first login. */
export function isPasswordHash(stored: string): boolean {
  return readScrypt(stored) !== null || readArgon2(stored) !== null || readRabbit(stored) !== null
}

/** Whether somebody who has this text finds its password sooner than from one of ours: RabbitMQ hashes once. */
export function isWeak(stored: string): boolean {
  return readRabbit(stored) !== null
}

export type RabbitAlgorithm = keyof typeof rabbitHashBytes

/** The text to keep of a hash as RabbitMQ writes it; null when it is none. */
export function fromRabbitHash(algorithm: RabbitAlgorithm, hash: string): string | null {
  const stored = `rabbit-${algorithm}$${hash}`
  return readRabbit(stored) === null ? null : stored
}

/** A hash as RabbitMQ writes it; null for those it cannot read. */
export function toRabbitHash(stored: string): { algorithm: RabbitAlgorithm; hash: string } | null {
  const read = readRabbit(stored)
  return read === null ? null : { algorithm: read.algorithm, hash: stored.slice(stored.indexOf('$') + 1) }
}

export class ThreadedPasswordVerifier implements PasswordVerifier {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  verify(stored: string, password: string, done: (fits: boolean) => void): void {
    const argon2 = readArgon2(stored)
    if (argon2 !== null) {
      deriveArgon2(bytesOf(password), argon2, (hash) => done(hash !== null && timingSafeEqual(hash, argon2.hash)))
      return
    }
    const ours = readScrypt(stored)
    if (ours === null) {
      const rabbits = readRabbit(stored)
      const fits = rabbits !== null && fitsRabbit(rabbits, password)
      this.#clock.soon(() => done(fits))
      return
    }
    derive(password, ours.salt, ours.hash.length, ours, (error, hash) => {
      done(error === null && timingSafeEqual(hash, ours.hash))
    })
  }
}

interface ScryptCost {
  readonly log2N: number
  readonly r: number
  readonly p: number
}

function derive(
  password: string,
  salt: Buffer,
  length: number,
  { log2N, r, p }: ScryptCost,
  done: (error: Error | null, hash: Buffer) => void,
): void {
  scrypt(bytesOf(password), salt, length, { N: 2 ** log2N, r, p, maxmem: memoryBytesMax }, done)
}

const scryptForm =
  /^scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]{22,88}={0,2})\$([A-Za-z0-9+/]{22,88}={0,2})$/

function readScrypt(stored: string): (ScryptCost & { salt: Buffer; hash: Buffer }) | null {
  const [, log2N, r, p, salt, hash] = scryptForm.exec(stored) ?? []
  if (salt === undefined || hash === undefined) return null
  const read = { log2N: Number(log2N), r: Number(r), p: Number(p) }
  const isSane = read.log2N >= 1 && read.log2N <= log2NMax && read.r >= 1 && read.r <= 16 && read.p >= 1 && read.p <= 16
  return isSane ? { ...read, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') } : null
}

const rabbitForm = /^rabbit-(sha256|sha512|md5)\$([A-Za-z0-9+/]{27,92}={0,2})$/
const rabbitSaltBytes = 4
const rabbitHashBytes = { sha256: 32, sha512: 64, md5: 16 } as const

interface RabbitHash {
  readonly algorithm: RabbitAlgorithm
  readonly salt: Buffer
  readonly hash: Buffer
}

function readRabbit(stored: string): RabbitHash | null {
  const [, name, encoded] = rabbitForm.exec(stored) ?? []
  if (name === undefined || encoded === undefined) return null
  const algorithm = name as RabbitAlgorithm // the form allows no other
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.length !== rabbitSaltBytes + rabbitHashBytes[algorithm]) return null
  return { algorithm, salt: bytes.subarray(0, rabbitSaltBytes), hash: bytes.subarray(rabbitSaltBytes) }
}

function fitsRabbit(stored: RabbitHash, password: string): boolean {
  const hash = createHash(stored.algorithm).update(stored.salt).update(bytesOf(password)).digest()
  return timingSafeEqual(hash, stored.hash)
}

function bytesOf(password: string): Uint8Array {
  const bytes = new Uint8Array(encodedBytes(password))
  encodeText(password, bytes, 0)
  return bytes
}
