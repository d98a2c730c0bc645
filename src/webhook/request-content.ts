/** A message as the request that pushes it: body and headers. Nothing that a publisher wrote can end a header or begin another. */
import type { Properties } from '../amqp/content-header.ts'
import type { Webhook } from '../broker/topology/webhook.ts'
import { jsonOfProperties } from '../management/api/message-properties.ts'
import type { Taken } from '../management/api/taken-message.ts'
import { signatureOf } from './signature.ts'

export interface PushedMessage {
  readonly taken: Taken
  readonly queueId: number
  readonly sequence: number
}

export interface RequestContent {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** `now`: wall time in milliseconds, which the signature holds. */
export function requestContent(webhook: Webhook, message: PushedMessage, now: number): RequestContent {
  const { taken } = message
  const body = webhook.contentMode === 'json' ? jsonBody(webhook, taken) : taken.payload
  const id = idOf(message)
  const timestamp = Math.floor(now / 1_000)
  const { secret, previousSecret, headers } = webhook
  const secrets = previousSecret === null ? [secret] : [secret, previousSecret]
  return {
    body,
    headers: {
      ...headers,
      ...contentHeaders(webhook, taken.properties),
      ...messageHeaders(webhook, taken),
      ...traceHeaders(taken.properties),
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatureOf({ id, timestamp, body }, secrets),
    },
  }
}

/** The publisher's own id, or one that the message keeps however often it is delivered. */
function idOf({ taken, queueId, sequence }: PushedMessage): string {
  const { messageId } = taken.properties
  if (messageId !== null && messageId !== '') return headerText(messageId).replaceAll('.', '%2E')
  return `msg_${queueId}_${sequence}`
}

function contentHeaders(
  { contentMode }: Webhook,
  { contentType, contentEncoding }: Properties,
): Record<string, string> {
  if (contentMode === 'json') return { 'content-type': 'application/json' }
  const type = contentType === null || !/^[\x20-\x7e]+$/.test(contentType) ? 'application/octet-stream' : contentType
  const hasEncoding = contentEncoding !== null && /^[\w!#$%&'*+.^`|~, -]+$/.test(contentEncoding)
  return { 'content-type': type, ...(hasEncoding ? { 'content-encoding': contentEncoding } : {}) }
}

function messageHeaders({ queue, home, name }: Webhook, taken: Taken): Record<string, string> {
  const { exchange, routingKey, isRedelivered, properties } = taken
  const texts: Readonly<Record<string, string | null>> = {
    'warren-webhook': name,
    'warren-vhost': home.name,
    'warren-queue': queue,
    'warren-exchange': exchange,
    'warren-routing-key': routingKey,
    'warren-message-id': properties.messageId,
    'warren-correlation-id': properties.correlationId,
    'warren-type': properties.type,
    'warren-app-id': properties.appId,
    'warren-timestamp': properties.timestamp === null ? null : String(properties.timestamp),
    'warren-redelivered': String(isRedelivered),
    'warren-delivery-count': String(deliveryCountOf(properties)),
  }
  const headers: Record<string, string> = {}
  for (const [key, text] of Object.entries(texts)) if (text !== null) headers[key] = headerText(text)
  return headers
}

/** Failed deliveries so far. */
export function deliveryCountOf({ headers }: Properties): number {
  const count = Number(headers?.fields.get('x-delivery-count')?.value ?? 0)
  return Number.isSafeInteger(count) && count > 0 ? count : 0
}

/** W3C Trace Context, where the publisher's is in order. */
function traceHeaders({ headers }: Properties): Record<string, string> {
  const parent = headers?.fields.get('traceparent')?.value
  const state = headers?.fields.get('tracestate')?.value
  if (typeof parent !== 'string' || !/^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/.test(parent)) return {}
  const hasState = typeof state === 'string' && /^[\x21-\x7e][\x20-\x7e]{0,510}$/.test(state)
  return { traceparent: parent, ...(hasState ? { tracestate: state } : {}) }
}

/** Percent-encoded, as UTF-8, wherever it is not visible ASCII; so is `%` itself. */
export function headerText(text: string): string {
  if (/^[\x21-\x24\x26-\x7e]*$/.test(text)) return text
  let encoded = ''
  for (const byte of Buffer.from(text)) {
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x25
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

function jsonBody(
  { queue, home }: Webhook,
  { exchange, routingKey, isRedelivered, properties, payload }: Taken,
): Uint8Array {
  const route = { vhost: home.name, queue, exchange, routing_key: routingKey, redelivered: isRedelivered }
  return Buffer.from(JSON.stringify({ ...route, properties: jsonOfProperties(properties), ...payloadOf(payload) }))
}

function payloadOf(payload: Uint8Array): { payload: string; payload_encoding: 'string' | 'base64' } {
  try {
    return {
      payload: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload),
      payload_encoding: 'string',
    }
  } catch {
    // No text: as bytes.
    return { payload: Buffer.from(payload).toString('base64'), payload_encoding: 'base64' }
  }
}
