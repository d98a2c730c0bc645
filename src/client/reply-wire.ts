/**
 * What requests and replies say to each other besides their bodies, in headers; described in `docs/request-reply.md`.
 * A request or reply without any of them is a plain one: programs that know nothing of this client can ask and answer.
 */
import type { Delivery, OutgoingMessage } from './driver/driver.ts'
import type { MessageProperties, Table } from './driver/properties.ts'
import { textHeader } from './remote-error.ts'

/** Direct reply-to: consumed from, and put into `reply-to`, where the broker writes a name instead. */
export const replyQueue = 'amq.rabbitmq.reply-to'

/** Bodies of requests and replies: what Warren and RabbitMQ pass on, in bytes. */
export const conversationBytesMax = 16 * 1024 * 1024

export const wire = {
  /** Of a request: the one who asks knows these headers, and waits so many milliseconds. */
  timeout: 'x-warren-timeout',
  /** Of a request: parts are wanted, so many before the first credit. */
  window: 'x-warren-window',
  /** Of a reply: its kind. */
  reply: 'x-warren-reply',
  /** Of a part or an end: counted from 0. */
  part: 'x-warren-part',
  /** Of a reply with `reply-to`: the correlation id for what is told to the one who answers. */
  call: 'x-warren-call',
  /** To the one who answers: `cancel` or `credit`. */
  control: 'x-warren-control',
  /** So many parts more. */
  credit: 'x-warren-credit',
} as const

export type ReplyKind = 'value' | 'empty' | 'error' | 'accepted' | 'part' | 'end'

export function kindOf(delivery: Delivery): string {
  return textHeader(delivery.properties.headers, wire.reply) ?? 'value'
}

/** Where the one who answers hears what it is told. */
export interface Address {
  readonly replyTo: string
  readonly call: string
}

export function addressOf({ properties }: Delivery): Address | null {
  const call = textHeader(properties.headers, wire.call)
  return call === null || properties.replyTo === undefined ? null : { replyTo: properties.replyTo, call }
}

export function controlMessage({ replyTo, call }: Address, control: 'cancel' | 'credit', credit = 0): OutgoingMessage {
  const headers: Table = { [wire.control]: control, ...(control === 'credit' ? { [wire.credit]: credit } : {}) }
  return directMessage(replyTo, { correlationId: call, headers }, noBytes)
}

/** Transient, and never returned: RabbitMQ returns direct replies that are mandatory even when they arrive. */
export function directMessage(routingKey: string, properties: MessageProperties, body: Uint8Array): OutgoingMessage {
  return { exchange: '', routingKey, isMandatory: false, properties: { deliveryMode: 1, ...properties }, body }
}

const noBytes = new Uint8Array(0)
