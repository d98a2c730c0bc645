import { valueEnd } from './field-table-check.ts'

/**
 * Finds the headers that mean something to a broker in an encoded headers table, in one pass over its keys: no value is
 * decoded and nothing is allocated. One object is used again and again.
 *
 * Of a key that stands there twice the last value counts, as in `field-table.ts`.
 */
export class KnownHeaders {
  /** Those that are there, as bits of `HeaderBits`. */
  found = 0
  /** By the number of the bit: where the value's tag is. Holds for what was found only. */
  readonly #at = new Uint32Array(keys.length)

  /** Looks through the entries `buffer[start..end)`, without their length, which have passed `checkFieldTable`. */
  scan(buffer: Uint8Array, start: number, end: number): void {
    this.found = 0
    let at = start
    while (at < end) {
      const keyBytes = buffer[at] as number
      const valueAt = at + 1 + keyBytes
      if (((lengthBits >>> keyBytes) & 1) !== 0) this.#note(buffer, at + 1, keyBytes, valueAt)
      at = valueEnd(buffer, valueAt)
    }
  }

  /** Where the tag of the value is; -1 when the header is not there. `bit` is one of `HeaderBits`. */
  valueAt(bit: number): number {
    return (this.found & bit) === 0 ? -1 : (this.#at[31 - Math.clz32(bit)] as number)
  }

  #note(buffer: Uint8Array, keyAt: number, keyBytes: number, valueAt: number): void {
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index] as Uint8Array
      if (key.length !== keyBytes || !isSame(key, buffer, keyAt)) continue
      this.found |= 1 << index
      this.#at[index] = valueAt
      return
    }
  }
}

/** Where the tag of the value of any one header is, in entries as `scan` takes them; -1 when it is not there. */
export function findHeader(
  buffer: Uint8Array,
  { start, end }: { start: number; end: number },
  key: Uint8Array,
): number {
  let found = -1
  let at = start
  while (at < end) {
    const valueAt = at + 1 + (buffer[at] as number)
    if (buffer[at] === key.length && isSame(key, buffer, at + 1)) found = valueAt
    at = valueEnd(buffer, valueAt)
  }
  return found
}

/** In the order of the bits. */
const names = [
  'CC',
  'BCC',
  'x-delay',
  'x-deliver-at',
  'x-group',
  'x-deduplication-header',
  'x-delivery-tag',
  'x-lease',
] as const

/** The bit of each known header, by its name. */
export const HeaderBits = Object.fromEntries(names.map((name, index) => [name, 1 << index])) as {
  readonly [Name in (typeof names)[number]]: number
}

const keys = names.map((name) => new TextEncoder().encode(name))

/** A bit for each length that a known key has; all are below 32. A longer key shifts by its length modulo 32. */
const lengthBits = keys.reduce((bits, key) => bits | (1 << key.length), 0)

/** From the end, because the keys differ there. */
function isSame(key: Uint8Array, buffer: Uint8Array, at: number): boolean {
  for (let index = key.length - 1; index >= 0; index--) if (key[index] !== buffer[at + index]) return false
  return true
}
