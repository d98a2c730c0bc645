/**
 * What nodes say to one another about a shard, on `services.shards`. One message holds whatever one turn of the event
 * loop brought for one shard:
 *
 *     commands  u8 1, u64 shard, u64 epoch, u32 attachment, u64 topology position,
 *               u64 and u64: publishes below these numbers (as sent, as stored) are settled with their publisher; commands
 *     answers   u8 2, u64 shard, u64 epoch, u32 attachment, answers
 *
 * A node *attaches* to a shard's owner each time that one, or the link to it, is new: it says which consumers it has and
 * what its clients hold (`member`, `claim` …, `attached`), hears what is stored of its publishes (`progress`), says again
 * what they have settled (`settle` …, `resettled`), and then goes on. Nothing is delivered before: what was given back to
 * an earlier owner would be taken away again. What belongs to an earlier attachment is dropped by both.
 *
 * Pieces of large bodies go on `services.bodies`: u8 1 (of a publish) or 2 (of a delivery), u64 shard, u32 attachment,
 * u32 body, u32 index, u8 1 (0: it cannot be read), bytes.
 *
 * All numbers are big-endian, as in AMQP.
 */
import type { ByteReader } from '../../amqp/byte-reader.ts'
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import { encodeLongString, encodeShortString } from '../../amqp/short-string.ts'
import { BrokerError, type BrokerErrorKind } from '../../broker/errors.ts'
import type { Outcome } from '../../broker/ports.ts'

export const MessageKind = { commands: 1, answers: 2 } as const
export const PieceKind = { ofPublish: 1, ofDelivery: 2 } as const

export const Command = {
  attach: 1,
  /** A consumer that is registered, or has left and holds something. */
  member: 2,
  /** u32 consumer (0: gets), u64 queue, u64 first, u64 last, u8 1: has been given back, and may be another's by now. */
  claim: 3,
  attached: 4,
  publish: 5,
  register: 6,
  activate: 7,
  unregister: 8,
  /** The consumer's output is full, or has room again. */
  pause: 9,
  resume: 10,
  settle: 11,
  extendLease: 12,
  get: 13,
  listScheduled: 14,
  cancelScheduled: 15,
  reschedule: 16,
  purge: 17,
  status: 18,
  /** Deliveries have been taken: u32 consumer, u32 count, u32 bytes. */
  credit: 19,
  /** One message of the credit that consumers share: u32 consumer. */
  grant: 20,
  /** Whether the consumer takes part in shared credit: u32 consumer, u8. */
  shares: 21,
  /** u32 body, u32 index. */
  readBody: 22,
  releaseBody: 23,
  /** All that had been settled before has been settled again: deliveries may begin. */
  resettled: 24,
  /** u64 queue, u64 after, u32 limit, u32 bytes of each body, u64 from which byte on. */
  browse: 25,
  /** u64 queue, u64 sequence. */
  forget: 26,
  /** Its node's clients declared the queue again: u64 queue. */
  used: 27,
} as const

export const Answer = {
  /** This node does not serve the shard under that epoch. */
  notOwner: 1,
  progress: 2,
  /** u64 first, u64 last number. */
  confirm: 3,
  refuse: 4,
  done: 5,
  failed: 6,
  deliver: 7,
  cancelled: 8,
  leaseEnded: 9,
  /** So many settlements of this attachment are stored: u64. */
  settled: 10,
  /** There may be a message for a consumer that shares credit: u32 consumer. */
  wantsGrant: 11,
  /** There was none after all. */
  grantReturned: 12,
} as const

export const commandsHeaderBytes = 1 + 8 + 8 + 4 + 8 + 8 + 8
export const answersHeaderBytes = 1 + 8 + 8 + 4
export const pieceHeaderBytes = 1 + 8 + 4 + 4 + 4 + 1

/** What has gathered is sent when it is more than this, in bytes; else when the turn ends. */
export const batchBytesMax = 256 * 1024
/** Deliveries on their way from an owner to one node, in bytes. */
export const deliveryWindowBytes = 4 * 1024 * 1024
/** What a delivery counts for besides its content, in bytes. */
export const deliveryOverheadBytes = 64

const outcomes: readonly Outcome[] = ['ack', 'requeue', 'fail', 'reject']

export function outcomeCode(outcome: Outcome): number {
  return outcomes.indexOf(outcome)
}

export function outcomeOf(code: number): Outcome {
  return outcomes[code] ?? 'requeue'
}

export function writeError(writer: ByteWriter, { kind, message }: BrokerError): void {
  encodeShortString(writer, kind)
  encodeLongString(writer, message)
}

export function readError(reader: ByteReader): BrokerError {
  const kind = reader.shortString() as BrokerErrorKind
  return new BrokerError(kind, reader.longString())
}
