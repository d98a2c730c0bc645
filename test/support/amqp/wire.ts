/**
 * The tests' own AMQP 0-9-1 codec: methods, content headers and frames between bytes and values. Plain and slow; it
 * shares nothing with the broker's codec, so that a mistake in that one cannot cancel out.
 *
 * Field tables are written from JavaScript values (`TypedValue` chooses a wire type) and read back into them; tests that
 * care for every byte use `rawTable`.
 */
import { methodNamed, methodWithIds } from './methods.ts'

export const frameMethod = 1
export const frameHeader = 2
export const frameBody = 3
export const frameHeartbeat = 8
export const frameEnd = 0xce

export type Value = string | number | boolean | null | Buffer | TypedValue | readonly Value[] | Table
export interface Table {
  readonly [key: string]: Value
}
/** A field value with its wire tag: `typed('l', 5)`. */
export class TypedValue {
  readonly tag: string
  readonly value: number | bigint | string | Buffer
  constructor(tag: string, value: number | bigint | string | Buffer) {
    this.tag = tag
    this.value = value
  }
}
export const typed = (tag: string, value: number | bigint | string | Buffer): TypedValue => new TypedValue(tag, value)

/** What a method carries, by argument name. 64-bit numbers are numbers here: tests stay below 2^53. */
export type Args = Readonly<Record<string, Value>>

/** Basic properties in wire order, AMQP 0-9-1 §4.2.6.1; the flag bits run from 15 down in this order. */
export const propertyTypes = {
  contentType: 'shortstr',
  contentEncoding: 'shortstr',
  headers: 'table',
  deliveryMode: 'octet',
  priority: 'octet',
  correlationId: 'shortstr',
  replyTo: 'shortstr',
  expiration: 'shortstr',
  messageId: 'shortstr',
  timestamp: 'longlong',
  type: 'shortstr',
  userId: 'shortstr',
  appId: 'shortstr',
  clusterId: 'shortstr',
} as const
export type Properties = { readonly [K in keyof typeof propertyTypes]?: Value }

// ---------------------------------------------------------------- writing

export function frame(type: number, channel: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(7)
  head.writeUInt8(type, 0)
  head.writeUInt16BE(channel, 1)
  head.writeUInt32BE(payload.length, 3)
  return Buffer.concat([head, payload, Buffer.from([frameEnd])])
}

export function method(channel: number, name: string, args: Args = {}): Buffer {
  return frame(frameMethod, channel, methodPayload(name, args))
}

export function methodPayload(name: string, args: Args = {}): Buffer {
  const spec = methodNamed(name)
  for (const given of Object.keys(args)) {
    if (!spec.args.some((arg) => arg.name === given)) throw new Error(`${name} has no argument '${given}'`)
  }
  const parts = [uint(spec.classId, 2), uint(spec.methodId, 2)]
  let bits: boolean[] = []
  const flushBits = (): void => {
    if (bits.length > 0)
      parts.push(
        uint(
          bits.reduce((sum, bit, index) => sum + (bit ? 1 << index : 0), 0),
          1,
        ),
      )
    bits = []
  }
  for (const arg of spec.args) {
    const value = args[arg.name]
    if (arg.type === 'bit') {
      bits.push(value === true)
    } else {
      flushBits()
      parts.push(argument(arg.type, value))
    }
  }
  flushBits()
  return Buffer.concat(parts)
}

/** Header and body frames of one content. `bodyBytesMax` is the payload of one body frame. */
export function content(channel: number, properties: Properties, body: Buffer, bodyBytesMax: number): Buffer {
  const frames = [frame(frameHeader, channel, headerPayload(properties, body.length))]
  for (let start = 0; start < body.length; start += bodyBytesMax) {
    frames.push(frame(frameBody, channel, body.subarray(start, start + bodyBytesMax)))
  }
  return Buffer.concat(frames)
}

export function headerPayload(properties: Properties, bodyBytes: number): Buffer {
  const parts: Buffer[] = []
  let flags = 0
  Object.entries(propertyTypes).forEach(([name, type], index) => {
    const value = properties[name as keyof Properties]
    if (value === undefined) return
    flags |= 1 << (15 - index)
    parts.push(argument(type, value))
  })
  return Buffer.concat([uint(60, 2), uint(0, 2), uint(bodyBytes, 8), uint(flags, 2), ...parts])
}

