/** A consumer as its node tells an owner of it. */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import { type FieldTable, readFieldTable, writeFieldTable } from '../../amqp/field-table.ts'
import { encodeLongString } from '../../amqp/short-string.ts'
import type { PlacedConsumer } from './placed-consumer.ts'

const Flag = {
  noAck: 1,
  exclusive: 2,
  member: 4,
  mayTake: 8,
  paused: 16,
  sharing: 32,
  timeout: 64,
  taken: 128,
} as const

export interface Member {
  readonly id: number
  readonly queueId: number
  readonly isNoAck: boolean
  readonly isExclusive: boolean
  /** False: it has left and only holds something. */
  readonly isMember: boolean
  /** It has been activated. */
  readonly mayTake: boolean
  /** It has been given something. */
  readonly hasTaken: boolean
  readonly isPaused: boolean
  readonly isSharing: boolean
  readonly timeoutMs: number | null
  readonly priority: number
  readonly limit: number
  readonly tag: string
  readonly arguments: FieldTable
}

/** Also notes what is thereby said of it. */
export function writeMember(writer: ByteWriter, consumer: PlacedConsumer): void {
  const { near } = consumer
  consumer.isPaused = !near.sink.isReady
  consumer.isSharing = near.shared !== null && near.shared.limit > 0 && !near.isNoAck
  writer.uint32(consumer.id)
  writer.uint64(near.queue.definition.id)
  writer.uint8(
    (near.isNoAck ? Flag.noAck : 0) |
      (near.isExclusive ? Flag.exclusive : 0) |
      (consumer.isMember ? Flag.member : 0) |
      (consumer.mayTake ? Flag.mayTake : 0) |
      (consumer.isPaused ? Flag.paused : 0) |
      (consumer.isSharing ? Flag.sharing : 0) |
      (near.timeoutMs === null ? 0 : Flag.timeout) |
      (consumer.hasTaken ? Flag.taken : 0),
  )
  writer.float64(near.timeoutMs ?? 0)
  // Any whole number that AMQP knows.
  writer.float64(near.priority)
  writer.uint32(near.limit)
  encodeLongString(writer, near.tag)
  writeFieldTable(writer, consumer.arguments)
}

export function readMember(reader: ByteReader): Member {
  const id = reader.uint32()
  const queueId = reader.uint64()
  const flags = reader.uint8()
  const timeoutMs = reader.float64()
  return {
    id,
    queueId,
    isNoAck: (flags & Flag.noAck) !== 0,
    isExclusive: (flags & Flag.exclusive) !== 0,
    isMember: (flags & Flag.member) !== 0,
    mayTake: (flags & Flag.mayTake) !== 0,
    hasTaken: (flags & Flag.taken) !== 0,
    isPaused: (flags & Flag.paused) !== 0,
    isSharing: (flags & Flag.sharing) !== 0,
    timeoutMs: (flags & Flag.timeout) === 0 ? null : timeoutMs,
    priority: reader.float64(),
    limit: reader.uint32(),
    tag: reader.longString(),
    arguments: readFieldTable(reader),
  }
}
