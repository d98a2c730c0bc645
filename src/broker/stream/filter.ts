/**
 * Filters of a stream: the value a publisher gives a message in the header `x-stream-filter-value`, and the values a
 * consumer asks for. Beside each block of messages stands a Bloom filter of its values, so that blocks without any of
 * those asked for are passed over unread; of the others each message is looked at, so a consumer gets exactly what it
 * asked for.
 */
import type { FieldTable } from '../../amqp/field-table.ts'
import { BrokerError } from '../errors.ts'

/** Values in the `x-stream-filter` of one consumer at most. */
export const filterValuesMax = 256

/** Said of a block beside its Bloom filter. */
export const BlockFlag = { hasUnfiltered: 1, hasFiltered: 2 } as const

const probes = 3

/** Two hashes of some bytes, from which all probes are made (FNV-1a, and the same from another start). */
function hashOf(buffer: Uint8Array, start: number, end: number): { first: number; second: number } {
  let first = 0x811c9dc5
  let second = 0x9747b28c
  for (let at = start; at < end; at++) {
    const byte = buffer[at] as number
    first = Math.imul(first ^ byte, 0x01000193)
    second = Math.imul(second ^ byte, 0x01000193) + 0x85ebca6b
  }
  return { first: (first ^ (first >>> 15)) >>> 0, second: ((second ^ (second >>> 13)) | 1) >>> 0 }
}

export function addToBloom(bloom: Uint8Array, buffer: Uint8Array, start: number, end: number): void {
  const { first, second } = hashOf(buffer, start, end)
  const bits = bloom.length * 8
  for (let probe = 0; probe < probes; probe++) {
    const bit = (first + probe * second) % bits
    const at = Math.floor(bit / 8)
    bloom[at] = (bloom[at] as number) | (1 << (bit & 7))
  }
}

function mayHold(bloom: Uint8Array, hash: { first: number; second: number }): boolean {
  const bits = bloom.length * 8
  for (let probe = 0; probe < probes; probe++) {
    const bit = (hash.first + probe * hash.second) % bits
    if (((bloom[Math.floor(bit / 8)] as number) & (1 << (bit & 7))) === 0) return false
  }
  return true
}

export class ConsumerFilter {
  readonly #values: readonly Uint8Array[]
  readonly #hashes: readonly { first: number; second: number }[]
  readonly #takesUnfiltered: boolean

  constructor(values: readonly Uint8Array[], takesUnfiltered: boolean) {
    this.#values = values
    this.#hashes = values.map((value) => hashOf(value, 0, value.length))
    this.#takesUnfiltered = takesUnfiltered
  }

  /** Whether a message passes whose value is `buffer[start..start + length)`; `start` -1: it has none. */
  passes(buffer: Uint8Array, start: number, length: number): boolean {
    if (start < 0) return this.#takesUnfiltered
    return this.#values.some((value) => isSame(value, buffer, start, length))
  }

  /** False when no message of the block can pass. */
  mayPass(flags: number, bloom: Uint8Array | null): boolean {
    if (this.#takesUnfiltered && (flags & BlockFlag.hasUnfiltered) !== 0) return true
    if ((flags & BlockFlag.hasFiltered) === 0) return false
    return bloom === null || this.#hashes.some((hash) => mayHold(bloom, hash))
  }
}

function isSame(value: Uint8Array, buffer: Uint8Array, start: number, length: number): boolean {
  if (value.length !== length) return false
  for (let index = 0; index < length; index++) if (value[index] !== buffer[start + index]) return false
  return true
}

/**
 * From `x-stream-filter` (a string, or an array, of which only strings count) and `x-stream-match-unfiltered`; null: no
 * filter. Throws 406 for more than `filterValuesMax` values.
 */
export function consumerFilter(what: string, table: FieldTable): ConsumerFilter | null {
  const field = table.fields.get('x-stream-filter')
  const fields = field?.tag === 'A' ? field.value : field?.tag === 'S' ? [field] : null
  if (fields === null) return null
  if (fields.length > filterValuesMax) {
    const text = `invalid arg 'x-stream-filter' for ${what}: "more than ${filterValuesMax} values"`
    throw new BrokerError('precondition-failed', text)
  }
  const values = fields.flatMap((one) => (one.tag === 'S' ? [Buffer.from(one.value)] : []))
  return new ConsumerFilter(values, table.fields.get('x-stream-match-unfiltered')?.value === true)
}
