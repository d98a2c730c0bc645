/**
 * Encodes a message as the frames of `basic.publish` (AMQP 0-9-1 §4.2.6), for a client in Node or a browser.
 *
 * The library's own encoder is not used here: it makes 3,000,000,000 negative, numbers with a fraction lose precision,
 * and each publish holds a buffer of frame size until its confirm.
 */
import { WarrenError } from '../errors.ts'
import type { OutgoingMessage } from './driver.ts'
import type { MessageProperties, Table, TableValue } from './properties.ts'

const frameEnd = 0xce
/** Nesting of tables and arrays in headers. */
const depthMax = 32
const shortStringBytesMax = 255
const asciiLengthMax = 64
const encoder = new TextEncoder()

export class MessageWriter {
  #bytes = new Uint8Array(16 * 1024)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  /** All frames of the message; valid until the next call. Throws a `WarrenError`. */
  encode(channel: number, message: OutgoingMessage, frameBytesMax: number): Uint8Array {
    try {
      return this.#frames(channel, message, frameBytesMax)
    } catch (error) {
      if (error instanceof WarrenError) throw error
      // A date that is none, a bigint that is too large.
      throw unsendable(`a value of the headers (${error instanceof Error ? error.message : String(error)})`)
    }
  }

  #frames(channel: number, message: OutgoingMessage, frameBytesMax: number): Uint8Array {
    this.#at = 0
    const method = this.#beginFrame(1, channel)
    this.#uint32((60 << 16) | 40)
    this.#uint16(0)
    this.#shortString('exchange', message.exchange)
    this.#shortString('routing key', message.routingKey)
    this.#uint8(message.isMandatory ? 1 : 0)
    this.#endFrame(method)
    const header = this.#beginFrame(2, channel)
    this.#uint32(60 << 16)
    this.#uint32(Math.floor(message.body.length / 2 ** 32))
    this.#uint32(message.body.length)
    this.#properties(message.properties)
    this.#endFrame(header)
    if (this.#at - header > frameBytesMax) throw tooLong(this.#at - header, frameBytesMax)
    this.#body(channel, message.body, frameBytesMax - 8)
    return this.#bytes.subarray(0, this.#at)
  }

