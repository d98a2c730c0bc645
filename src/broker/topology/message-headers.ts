import { headersOf } from '../../amqp/content-header.ts'
import type { FieldTable } from '../../amqp/field-table.ts'
import type { Message } from '../message.ts'

/** The headers of a message, decoded from whichever of its two forms it has (`broker/message.ts`). */
export function headersOfMessage(message: Message): FieldTable {
  const { buffer, contentStart } = message
  // Frame: type, channel (2 bytes), length. Parts: length. Then the header payload in both.
  const lengthAt = message.isFrames ? contentStart + 3 : contentStart
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  const start = lengthAt + 4
  return headersOf(buffer, start, start + view.getUint32(lengthAt))
}
