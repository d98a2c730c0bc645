import { randomFillSync } from 'node:crypto'

/** Randomness as the program sees it: names, ids and nonces come from here, so that a seed can replay them. */
export interface Random {
  bytes(count: number): Uint8Array
}

export class SystemRandom implements Random {
  bytes(count: number): Uint8Array {
    return randomFillSync(new Uint8Array(count))
  }
}

/** The same bytes for the same seed (mulberry32). For tests and simulation only: it is predictable. */
export class SeededRandom implements Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }

  /** A whole number from 0 to `bound - 1`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound)
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let index = 0; index < count; index++) bytes[index] = this.below(256)
    return bytes
  }
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** `length` characters from the URL-safe base64 alphabet. */
export function randomName(random: Random, length: number): string {
  let name = ''
  for (const byte of random.bytes(length)) name += letters[byte & 63] ?? ''
  return name
}