  #body(channel: number, body: Uint8Array, payloadBytesMax: number): void {
    for (let from = 0; from < body.length; from += payloadBytesMax) {
      const frame = this.#beginFrame(3, channel)
      this.#raw(body.subarray(from, from + payloadBytesMax))
      this.#endFrame(frame)
    }
  }

  #beginFrame(type: number, channel: number): number {
    const start = this.#at
    this.#uint8(type)
    this.#uint16(channel)
    this.#uint32(0)
    return start
  }

  #endFrame(start: number): void {
    this.#view.setUint32(start + 3, this.#at - start - 7)
    this.#uint8(frameEnd)
  }

  #properties(properties: MessageProperties): void {
    const flagsAt = this.#at
    let flags = 0
    this.#uint16(0)
    for (const [name, bit] of textsBefore) flags |= this.#text(name, properties[name], bit)
    if (properties.headers !== undefined) {
      flags |= 0x2000
      this.#table(properties.headers, 0)
    }
    if (properties.deliveryMode !== undefined) {
      flags |= 0x1000
      this.#uint8(properties.deliveryMode)
    }
    if (properties.priority !== undefined) {
      flags |= 0x0800
      this.#uint8(properties.priority)
    }
    for (const [name, bit] of textsBetween) flags |= this.#text(name, properties[name], bit)
    if (properties.timestamp !== undefined) {
      flags |= 0x0040
      this.#int64(BigInt(Math.floor(properties.timestamp.getTime() / 1000)))
    }
    for (const [name, bit] of textsAfter) flags |= this.#text(name, properties[name], bit)
    this.#view.setUint16(flagsAt, flags)
  }

  #text(name: string, value: string | undefined, bit: number): number {
    if (value === undefined) return 0
    this.#shortString(name, value)
    return bit
  }

  #table(table: Table, depth: number): void {
    if (depth > depthMax) throw unsendable(`headers that are nested more than ${depthMax} deep`)
    const start = this.#at
    this.#uint32(0)
    for (const key in table) {
      const value = table[key]
      if (value === undefined) continue
      this.#shortString('header name', key)
      this.#value(key, value, depth)
    }
    this.#view.setUint32(start, this.#at - start - 4)
  }

  #value(key: string, value: TableValue, depth: number): void {
    switch (typeof value) {
      case 'string':
        return this.#longString(value)
      case 'number':
        return this.#number(value)
      case 'bigint':
        this.#tag('l')
        return this.#int64(value)
      case 'boolean':
        this.#tag('t')
        return this.#uint8(value ? 1 : 0)
      case 'object':
        return this.#object(key, value, depth)
      case 'undefined':
        return this.#tag('V')
      default:
        throw unsendable(`the header '${key}' of type ${typeof value}`)
    }
  }

  #object(key: string, value: object | null, depth: number): void {
    if (value === null) this.#tag('V')
    else if (value instanceof Date) {
      this.#tag('T')
      this.#int64(BigInt(Math.floor(value.getTime() / 1000)))
    } else if (value instanceof Uint8Array) {
      this.#tag('x')
      this.#uint32(value.length)
      this.#raw(value)
    } else if (Array.isArray(value)) this.#array(key, value, depth)
    else {
      this.#tag('F')
      this.#table(value as Table, depth + 1)
    }
  }

  #array(key: string, values: readonly TableValue[], depth: number): void {
    if (depth > depthMax) throw unsendable(`headers that are nested more than ${depthMax} deep`)
    this.#tag('A')
    const start = this.#at
    this.#uint32(0)
    for (const value of values) this.#value(key, value, depth + 1)
    this.#view.setUint32(start, this.#at - start - 4)
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value)) {
      if (value >= -(2 ** 31) && value < 2 ** 31) {
        this.#tag('I')
        this.#uint32(value)
      } else {
        this.#tag('l')
        this.#int64(BigInt(value))
      }
      return
    }
    this.#tag('d')
    this.#reserve(8)
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
  }

  #tag(letter: string): void {
    this.#uint8(letter.charCodeAt(0))
  }

  #shortString(what: string, text: string): void {
    this.#reserve(1 + text.length * 3)
    const written = this.#encode(text, this.#at + 1)
    if (written > shortStringBytesMax) throw unsendable(`a ${what} of ${written} bytes, where 255 are possible`)
    this.#bytes[this.#at] = written
    this.#at += 1 + written
  }

  #longString(text: string): void {
    this.#tag('S')
    this.#reserve(4 + text.length * 3)
    const written = this.#encode(text, this.#at + 4)
    this.#view.setUint32(this.#at, written)
    this.#at += 4 + written
  }

  /** There is room for it. Short ASCII, which is nearly all, is copied here: that is faster than the encoder. */
  #encode(text: string, at: number): number {
    const bytes = this.#bytes
    if (text.length <= asciiLengthMax) {
      let index = 0
      for (; index < text.length; index++) {
        const unit = text.charCodeAt(index)
        if (unit > 0x7f) break
        bytes[at + index] = unit
      }
      if (index === text.length) return index
    }
    return encoder.encodeInto(text, bytes.subarray(at)).written
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #uint8(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
  }

  #uint16(value: number): void {
    this.#reserve(2)
    this.#view.setUint16(this.#at, value)
    this.#at += 2
  }

  #uint32(value: number): void {
    this.#reserve(4)
    this.#view.setUint32(this.#at, value)
    this.#at += 4
  }

  #int64(value: bigint): void {
    this.#reserve(8)
    this.#view.setBigInt64(this.#at, value)
    this.#at += 8
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + bytes))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

/** In the order of the wire, with their flags; those of other types stand between them. */
const textsBefore = [
  ['contentType', 0x8000],
  ['contentEncoding', 0x4000],
] as const
const textsBetween = [
  ['correlationId', 0x0400],
  ['replyTo', 0x0200],
  ['expiration', 0x0100],
  ['messageId', 0x0080],
] as const
const textsAfter = [
  ['type', 0x0020],
  ['userId', 0x0010],
  ['appId', 0x0008],
] as const

function unsendable(what: string): WarrenError {
  return new WarrenError('BAD_OPTION', `AMQP cannot carry ${what}.`, { mend: 'Shorten it, or put it into the body.' })
}

function tooLong(bytes: number, bytesMax: number): WarrenError {
  const sentence = `Properties and headers of ${bytes} bytes do not fit into a frame of ${bytesMax}.`
  return new WarrenError('MESSAGE_TOO_LARGE', sentence, { mend: 'Put large values into the body.' })
}
