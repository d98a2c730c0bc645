/** Results of commands between nodes. */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import { encodeLongString, encodeShortString } from '../../amqp/short-string.ts'
import type { BrowsedMessage, QueueStatus, ScheduledMessage } from '../../broker/ports.ts'

export function writeNumber(writer: ByteWriter, number: number): void {
  writer.uint64(number)
}

export function readNumber(reader: ByteReader): number {
  return reader.uint64()
}

export function writeStatus(writer: ByteWriter, { ready, unacked, consumers }: QueueStatus): void {
  writer.uint64(ready)
  writer.uint64(unacked)
  writer.uint32(consumers)
}

export function readStatus(reader: ByteReader): QueueStatus {
  return { ready: reader.uint64(), unacked: reader.uint64(), consumers: reader.uint32() }
}

export function writeScheduled(writer: ByteWriter, messages: readonly ScheduledMessage[]): void {
  writer.uint32(messages.length)
  for (const { sequence, messageId, dueAt, bodyBytes, isRetry } of messages) {
    writer.uint64(sequence)
    writer.uint8(messageId === null ? 0 : 1)
    encodeLongString(writer, messageId ?? '')
    writer.uint64(dueAt)
    writer.uint64(bodyBytes)
    writer.uint8(isRetry ? 1 : 0)
  }
}

export function readScheduled(reader: ByteReader): ScheduledMessage[] {
  return Array.from({ length: reader.uint32() }, () => {
    const sequence = reader.uint64()
    const hasId = reader.uint8() === 1
    const messageId = reader.longString()
    const dueAt = reader.uint64()
    const bodyBytes = reader.uint64()
    return { sequence, messageId: hasId ? messageId : null, dueAt, bodyBytes, isRetry: reader.uint8() === 1 }
  })
}

const states = ['ready', 'unacked', 'waiting'] as const satisfies readonly BrowsedMessage['state'][]

export function writeBrowsed(writer: ByteWriter, messages: readonly BrowsedMessage[]): void {
  writer.uint32(messages.length)
  for (const { sequence, state, isRedelivered, arrivedAt, dueAt, bodyBytes, ...rest } of messages) {
    const { content, routeBytes, headerBytes, blindKeys } = rest
    writer.uint64(sequence)
    writer.uint8(states.indexOf(state))
    writer.uint8(isRedelivered ? 1 : 0)
    for (const number of [arrivedAt, dueAt, bodyBytes]) writer.uint64(number)
    for (const number of [routeBytes, headerBytes, content.length]) writer.uint32(number)
    writer.bytes(content, 0, content.length)
    writer.uint16(blindKeys.length)
    for (const key of blindKeys) encodeShortString(writer, key)
  }
}

export function readBrowsed(reader: ByteReader): BrowsedMessage[] {
  return Array.from({ length: reader.uint32() }, () => {
    const sequence = reader.uint64()
    const state = states[reader.uint8()] ?? 'ready'
    const isRedelivered = reader.uint8() === 1
    const [arrivedAt, dueAt, bodyBytes] = [reader.uint64(), reader.uint64(), reader.uint64()]
    const [routeBytes, headerBytes, length] = [reader.uint32(), reader.uint32(), reader.uint32()]
    const at = reader.take(length)
    const content = reader.buffer.slice(at, at + length)
    const blindKeys = Array.from({ length: reader.uint16() }, () => reader.shortString())
    return { sequence, state, isRedelivered, arrivedAt, dueAt, bodyBytes, content, routeBytes, headerBytes, blindKeys }
  })
}
