/**
 * How a message is stored in a stream: with the header `x-stream-offset` in its content, so that it is delivered to any
 * number of consumers as it stands in the log.
 *
 * The header stands last in the message's headers. What a publisher put there under this name is taken out: a message
 * read from one stream and published to another has the other's offset. All else stays to the byte.
 *
 *     content header: class, weight, body size | flags | content type, encoding | headers: u32 bytes, entries | the rest
 *                                                                                                    ^ here
 */
import { framesBytesMax, type Message } from '../message.ts'
import { readContentLength } from '../shard/records.ts'
import { messageFixedBytes } from './stream-records.ts'

const offsetKey = Buffer.from('x-stream-offset')
const filterKey = Buffer.from('x-stream-filter-value')
/** Key length, key, tag, eight bytes. */
const offsetEntryBytes = 1 + offsetKey.length + 1 + 8
const headersFlag = 0x20
const contentTypeFlag = 0x80
const contentEncodingFlag = 0x40
/** Class, weight, body size, flags. */
const headerFixedBytes = 14
const flagsAt = 12
const frameHeaderBytes = 7
const frameEnd = 0xce
const headerFrameType = 2

const tagOf = (letter: string): number => letter.charCodeAt(0)
const longTag = tagOf('l')
const stringTag = tagOf('S')
/** Bytes of a value by its tag; those that are not here have a length of four bytes before them. */
const valueBytes = new Uint8Array(128).fill(255)
for (const letter of 'tbB') valueBytes[tagOf(letter)] = 1
for (const letter of 'su') valueBytes[tagOf(letter)] = 2
for (const letter of 'Iif') valueBytes[tagOf(letter)] = 4
for (const letter of 'lLdT') valueBytes[tagOf(letter)] = 8
valueBytes[tagOf('D')] = 5
valueBytes[tagOf('V')] = 0

/**
 * Measures one message, then writes it. Used again for each message of a stream; what `measure` finds is valid until
 * the next one.
 */
export class StoredContent {
  /** Bytes of the content as it will be stored, and whether it will be in frames. */
  bytes = 0
  isFrames = false
  /** Where the filter value will be, from the first byte of the record; 0 when there is none. */
  filterAt = 0
  filterBytes = 0

  #message: Message | null = null
  #headerStart = 0
  #headerEnd = 0
  #bodyStart = 0
  #bodyEnd = 0
  /** Where the headers' entries are, or, when there are none, where they would be. */
  #tableStart = 0
  #tableEnd = 0
  #hasTable = false
  /** Bytes of entries that are left out. */
  #leftOut = 0
  #newHeaderBytes = 0

