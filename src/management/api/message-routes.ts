import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { Outcome, ScheduledMessage } from '../../broker/ports.ts'
import { type Answer, badRequest, keysMissing, noContent, notFound, ok } from './answer.ts'
import { exchangeOf } from './exchanges.ts'
import { command, inSession } from './in-session.ts'
import { jsonOfProperties, propertiesOfJson } from './message-properties.ts'
import { publishTo, takeFrom } from './messages.ts'
import { queueOf } from './queues.ts'
import { type ApiRequest, type Fields, param, wholeNumber } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import type { Taken } from './taken-message.ts'

/** Of a request that carries a message, in bytes: the largest that can be published, as base64 in JSON. */
export const publishBodyBytesMax = 24 * 1024 * 1024
/** Messages that one request may take. */
export const takenCountMax = 10_000

/** Messages: published, taken, and those that wait for their time. */
export const messageRoutes: readonly Route[] = [
  route('POST', '/exchanges/{vhost}/{name}/publish', publish, { bodyBytesMax: publishBodyBytesMax }),
  route('POST', '/queues/{vhost}/{name}/get', get),
  route('GET', '/queues/{vhost}/{name}/scheduled', scheduled, { vhost: 'enter' }),
  route('PUT', '/queues/{vhost}/{name}/scheduled/{id}', reschedule),
  route('DELETE', '/queues/{vhost}/{name}/scheduled/{id}', async (api, request) => {
    const { name } = queueOf(request)
    const id = param(request, 'id')
    const count = await command<number>(api, request, (session, reply) =>
      session.vhost.cancelScheduled(session, name, id, reply),
    )
    if (count === 0) throw notFound()
    return noContent
  }),
]

async function publish(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  fields.require('properties', 'routing_key', 'payload', 'payload_encoding')
  const { name: exchange } = exchangeOf(request)
  const routingKey = fields.text('routing_key')
  const payload = payloadFields(api, fields)
  const properties = propertiesOfJson(fields.value('properties'))
  const routed = await inSession(api, request, (session) =>
    publishTo(api, session, { exchange, routingKey, properties, payload }),
  )
  return ok({ routed })
}

/** The body of a message to publish. Throws 400 for one that is too large, or is not what it says. */
export function payloadFields({ node }: Api, fields: Fields): Uint8Array {
  const payload = payloadOf(fields.text('payload'), fields.textOr('payload_encoding', 'string'))
  if (payload.length <= node.messageBytesMax) return payload
  throw badRequest(`message size ${payload.length} is larger than configured max size ${node.messageBytesMax}`)
}

function payloadOf(text: string, encoding: string): Uint8Array {
  if (encoding === 'string') return Buffer.from(text)
  if (encoding !== 'base64') throw badRequest(`payload_encoding '${encoding}' is not known: string or base64`)
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)) throw badRequest('payload is no base64')
  return Buffer.from(text, 'base64')
}

// ---------------------------------------------------------------- get

const outcomes: ReadonlyMap<string, Outcome> = new Map([
  ['ack_requeue_true', 'requeue'],
  ['ack_requeue_false', 'ack'],
  ['reject_requeue_true', 'fail'],
  ['reject_requeue_false', 'reject'],
])

async function get(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const { name } = queueOf(request)
  const missing = ['ackmode', 'count', 'encoding'].filter((key) => !fields.has(key))
  if (missing.length > 0) throw keysMissing(missing)
  const outcome = outcomes.get(fields.text('ackmode'))
  if (outcome === undefined) throw badRequest(`ackmode has to be one of ${[...outcomes.keys()].join(', ')}`)
  const encoding = fields.text('encoding')
  if (encoding !== 'auto' && encoding !== 'base64')
    throw badRequest(`encoding '${encoding}' is not known: auto or base64`)
  const count = fields.integer('count')
  if (count < 1 || count > takenCountMax) throw badRequest(`count has to be from 1 to ${takenCountMax}`)
  const bytesMax = fields.integer('truncate', Number.MAX_SAFE_INTEGER)
  if (bytesMax < 0) throw badRequest('truncate has to be 0 or more')
  const taken = await inSession(api, request, (session) => takeFrom(api, session, name, { count, outcome, bytesMax }))
  return ok(taken.map((message) => takenJson(message, encoding)))
}

function takenJson(message: Taken, encoding: 'auto' | 'base64'): JsonObject {
  return {
    payload_bytes: message.bodyBytes,
    redelivered: message.isRedelivered,
    exchange: message.exchange,
    routing_key: message.routingKey,
    message_count: message.readyLeft,
    properties: jsonOfProperties(message.properties),
    ...payloadJson(message.payload, encoding),
  }
}

/** As text where that is wanted and possible, else as base64. */
export function payloadJson(payload: Uint8Array, encoding: 'auto' | 'base64'): JsonObject {
  const text = encoding === 'auto' ? utf8Of(payload) : null
  return {
    payload: text ?? Buffer.from(payload).toString('base64'),
    payload_encoding: text === null ? 'base64' : 'string',
  }
}

function utf8Of(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

// ---------------------------------------------------------------- messages that wait for their time

const scheduledMax = 1_000

/** Warren's own: `after` is the `sequence` of the last message of the page before. */
async function scheduled(api: Api, request: ApiRequest): Promise<Answer> {
  const { name } = queueOf(request)
  const after = wholeNumber(request, 'after', 0)
  const limit = wholeNumber(request, 'limit', 100)
  if (limit < 1 || limit > scheduledMax) throw badRequest(`limit has to be from 1 to ${scheduledMax}`)
  const messages = await command<readonly ScheduledMessage[]>(api, request, (session, reply) =>
    session.vhost.listScheduled(session, name, { after, limit }, reply),
  )
  return ok(messages.map(scheduledJson))
}

function scheduledJson({ sequence, messageId, dueAt, bodyBytes, isRetry }: ScheduledMessage): JsonObject {
  return { sequence, message_id: messageId, deliver_at: dueAt, payload_bytes: bodyBytes, is_retry: isRetry }
}

async function reschedule(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  fields.require('deliver_at')
  const { name } = queueOf(request)
  const dueAt = fields.integer('deliver_at')
  const id = param(request, 'id')
  const count = await command<number>(api, request, (session, reply) =>
    session.vhost.reschedule(session, name, id, dueAt, reply),
  )
  if (count === 0) throw notFound()
  return noContent
}
