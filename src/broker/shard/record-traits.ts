/**
 * What a publish record says of its message beyond the message itself, between targets and route. Most records have
 * nothing of it and no byte for it.
 *
 *     u8 which of the parts are there, u8 priority, u16 group bytes
 *     [u48 due at] [u48 expiration in ms] [group, UTF-8] [deduplication hash, 16 bytes]
 *     [source: u64 queue id, u64 sequence]       a dead letter: this entry is settled by this record
 *     [origin: u32 incarnation, u48 number]      another node sent it, as its publish with this number
 *     [letter: u64 queue id, u64 sequence]       the dead letter of this entry of another shard
 *     [u16 bytes, keys of BCC: u8 bytes, key]
 */

import { decodeShortString, encodedBytes, encodeText } from '../../amqp/short-string.ts'
import { blindKeyBytesMax, groupBytesMax, type MessageTraits, type Source } from '../message-traits.ts'
import type { Origin } from './origins.ts'
import { readU16, readU32, readU48, readU64, writeU16, writeU32, writeU48, writeU64 } from './records.ts'

const Part = { due: 1, expiration: 2, hash: 4, source: 8, blindKeys: 16, origin: 32, letter: 64 } as const
const fixedBytes = 4
const noKeys: readonly string[] = []
export const hashBytes = 16
const originBytes = 10

/** Gathers the bytes for one record; used again and again. */
export class RecordTraits {
  bytes: Uint8Array = new Uint8Array(fixedBytes + 12 + groupBytesMax + hashBytes + 16 + originBytes + 16)
  length = 0

  clear(): void {
    this.length = 0
  }

  set(
    traits: MessageTraits | null,
    hash: Uint8Array | null,
    source: Source | null,
    origin: Origin | null = null,
  ): void {
    this.length = 0
    if (traits === null && hash === null && source === null && origin === null) return
    const letterOf = traits?.letterOf ?? null
    const { bytes } = this
    let at = fixedBytes
    let parts = 0
    let groupBytes = 0
    if (traits !== null && traits.dueAt > 0) {
      parts |= Part.due
      writeU48(bytes, at, traits.dueAt)
      at += 6
    }
    if (traits !== null && traits.expirationMs !== null) {
      parts |= Part.expiration
      writeU48(bytes, at, traits.expirationMs)
      at += 6
    }
    if (traits !== null && traits.group !== '') {
      groupBytes = Buffer.from(bytes.buffer, at, 255).write(traits.group)
      at += groupBytes
    }
    if (hash !== null) {
      parts |= Part.hash
      bytes.set(hash, at)
      at += hashBytes
    }
    if (source !== null) {
      parts |= Part.source
      writeU64(bytes, at, source.queueId)
      writeU64(bytes, at + 8, source.sequence)
      at += 16
    }
    if (origin !== null) {
      parts |= Part.origin
      writeU32(bytes, at, origin.incarnation)
      writeU48(bytes, at + 4, origin.number)
      at += originBytes
    }
    if (letterOf !== null) {
      parts |= Part.letter
      writeU64(bytes, at, letterOf.queueId)
      writeU64(bytes, at + 8, letterOf.sequence)
      at += 16
    }
    if (traits !== null && traits.blindKeys.length > 0) {
      parts |= Part.blindKeys
      at = this.#writeKeys(at, traits.blindKeys)
    }
    this.bytes[0] = parts
    this.bytes[1] = traits?.priority ?? 0
    writeU16(this.bytes, 2, groupBytes)
    this.length = at
  }

  /** The first ones, as many as there is room for. */
  #writeKeys(at: number, keys: readonly string[]): number {
    if (this.bytes.length < at + 2 + blindKeyBytesMax) {
      const larger = new Uint8Array(this.bytes.length + 2 + blindKeyBytesMax)
      larger.set(this.bytes)
      this.bytes = larger
    }
    const { bytes } = this
    let end = at + 2
    for (const key of keys) {
      const keyBytes = encodedBytes(key)
      if (keyBytes > 255 || end + 1 + keyBytes > at + 2 + blindKeyBytesMax) break
      bytes[end] = keyBytes
      encodeText(key, bytes, end + 1)
      end += 1 + keyBytes
    }
    writeU16(bytes, at, end - at - 2)
    return end
  }
}

/** What was written, read into objects that are used again. */
export class ReadTraits {
  priority = 0
  dueAt = 0
  expirationMs: number | null = null
  group = ''
  hash: Uint8Array | null = null
  source: Source | null = null
  origin: Origin | null = null
  letterOf: Source | null = null
  blindKeys: readonly string[] = noKeys

  /** Reads `length` bytes at `at`; 0 is nothing at all. */
  read(buffer: Uint8Array, at: number, length: number): void {
    this.priority = 0
    this.dueAt = 0
    this.expirationMs = null
    this.group = ''
    this.hash = null
    this.source = null
    this.origin = null
    this.letterOf = null
    this.blindKeys = noKeys
    if (length === 0) return
    const parts = buffer[at] as number
    const groupBytes = readU16(buffer, at + 2)
    this.priority = buffer[at + 1] as number
    let cursor = at + fixedBytes
    if ((parts & Part.due) !== 0) {
      this.dueAt = readU48(buffer, cursor)
      cursor += 6
    }
    if ((parts & Part.expiration) !== 0) {
      this.expirationMs = readU48(buffer, cursor)
      cursor += 6
    }
    if (groupBytes > 0) this.group = Buffer.from(buffer.buffer, buffer.byteOffset + cursor, groupBytes).toString()
    cursor += groupBytes
    if ((parts & Part.hash) !== 0) {
      this.hash = buffer.slice(cursor, cursor + hashBytes)
      cursor += hashBytes
    }
    if ((parts & Part.source) !== 0) {
      this.source = { queueId: readU64(buffer, cursor), sequence: readU64(buffer, cursor + 8) }
      cursor += 16
    }
    if ((parts & Part.origin) !== 0) {
      this.origin = { incarnation: readU32(buffer, cursor), number: readU48(buffer, cursor + 4) }
      cursor += originBytes
    }
    if ((parts & Part.letter) !== 0) {
      this.letterOf = { queueId: readU64(buffer, cursor), sequence: readU64(buffer, cursor + 8) }
      cursor += 16
    }
    if ((parts & Part.blindKeys) !== 0) this.blindKeys = readKeys(buffer, cursor)
  }
}

function readKeys(buffer: Uint8Array, at: number): string[] {
  const end = at + 2 + readU16(buffer, at)
  const keys: string[] = []
  for (let cursor = at + 2; cursor < end; cursor += 1 + (buffer[cursor] as number)) {
    keys.push(decodeShortString(buffer, cursor + 1, cursor + 1 + (buffer[cursor] as number)))
  }
  return keys
}
