import { flagsOf, headersStart, messageIdOf, PropertyFlags } from '../amqp/content-header.ts'
import { decodeFieldValue } from '../amqp/field-table.ts'
import { HeaderBits, KnownHeaders } from '../amqp/known-headers.ts'
import type { Message } from './message.ts'

/** Longer ones are refused with 406, in bytes: as long as a message id can be. */
export const deduplicationIdBytesMax = 255

/** For one look at a time. */
const headers = new KnownHeaders()

/**
 * What a queue with deduplication knows a message by: its `x-deduplication-header`, which is a string or a whole number
 * (the same id as its decimal digits), else its message id. Null when it has neither, or an empty one.
 *
 * It is read from the message's bytes on demand, so only queues that want it pay for it.
 */
export function deduplicationIdOf(message: Message): string | null {
  const { buffer, contentStart } = message
  // Frame: type, channel, length. Parts: length. Then the header payload in both.
  const lengthAt = message.isFrames ? contentStart + 3 : contentStart
  const start = lengthAt + 4
  const end = start + uint32At(buffer, lengthAt)
  const flags = flagsOf(buffer, start, end)
  if ((flags & PropertyFlags.headers) !== 0) {
    const tableStart = headersStart(buffer, start, end)
    headers.scan(buffer, tableStart, tableStart + uint32At(buffer, tableStart - 4))
    const at = headers.valueAt(HeaderBits['x-deduplication-header'])
    if (at >= 0) return deduplicationIdIn(buffer, at)
  }
  return (flags & PropertyFlags.messageId) === 0 ? null : messageIdOf(buffer, start, end) || null
}

/** The id in the header whose value begins at `at`; null when it is empty or of a type that is none. */
export function deduplicationIdIn(buffer: Uint8Array, at: number): string | null {
  const field = decodeFieldValue(buffer, at)
  switch (field.tag) {
    case 'S':
      return field.value || null
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
    case 'l':
    case 'L':
      return String(field.value)
    default:
      return null
  }
}

function uint32At(buffer: Uint8Array, at: number): number {
  return new DataView(buffer.buffer, buffer.byteOffset + at, 4).getUint32(0)
}