export function table(fields: Table): Buffer {
  const entries = Object.entries(fields).flatMap(([key, value]) => [shortString(key), fieldValue(value)])
  const bytes = Buffer.concat(entries)
  return Buffer.concat([uint(bytes.length, 4), bytes])
}

/** A table argument given as its own bytes, without the length in front. */
export const rawTable = (bytes: Buffer): TypedValue => typed('raw', Buffer.concat([uint(bytes.length, 4), bytes]))

export function shortString(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([uint(bytes.length, 1), bytes])
}

export function longString(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([uint(bytes.length, 4), bytes])
}

function argument(type: string, value: Value | undefined): Buffer {
  switch (type) {
    case 'octet':
      return uint(Number(value ?? 0), 1)
    case 'short':
      return uint(Number(value ?? 0), 2)
    case 'long':
      return uint(Number(value ?? 0), 4)
    case 'longlong':
      return uint(Number(value ?? 0), 8)
    case 'shortstr':
      return shortString(String(value ?? ''))
    case 'longstr':
      return longString(Buffer.isBuffer(value) ? value : String(value ?? ''))
    case 'table':
      return value instanceof TypedValue ? (value.value as Buffer) : table((value ?? {}) as Table)
    default:
      throw new Error(`no argument type '${type}'`)
  }
}

function fieldValue(value: Value): Buffer {
  if (value instanceof TypedValue) return Buffer.concat([Buffer.from(value.tag), typedBytes(value)])
  if (value === null) return Buffer.from('V')
  if (typeof value === 'string') return Buffer.concat([Buffer.from('S'), longString(value)])
  if (typeof value === 'boolean') return Buffer.concat([Buffer.from('t'), uint(value ? 1 : 0, 1)])
  if (typeof value === 'number') return fieldValue(typed(Number.isInteger(value) ? 'l' : 'd', value))
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from('x'), longString(value)])
  if (Array.isArray(value)) {
    const bytes = Buffer.concat(value.map(fieldValue))
    return Buffer.concat([Buffer.from('A'), uint(bytes.length, 4), bytes])
  }
  return Buffer.concat([Buffer.from('F'), table(value as Table)])
}

function typedBytes({ tag, value }: TypedValue): Buffer {
  const bytes = Buffer.alloc(8)
  switch (tag) {
    case 'b':
      return bytes.subarray(0, bytes.writeInt8(Number(value)))
    case 'B':
      return bytes.subarray(0, bytes.writeUInt8(Number(value)))
    case 's':
      return bytes.subarray(0, bytes.writeInt16BE(Number(value)))
    case 'u':
      return bytes.subarray(0, bytes.writeUInt16BE(Number(value)))
    case 'I':
      return bytes.subarray(0, bytes.writeInt32BE(Number(value)))
    case 'i':
      return bytes.subarray(0, bytes.writeUInt32BE(Number(value)))
    case 'l':
    case 'L':
      return bytes.subarray(0, bytes.writeBigInt64BE(BigInt(value as number | bigint)))
    case 'T':
      return bytes.subarray(0, bytes.writeBigUInt64BE(BigInt(value as number | bigint)))
    case 'f':
      return bytes.subarray(0, bytes.writeFloatBE(Number(value)))
    case 'd':
      return bytes.subarray(0, bytes.writeDoubleBE(Number(value)))
    case 'D':
      return value as Buffer
    case 'S':
    case 'x':
      return longString(value as string | Buffer)
    default:
      throw new Error(`no field type '${tag}'`)
  }
}

function uint(value: number, bytes: 1 | 2 | 4 | 8): Buffer {
  const buffer = Buffer.alloc(bytes)
  if (bytes === 8) buffer.writeBigUInt64BE(BigInt(value))
  else buffer.writeUIntBE(value, 0, bytes)
  return buffer
}

// ---------------------------------------------------------------- reading

export interface Frame {
  readonly type: number
  readonly channel: number
  readonly payload: Buffer
}

/** The first frame in `bytes` and how long it is; null when it is not all there yet. */
export function readFrame(bytes: Buffer): { frame: Frame; length: number } | null {
  if (bytes.length < 7) return null
  const length = 8 + bytes.readUInt32BE(3)
  if (bytes.length < length) return null
  if (bytes[length - 1] !== frameEnd) throw new Error(`a frame from the broker ends in ${bytes[length - 1]}`)
  const payload = Buffer.from(bytes.subarray(7, length - 1))
  return { frame: { type: bytes.readUInt8(0), channel: bytes.readUInt16BE(1), payload }, length }
}