  measure(message: Message): void {
    this.#message = message
    const { buffer, contentStart, contentEnd } = message
    const headerBytes = readContentLength(buffer, message.isFrames ? contentStart + 3 : contentStart)
    this.#headerStart = contentStart + (message.isFrames ? frameHeaderBytes : 4)
    this.#headerEnd = this.#headerStart + headerBytes
    this.#findTable(buffer)
    const added = offsetEntryBytes + (this.#hasTable ? 0 : 4) - this.#leftOut
    this.#newHeaderBytes = headerBytes + added
    this.isFrames = message.isFrames && contentEnd - contentStart + added <= framesBytesMax
    this.#bodyStart = this.#headerEnd + (message.isFrames ? 1 : 0)
    this.#bodyEnd = contentEnd
    // Frames that have grown too long for their kind go as parts, without what stood around the body.
    if (message.isFrames && !this.isFrames && this.#bodyStart < contentEnd) {
      this.#bodyStart += frameHeaderBytes
      this.#bodyEnd = contentEnd - 1
    }
    const around = this.isFrames ? frameHeaderBytes + 1 : 4
    this.bytes = around + this.#newHeaderBytes + this.#bodyEnd - this.#bodyStart
    this.#placeFilter(message)
  }

  /** Writes the content at `at` and returns where it ends. */
  write(to: Uint8Array, at: number, offset: number): number {
    const buffer = (this.#message as Message).buffer
    const headerBytes = this.#newHeaderBytes
    let next = at
    if (this.isFrames) {
      to[next] = headerFrameType
      to[next + 1] = 0
      to[next + 2] = 0
      next += 3
    }
    next = writeLength(to, next, headerBytes)
    next = this.#writeHeader(buffer, to, next, offset)
    if (this.isFrames) to[next++] = frameEnd
    to.set(buffer.subarray(this.#bodyStart, this.#bodyEnd), next)
    return next + this.#bodyEnd - this.#bodyStart
  }

  #findTable(buffer: Uint8Array): void {
    const flags = buffer[this.#headerStart + flagsAt] as number
    let at = this.#headerStart + headerFixedBytes
    if ((flags & contentTypeFlag) !== 0) at += 1 + (buffer[at] as number)
    if ((flags & contentEncodingFlag) !== 0) at += 1 + (buffer[at] as number)
    this.#hasTable = (flags & headersFlag) !== 0
    this.#tableStart = this.#hasTable ? at + 4 : at
    this.#tableEnd = this.#hasTable ? this.#tableStart + readContentLength(buffer, at) : at
    this.#leftOut = 0
    this.filterAt = 0
    this.filterBytes = 0
    for (let entry = this.#tableStart; entry < this.#tableEnd; ) {
      const next = nextEntry(buffer, entry)
      if (isKey(buffer, entry, offsetKey)) this.#leftOut += next - entry
      else if (isKey(buffer, entry, filterKey)) this.#noteFilter(buffer, entry)
      entry = next
    }
  }

  #noteFilter(buffer: Uint8Array, entry: number): void {
    const tagAt = entry + 1 + filterKey.length
    if (buffer[tagAt] !== stringTag) return
    this.filterBytes = readContentLength(buffer, tagAt + 1)
    // For now from the first entry on that is kept; `#placeFilter` knows what comes before.
    this.filterAt = tagAt + 5 - this.#tableStart - this.#leftOut
  }

  #placeFilter(message: Message): void {
    if (this.filterAt === 0) return
    const routeBytes = message.routeEnd - message.routeStart
    const around = this.isFrames ? frameHeaderBytes : 4
    this.filterAt += messageFixedBytes + routeBytes + around + this.#tableStart - this.#headerStart
  }

  #writeHeader(buffer: Uint8Array, to: Uint8Array, at: number, offset: number): number {
    const tableStart = this.#tableStart
    const fixedEnd = this.#hasTable ? tableStart - 4 : tableStart
    let next = copy(buffer, this.#headerStart, fixedEnd, to, at)
    to[at + flagsAt] = (to[at + flagsAt] as number) | headersFlag
    next = writeLength(to, next, this.#tableEnd - tableStart - this.#leftOut + offsetEntryBytes)
    next = this.#leftOut === 0 ? copy(buffer, tableStart, this.#tableEnd, to, next) : this.#copyKept(buffer, to, next)
    next = writeOffsetEntry(to, next, offset)
    return copy(buffer, this.#tableEnd, this.#headerEnd, to, next)
  }

  #copyKept(buffer: Uint8Array, to: Uint8Array, at: number): number {
    let next = at
    for (let entry = this.#tableStart; entry < this.#tableEnd; ) {
      const end = nextEntry(buffer, entry)
      if (!isKey(buffer, entry, offsetKey)) next = copy(buffer, entry, end, to, next)
      entry = end
    }
    return next
  }
}

/** Where the entry behind this one begins. The table has been checked when it came in. */
function nextEntry(buffer: Uint8Array, entry: number): number {
  const tagAt = entry + 1 + (buffer[entry] as number)
  const bytes = valueBytes[buffer[tagAt] as number] as number
  return bytes === 255 ? tagAt + 5 + readContentLength(buffer, tagAt + 1) : tagAt + 1 + bytes
}

function isKey(buffer: Uint8Array, entry: number, key: Uint8Array): boolean {
  if (buffer[entry] !== key.length) return false
  // From the end: these keys begin alike.
  for (let index = key.length - 1; index >= 0; index--) if (buffer[entry + 1 + index] !== key[index]) return false
  return true
}

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): number {
  for (let index = start, next = at; index < end; ) to[next++] = from[index++] as number
  return at + end - start
}

function writeLength(to: Uint8Array, at: number, value: number): number {
  to[at] = value >>> 24
  to[at + 1] = value >>> 16
  to[at + 2] = value >>> 8
  to[at + 3] = value
  return at + 4
}

function writeOffsetEntry(to: Uint8Array, at: number, offset: number): number {
  to[at] = offsetKey.length
  const tagAt = copy(offsetKey, 0, offsetKey.length, to, at + 1)
  to[tagAt] = longTag
  writeLength(to, tagAt + 1, Math.floor(offset / 4294967296))
  return writeLength(to, tagAt + 5, offset >>> 0)
}
