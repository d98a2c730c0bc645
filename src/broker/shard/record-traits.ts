/**
 * What a publish record says of its message beyond the message itself, between targets and route. Most records have
 * nothing of it and no byte for it.
 *
 *     u8 which of the parts are there, u8 priority, u16 group bytes
 *     [u48 due at] [u48 expiration in ms] [group, UTF-8] [deduplication hash, 16 bytes]
 *     [source: u64 queue id, u64 sequence]       a dead letter: this entry is settled by this record
 */
import type { MessageTraits } from '../message-traits.ts'
import { readU16, readU48, readU64, writeU16, writeU48, writeU64 } from './records.ts'

const Part = { due: 1, expiration: 2, hash: 4, source: 8 } as const
const fixedBytes = 4
export const hashBytes = 16

/** The entry that a dead letter comes from, where the log knows it. */
export interface Source {
  readonly queueId: number
  readonly sequence: number
}

/** Gathers the bytes for one record; used again and again. */
export class RecordTraits {
  readonly bytes = new Uint8Array(fixedBytes + 12 + 255 + hashBytes + 16)
  length = 0

  clear(): void {
    this.length = 0
  }

  set(traits: MessageTraits | null, hash: Uint8Array | null, source: Source | null): void {
    this.length = 0
    if (traits === null && hash === null && source === null) return
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
    bytes[0] = parts
    bytes[1] = traits?.priority ?? 0
    writeU16(bytes, 2, groupBytes)
    this.length = at
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

  /** Reads `length` bytes at `at`; 0 is nothing at all. */
  read(buffer: Uint8Array, at: number, length: number): void {
    this.priority = 0
    this.dueAt = 0
    this.expirationMs = null
    this.group = ''
    this.hash = null
    this.source = null
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
    }
  }
}
