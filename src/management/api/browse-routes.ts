import type { Session } from '../../broker/commands.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { browsedBodyBytesMax } from '../../broker/ports.ts'
import { type Answer, ApiError, badRequest, noContent, notFound, ok } from './answer.ts'
import { type Browsed, browse, forget, restOf } from './browsing.ts'
import { inSession } from './in-session.ts'
import { jsonOfProperties, propertiesOfJson } from './message-properties.ts'
import { payloadFields, payloadJson, publishBodyBytesMax } from './message-routes.ts'
import { publishTo } from './messages.ts'
import { queueOf } from './queues.ts'
import { type ApiRequest, param, wholeNumber } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Messages looked at where they are: listed without being taken, one of them changed or taken away, and sent back where they died. */
export const browseRoutes: readonly Route[] = [
  route('GET', '/queues/{vhost}/{name}/messages', list, { vhost: 'enter' }),
  route('GET', '/queues/{vhost}/{name}/messages/{sequence}', show, { vhost: 'enter' }),
  route('PUT', '/queues/{vhost}/{name}/messages/{sequence}', edit, { bodyBytesMax: publishBodyBytesMax }),
  route('DELETE', '/queues/{vhost}/{name}/messages/{sequence}', remove),
  route('POST', '/queues/{vhost}/{name}/redrive', redrive),
  route('GET', '/queues/{vhost}/{name}/redrive', (api, request) => ok(runOf(api, request).json), { vhost: 'enter' }),
  route('DELETE', '/queues/{vhost}/{name}/redrive', (api, request) => {
    runOf(api, request).stop()
    return noContent
  }),
  route('POST', '/queues/{vhost}/{name}/redrive/undo', async (api, request) => {
    const run = runOf(api, request)
    await inSession(api, request, async (session) => void session.vhost.readableQueue(session, run.wish.from))
    run.undo(request.caller.principal)
    return { status: 202, body: run.json }
  }),
]

const listedMax = 1_000

async function list(api: Api, request: ApiRequest): Promise<Answer> {
  const { name } = queueOf(request)
  const after = wholeNumber(request, 'after', 0)
  const limit = wholeNumber(request, 'limit', 100)
  if (limit < 1 || limit > listedMax) throw badRequest(`limit has to be from 1 to ${listedMax}`)
  const bodyBytesMax = Math.min(wholeNumber(request, 'truncate', 4_096), browsedBodyBytesMax)
  const found = await inSession(api, request, (session) => browse(api, session, name, { after, limit, bodyBytesMax }))
  return ok(found.map((message) => browsedJson(message, request)))
}

function browsedJson(message: Browsed, { query }: ApiRequest): JsonObject {
  const { state, isRedelivered, arrivedAt, dueAt, bodyBytes } = message
  return {
    sequence: message.sequence,
    state,
    redelivered: isRedelivered,
    arrived_at: arrivedAt,
    deliver_at: dueAt === 0 ? null : dueAt,
    payload_bytes: bodyBytes,
    exchange: message.exchange,
    routing_key: message.routingKey,
    properties: jsonOfProperties(message.properties),
    ...payloadJson(message.payload, query.get('encoding') === 'base64' ? 'base64' : 'auto'),
  }
}

async function show(api: Api, request: ApiRequest): Promise<Answer> {
  return ok(browsedJson(await inSession(api, request, (session) => found(api, session, request)), request))
}

async function found(api: Api, session: Session, request: ApiRequest): Promise<Browsed> {
  const sequence = sequenceOf(request)
  const page = { after: sequence - 1, limit: 1, bodyBytesMax: browsedBodyBytesMax }
  const [message] = await browse(api, session, queueOf(request).name, page)
  if (message?.sequence !== sequence) throw notFound()
  return message
}

function sequenceOf(request: ApiRequest): number {
  const text = param(request, 'sequence')
  if (!/^[1-9]\d{0,14}$/.test(text)) throw notFound()
  return Number(text)
}

async function remove(api: Api, request: ApiRequest): Promise<Answer> {
  await inSession(api, request, (session) => takeAway(api, session, request))
  return noContent
}

/** 404: it is not there; 409: somebody holds it. */
async function takeAway(api: Api, session: Session, request: ApiRequest): Promise<void> {
  const { name } = queueOf(request)
  if (await forget(api, session, name, sequenceOf(request))) return
  await found(api, session, request)
  throw new ApiError(409, 'conflict', 'a consumer holds the message')
}

/** The changed message goes to the end of its queue, and then the old one away: both are there in between. */
async function edit(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const { name } = queueOf(request)
  return await inSession(api, request, async (session) => {
    const old = await found(api, session, request)
    if (old.state !== 'ready') throw new ApiError(409, 'conflict', `the message is ${old.state}`)
    const keepsPayload = !fields.has('payload')
    const rest = keepsPayload ? restOf(api, session, name, old) : null
    const properties = fields.has('properties') ? propertiesOfJson(fields.value('properties')) : old.properties
    const payload = keepsPayload ? old.payload : payloadFields(api, fields)
    const { exchange, routingKey, blindKeys } = old
    const onward = { queue: name, blindKeys, checksUser: fields.has('properties') }
    const changed = { exchange, routingKey, properties, payload, onward, ...(rest === null ? {} : { rest }) }
    const routed = await publishTo(api, session, changed)
    if (!routed) throw new ApiError(409, 'conflict', 'the queue did not take the changed message')
    await takeAway(api, session, request)
    return noContent
  })
}

// ---------------------------------------------------------------- dead letters

const rateMax = 10_000

async function redrive(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const { name, vhost } = queueOf(request)
  const rate = fields.integer('rate', 100)
  if (rate < 1 || rate > rateMax) throw badRequest(`rate has to be from 1 to ${rateMax} messages a second`)
  const countMax = fields.integer('count', Number.MAX_SAFE_INTEGER)
  if (countMax < 1) throw badRequest('count has to be 1 or more')
  const sequence = fields.has('sequence') ? fields.integer('sequence', 0) : null
  if (sequence !== null && sequence < 1) throw badRequest('sequence has to be 1 or more')
  const textOf = (key: string): string | null => (fields.has(key) ? fields.text(key) : null)
  // Whether it may be read is said now, not by a run that fails.
  await inSession(api, request, async (session) => void session.vhost.readableQueue(session, name))
  const wish = { vhost, from: name, queue: textOf('queue'), reason: textOf('reason'), sequence, countMax, rate }
  return { status: 202, body: api.redrives.start(api, request.caller.principal, wish).json }
}

function runOf(api: Api, request: ApiRequest) {
  const { name, vhost } = queueOf(request)
  const run = api.redrives.of(vhost, name)
  if (run === null) throw notFound()
  return run
}