export function readMethod(payload: Buffer): { name: string; args: Record<string, Value> } {
  const cursor = new Cursor(payload)
  const spec = methodWithIds(cursor.uint(2), cursor.uint(2))
  const args: Record<string, Value> = {}
  let bit = 8
  let octet = 0
  for (const arg of spec.args) {
    let value: Value
    if (arg.type === 'bit') {
      if (bit === 8) {
        octet = cursor.uint(1)
        bit = 0
      }
      value = (octet & (1 << bit)) !== 0
      bit += 1
    } else {
      bit = 8
      value = cursor.argument(arg.type)
    }
    if (!arg.name.startsWith('-')) args[arg.name] = value
  }
  cursor.end()
  return { name: spec.name, args }
}

export interface ContentHeader {
  readonly bodyBytes: number
  readonly properties: Record<string, Value>
  /** Flags and properties as they came. */
  readonly raw: Buffer
}

export function readHeader(payload: Buffer): ContentHeader {
  const cursor = new Cursor(payload)
  if (cursor.uint(2) !== 60) throw new Error('a content header of another class than basic')
  if (cursor.uint(2) !== 0) throw new Error('a content header with a weight')
  const bodyBytes = cursor.uint(8)
  const raw = payload.subarray(12)
  const flags = cursor.uint(2)
  const properties: Record<string, Value> = {}
  Object.entries(propertyTypes).forEach(([name, type], index) => {
    if ((flags & (1 << (15 - index))) !== 0) properties[name] = cursor.argument(type)
  })
  cursor.end()
  return { bodyBytes, properties, raw }
}

class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  uint(bytes: 1 | 2 | 4 | 8): number {
    const part = this.take(bytes)
    return bytes === 8 ? Number(part.readBigUInt64BE()) : part.readUIntBE(0, bytes)
  }

  take(bytes: number): Buffer {
    const part = this.#bytes.subarray(this.#at, this.#at + bytes)
    if (part.length < bytes) throw new Error('the broker sent a method or header that is cut short')
    this.#at += bytes
    return part
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new Error('the broker sent a method or header with bytes left over')
  }

  argument(type: string): Value {
    switch (type) {
      case 'octet':
        return this.uint(1)
      case 'short':
        return this.uint(2)
      case 'long':
        return this.uint(4)
      case 'longlong':
        return this.uint(8)
      case 'shortstr':
        return this.take(this.uint(1)).toString()
      case 'longstr':
        return this.take(this.uint(4)).toString()
      case 'table':
        return new Cursor(this.take(this.uint(4))).fields()
      default:
        throw new Error(`no argument type '${type}'`)
    }
  }

  fields(): Table {
    const fields: Record<string, Value> = Object.create(null)
    while (this.#at < this.#bytes.length) fields[this.take(this.uint(1)).toString()] = this.field()
    return { ...fields }
  }

  field(): Value {
    const tag = this.take(1).toString()
    switch (tag) {
      case 't':
        return this.uint(1) !== 0
      case 'b':
        return this.take(1).readInt8()
      case 'B':
        return this.uint(1)
      case 's':
        return this.take(2).readInt16BE()
      case 'u':
        return this.uint(2)
      case 'I':
        return this.take(4).readInt32BE()
      case 'i':
        return this.uint(4)
      case 'l':
      case 'L':
        return Number(this.take(8).readBigInt64BE())
      case 'T':
        return this.uint(8)
      case 'f':
        return this.take(4).readFloatBE()
      case 'd':
        return this.take(8).readDoubleBE()
      case 'D':
        return this.take(5)
      case 'S':
        return this.argument('longstr')
      case 'x':
        return this.take(this.uint(4))
      case 'F':
        return this.argument('table')
      case 'A':
        return this.array()
      case 'V':
        return null
      default:
        throw new Error(`the broker sent a field of type '${tag}'`)
    }
  }

  array(): Value[] {
    const inner = new Cursor(this.take(this.uint(4)))
    const values: Value[] = []
    while (inner.#at < inner.#bytes.length) values.push(inner.field())
    return values
  }
}
