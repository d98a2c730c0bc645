import type { Session } from '../../broker/commands.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { Outcome } from '../../broker/ports.ts'
import { queueTypeOf } from '../../broker/topology/queue-arguments.ts'
import { type Answer, ApiError, badRequest, ok } from './answer.ts'
import { inSession, openSession } from './in-session.ts'
import { type Leased, LeasingConsumer } from './leasing-consumer.ts'
import { jsonOfProperties } from './message-properties.ts'
import { payloadJson } from './message-routes.ts'
import { queueOf } from './queues.ts'
import { type ApiRequest, type Fields, wholeNumber } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Consuming over HTTP: messages are leased under tokens, by long poll or as a stream of events, and settled by them. */
export const leaseRoutes: readonly Route[] = [
  route('POST', '/queues/{vhost}/{name}/leases', take),
  route('POST', '/queues/{vhost}/{name}/leases/settle', settle),
  route('POST', '/queues/{vhost}/{name}/leases/extend', extend),
  route('GET', '/queues/{vhost}/{name}/consume', consume, { vhost: 'enter' }),
]

/** Messages of one request, or out at one time of a stream. */
const countMax = 1_000
/** How long a request may wait for a message, in milliseconds. */
const waitMsMax = 60_000
/** How long what is there may take to be read from the disk when nobody wants to wait, in milliseconds. */
const readMsMax = 2_000
const leaseMsDefault = 30_000
const leaseMsMin = 1_000
const leaseMsMax = 12 * 3_600_000
const tokensMax = 10_000

// ---------------------------------------------------------------- long poll

async function take(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const queue = consumableOf(request)
  const limit = bounded(fields.integer('count', 1), 'count', [1, countMax])
  const waitMs = bounded(fields.integer('wait_ms', 0), 'wait_ms', [0, waitMsMax])
  const leaseMs = bounded(fields.integer('lease_ms', leaseMsDefault), 'lease_ms', [leaseMsMin, leaseMsMax])
  const encoding = encodingOf(fields.textOr('encoding', 'auto'))
  const leased = await inSession(api, request, async (session) => {
    const consumer = await LeasingConsumer.open(api, session, { queue, limit, leaseMs })
    try {
      const hasSome = api.broker.topology.statusNow(queueOf(request)).ready > 0
      await arrived(api, consumer, { limit, waitMs: hasSome ? Math.max(waitMs, readMsMax) : waitMs })
      return taken(consumer)
    } finally {
      consumer.close()
    }
  })
  return ok(leased.map((one) => leasedJson(one, encoding)))
}

/** Until something is there, and then until no more comes at once. */
async function arrived(
  { clock }: Api,
  consumer: LeasingConsumer,
  { limit, waitMs }: { readonly limit: number; readonly waitMs: number },
): Promise<void> {
  if (waitMs > 0 && consumer.waitingCount === 0) {
    await new Promise<void>((resolve) => {
      const timer = clock.after(waitMs, resolve)
      void consumer.changed().then(() => {
        timer.cancel()
        resolve()
      })
    })
  }
  for (let before = -1; consumer.waitingCount < limit && (consumer.waitingCount > before || consumer.isReading); ) {
    before = consumer.waitingCount
    await new Promise<void>((resolve) => clock.soon(resolve))
    if (consumer.isOver) return
  }
}

function taken(consumer: LeasingConsumer): Leased[] {
  const leased: Leased[] = []
  for (let one = consumer.take(); one !== null; one = consumer.take()) leased.push(one)
  return leased
}

function leasedJson({ token, message }: Leased, encoding: 'auto' | 'base64'): JsonObject {
  return {
    token,
    redelivered: message.isRedelivered,
    exchange: message.exchange,
    routing_key: message.routingKey,
    payload_bytes: message.bodyBytes,
    properties: jsonOfProperties(message.properties),
    ...payloadJson(message.payload, encoding),
  }
}

/** What is read again and again has no leases, and what goes with its last consumer would go with the first request. */
function consumableOf(request: ApiRequest): string {
  const queue = queueOf(request)
  if (queueTypeOf(queue.arguments) === 'stream') throw badRequest('a stream cannot be consumed over HTTP')
  if (queue.isAutoDelete) throw badRequest('an auto-delete queue cannot be consumed over HTTP')
  return queue.name
}

function bounded(number: number, name: string, [min, max]: readonly [number, number]): number {
  if (number < min || number > max) throw badRequest(`${name} has to be from ${min} to ${max}`)
  return number
}

function encodingOf(text: string): 'auto' | 'base64' {
  if (text === 'auto' || text === 'base64') return text
  throw badRequest(`encoding '${text}' is not known: auto or base64`)
}

