import { decodeProperties, headersOf, type Properties } from '../../amqp/content-header.ts'
import type { FieldTable } from '../../amqp/field-table.ts'
import type { Message } from '../message.ts'

/** The headers of a message, decoded from whichever of its two forms it has (`broker/message.ts`). */
export function headersOfMessage(message: Message): FieldTable {
  const start = headerStart(message)
  return headersOf(message.buffer, start, start + headerBytes(message))
}

/** All its properties, in the same way. */
export function propertiesOfMessage(message: Message): Properties {
  const start = headerStart(message)
  return decodeProperties(message.buffer, start, start + headerBytes(message))
}

/** Frame: type, channel (2 bytes), length. Parts: length. Then the header payload in both. */
function headerStart(message: Message): number {
  return message.contentStart + (message.isFrames ? 7 : 4)
}

function headerBytes(message: Message): number {
  const { buffer } = message
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength).getUint32(headerStart(message) - 4)
}
