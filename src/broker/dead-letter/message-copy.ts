import { ByteWriter } from '../../amqp/byte-writer.ts'
import {
  decodeProperties,
  encodeContentHeader,
  type Properties,
  type SomeProperties,
} from '../../amqp/content-header.ts'
import { decodeShortString, encodeShortString } from '../../amqp/short-string.ts'
import { Message } from '../message.ts'

/**
 * A copy of a message in which properties, or the route, are others: in parts form, whatever form the original has.
 *
 * The copy is a view like any other, of a buffer that belongs to this object and is filled again by the next `fill`. The
 * body of a large message is not copied: the copy has the chunks of the original, and whoever gets it releases them.
 */
export class MessageCopy {
  readonly #writer = new ByteWriter()
  readonly #message = new Message()

  /** `properties` are those of the original, `changes` what is to be different; `route` null: as in the original. */
  fill(from: Message, properties: Properties, changes: SomeProperties, route: Route | null): Message {
    const writer = this.#writer
    const message = this.#message
    writer.reset()
    if (route === null) writer.bytes(from.buffer, from.routeStart, from.routeEnd)
    else writeRoute(writer, route)
    const contentStart = writer.length
    const lengthAt = writer.reserve(4)
    encodeContentHeader(writer, from.bodyBytes, { ...properties, ...changes })
    writer.patchUint32(lengthAt, writer.length - contentStart - 4)
    if (from.chunks === null) writer.bytes(from.buffer, bodyStartOf(from), bodyStartOf(from) + from.bodyBytes)
    message.buffer = writer.buffer
    message.routeStart = 0
    message.routeEnd = contentStart
    message.contentStart = contentStart
    message.contentEnd = writer.length
    message.isFrames = false
    message.isPersistent = from.isPersistent
    message.bodyBytes = from.bodyBytes
    message.traits = from.traits
    message.chunks = from.chunks
    return message
  }
}

export interface Route {
  readonly exchange: string
  readonly routingKey: string
}

export function routeOf({ buffer, routeStart }: Message): Route {
  return routeOfBytes(buffer, routeStart)
}

/** Of two short strings that stand there. */
export function routeOfBytes(buffer: Uint8Array, routeStart: number): Route {
  const exchangeAt = routeStart + 1
  const exchangeEnd = exchangeAt + (buffer[routeStart] as number)
  const keyAt = exchangeEnd + 1
  return {
    exchange: decodeShortString(buffer, exchangeAt, exchangeEnd),
    routingKey: decodeShortString(buffer, keyAt, keyAt + (buffer[exchangeEnd] as number)),
  }
}

/** Where the content header's payload is in the message's buffer. */
export function headerRangeOf(message: Message): { readonly start: number; readonly end: number } {
  const start = headerStartOf(message)
  return { start, end: start + headerBytesOf(message) }
}

export function propertiesOf(message: Message): Properties {
  const start = headerStartOf(message)
  return decodeProperties(message.buffer, start, start + headerBytesOf(message))
}

function writeRoute(writer: ByteWriter, { exchange, routingKey }: Route): void {
  encodeShortString(writer, exchange)
  encodeShortString(writer, routingKey)
}

// ---------------------------------------------------------------- the two forms of content (`broker/message.ts`)

/** Type, channel and length before the payload of a frame, and the octet behind it, in bytes. */
const frameHeaderBytes = 7
const frameEndBytes = 1

/** Where the 32-bit length of the header payload is. */
function headerLengthAt({ contentStart, isFrames }: Message): number {
  return isFrames ? contentStart + frameHeaderBytes - 4 : contentStart
}

function headerBytesOf(message: Message): number {
  const { buffer } = message
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  return view.getUint32(headerLengthAt(message))
}

function headerStartOf(message: Message): number {
  return headerLengthAt(message) + 4
}

/** Where the body begins, of a message whose body is with it. */
export function bodyStartOf(message: Message): number {
  const headerEnd = headerStartOf(message) + headerBytesOf(message)
  // Without a body there is no frame for it, and nothing is read from there.
  return message.isFrames && message.bodyBytes > 0 ? headerEnd + frameEndBytes + frameHeaderBytes : headerEnd
}