// ---------------------------------------------------------------- tokens

const outcomes: ReadonlyMap<string, Outcome> = new Map([
  ['ack', 'ack'],
  ['requeue', 'requeue'],
  ['fail', 'fail'],
  ['reject', 'reject'],
])

async function settle(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const outcome = outcomes.get(fields.textOr('outcome', 'ack'))
  if (outcome === undefined) throw badRequest(`outcome has to be one of ${[...outcomes.keys()].join(', ')}`)
  return ok(eachToken(api, request, fields, (token) => api.leases.settle(token, outcome)))
}

async function extend(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const ms = bounded(fields.integer('lease_ms', leaseMsDefault), 'lease_ms', [leaseMsMin, leaseMsMax])
  return ok(eachToken(api, request, fields, (token) => api.leases.extend(token, ms)))
}

/** How many tokens were good, and those that were not: their messages have gone back, or were settled. */
function eachToken(api: Api, request: ApiRequest, fields: Fields, act: (token: string) => void): JsonObject {
  fields.require('tokens')
  const { queue } = queueOf(request)
  const tokens = new Set(fields.words('tokens'))
  if (tokens.size > tokensMax) throw badRequest(`at most ${tokensMax} tokens at once`)
  const unknown: string[] = []
  for (const token of tokens) {
    if (api.leases.has(token, request.caller.username, queue)) act(token)
    else unknown.push(token)
  }
  return { done: tokens.size - unknown.length, unknown }
}

// ---------------------------------------------------------------- a stream of events

const streamsMax = 256
/** A comment is sent so often, so that a reader that is gone is noticed, in milliseconds. */
const beatMs = 15_000

async function consume(api: Api, request: ApiRequest): Promise<Answer> {
  const queue = consumableOf(request)
  const limit = bounded(wholeNumber(request, 'prefetch', 10), 'prefetch', [1, countMax])
  const leaseMs = bounded(wholeNumber(request, 'lease_ms', leaseMsDefault), 'lease_ms', [leaseMsMin, leaseMsMax])
  const encoding = encodingOf(request.query.get('encoding') ?? 'auto')
  const { leaseStreams } = api
  if (leaseStreams.open >= streamsMax) {
    throw new ApiError(429, 'too_many_requests', `${streamsMax} streams of messages are open already`)
  }
  const session = openSession(api, request)
  leaseStreams.open++
  const end = (): void => {
    leaseStreams.open--
    api.broker.closeSession(session, () => {})
  }
  try {
    const consumer = await LeasingConsumer.open(api, session, { queue, limit, leaseMs })
    const text = new MessageEvents(api, session, { consumer, encoding, end })
    return { status: 200, text, headers: { 'content-type': 'text/event-stream' } }
  } catch (error) {
    end()
    throw error
  }
}

interface Streamed {
  readonly consumer: LeasingConsumer
  readonly encoding: 'auto' | 'base64'
  end(): void
}

/** Ends at once when its reader goes, also while it waits for a message. */
class MessageEvents implements AsyncIterable<string>, AsyncIterator<string> {
  readonly #api: Api
  readonly #session: Session
  readonly #streamed: Streamed
  #hasBegun = false
  #isOver = false

  constructor(api: Api, session: Session, streamed: Streamed) {
    this.#api = api
    this.#session = session
    this.#streamed = streamed
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<string, undefined>> {
    if (!this.#hasBegun) {
      this.#hasBegun = true
      return { done: false, value: ': messages follow\n\n' }
    }
    const { consumer, encoding } = this.#streamed
    const leased = consumer.take() ?? (await this.#later())
    if (this.#isOver || consumer.isOver || !this.#isStillUser()) return await this.return()
    if (leased === null) return { done: false, value: ': still here\n\n' }
    return { done: false, value: `event: message\ndata: ${JSON.stringify(leasedJson(leased, encoding))}\n\n` }
  }

  /** Null: nothing came in the time between two beats. */
  async #later(): Promise<Leased | null> {
    const { consumer } = this.#streamed
    await new Promise<void>((resolve) => {
      const timer = this.#api.clock.after(beatMs, resolve)
      void consumer.changed().then(() => {
        timer.cancel()
        resolve()
      })
    })
    return consumer.take()
  }

  #isStillUser(): boolean {
    return this.#api.broker.topology.users.has(this.#session.principal.username)
  }

  async return(): Promise<IteratorResult<string, undefined>> {
    if (!this.#isOver) {
      this.#isOver = true
      this.#streamed.consumer.close()
      this.#streamed.end()
    }
    return { done: true, value: undefined }
  }
}
