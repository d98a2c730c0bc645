import { ByteWriter } from '../../amqp/byte-writer.ts'
import { checkContentHeader, encodeContentHeader, flagsOf, type SomeProperties } from '../../amqp/content-header.ts'
import { changeFields, type FieldTable } from '../../amqp/field-table.ts'
import { encodeShortString } from '../../amqp/short-string.ts'
import type { Route, Session } from '../../broker/commands.ts'
import { chunkBytes, Message } from '../../broker/message.ts'
import { MessageTraits } from '../../broker/message-traits.ts'
import type { Outcome, Queue } from '../../broker/ports.ts'
import { countUnroutable } from '../../broker/statistics/counting.ts'
import { countsOf } from '../../broker/statistics/message-counts.ts'
import { PublishRequest } from '../../server/publish-request.ts'
import { ApiError, badRequest } from './answer.ts'
import type { Api } from './route.ts'
import { type Taken, takenOf } from './taken-message.ts'

/** One message to publish. */
export interface Outgoing {
  readonly exchange: string
  readonly routingKey: string
  readonly properties: SomeProperties
  /** The body, or of one that is read piece by piece its first piece. */
  readonly payload: Uint8Array
  /** Of a body that is not all in `payload`. */
  readonly rest?: BodyRest
  /** Left out: it is new, and goes where exchange and routing key lead. */
  readonly onward?: Onward
}

/**
 * What has been published before goes on to one queue: whatever its exchange, routing key, CC and BCC say, at once, and
 * never as a duplicate of itself. A queue that is full and refuses it leaves it where it was.
 */
export interface Onward {
  readonly queue: string
  /** Keys of BCC, which the message does not tell itself. */
  readonly blindKeys: readonly string[]
  /** Whether a user id has to be that of whoever moves it: not of a message that stays as it was. */
  readonly checksUser: boolean
}

/** The pieces of a body behind its first one. */
export interface BodyRest {
  /** Of the whole body. */
  readonly bodyBytes: number
  /** The piece that begins at this byte. Rejects when the body is not there any more. */
  read(from: number): Promise<Uint8Array>
}

const bytesOf = ({ payload, rest }: Outgoing): number => rest?.bodyBytes ?? payload.length

/**
 * Publishes as a channel would, with the same checks in the same order, and waits for the confirm. False when no queue
 * got it, or one refused it.
 */
export async function publishTo(api: Api, session: Session, outgoing: Outgoing): Promise<boolean> {
  await gateOpen(api)
  const { vhost } = session
  const { message, moreKeys } = messageOf(api, session, outgoing)
  const route = emptyRoute()
  const { exchange, routingKey } = wayOf(outgoing)
  vhost.resolve(session, exchange, routingKey, message, route, moreKeys)
  if (route.count === 0) {
    vhost.counts.publish++
    if (route.exchangeCounts !== null) route.exchangeCounts.publishIn++
    countUnroutable(vhost.counts, false)
    await api.commits.until(api.broker.topologyPending)
    return false
  }
  if (bytesOf(outgoing) > chunkBytes) await giveInPieces(api, session, { route, message, outgoing })
  return await new Promise<boolean>((resolve) => {
    vhost.publish(route, message, { confirm: () => resolve(confirmed(vhost)), refuse: () => resolve(false) }, 1)
  })
}

/** By which it is routed; in what moves on stand those of its first publish. */
function wayOf({ exchange, routingKey, onward }: Outgoing): { exchange: string; routingKey: string } {
  return onward === undefined ? { exchange, routingKey } : { exchange: '', routingKey: onward.queue }
}

function confirmed({ counts }: Session['vhost']): true {
  counts.confirm++
  return true
}

const emptyRoute = (): Route => ({
  queues: [],
  count: 0,
  hasDurable: false,
  version: -1,
  isCacheable: false,
  exchangeCounts: null,
})

/** How often, and in how many milliseconds, it is looked whether publishers may go on. */
const gateLooks = 500
const gateLookMs = 10

async function gateOpen({ broker, clock }: Api): Promise<void> {
  for (let look = 0; look < gateLooks && broker.publishGate === 'congested'; look++) {
    await new Promise<void>((resolve) => void clock.after(gateLookMs, resolve))
  }
  if (broker.publishGate === 'open') return
  const why = broker.alarms.length === 0 ? 'the log is behind' : `an alarm is on: ${broker.alarms.join(', ')}`
  throw new ApiError(503, 'service_unavailable', `nothing can be published now: ${why}`)
}

// ---------------------------------------------------------------- out

/** Checks what the properties ask for; throws 406 and the like as `server/publish-request.ts` does. */
function messageOf(
  { clock }: Api,
  session: Session,
  outgoing: Outgoing,
): { message: Message; moreKeys: readonly string[] } {
  const request = new PublishRequest()
  const header = headerOf(outgoing.properties, bytesOf(outgoing))
  checkContentHeader(header, 0, header.length)
  request.read(header, 0, header.length, flagsOf(header, 0, header.length))
  session.vhost.checkPublish(session, wayOf(outgoing).exchange)
  if (request.wantsReply) throw badRequest('fast reply consumer does not exist')
  const traits = request.isPlain ? null : request.check(clock.now())
  const { properties, onward } = outgoing
  if (onward?.checksUser !== false) request.checkUserId(session.principal)
  const isShown = onward !== undefined || !request.hasBcc
  const shown = isShown ? properties : { ...properties, headers: withoutBcc(properties.headers ?? null) }
  const message = written({ ...outgoing, properties: shown })
  message.isPersistent = properties.deliveryMode === 2
  message.traits = onward === undefined ? traits : traitsOnward(traits, onward)
  return { message, moreKeys: onward === undefined ? request.moreKeys : [] }
}

function traitsOnward(from: MessageTraits | null, { blindKeys }: Onward): MessageTraits {
  const traits = from?.copy() ?? new MessageTraits()
  traits.dueAt = 0
  traits.blindKeys = blindKeys
  traits.isDeadLetter = true
  return traits
}

function withoutBcc(headers: FieldTable | null): FieldTable | null {
  return headers === null ? null : changeFields(headers, new Map([['BCC', null]]))
}

function headerOf(properties: SomeProperties, bodyBytes: number): Uint8Array {
  const writer = new ByteWriter()
  encodeContentHeader(writer, bodyBytes, properties)
  return writer.copy()
}

/** In parts form; a large body comes later, in pieces. */
function written(outgoing: Outgoing): Message {
  const { exchange, routingKey, properties, payload } = outgoing
  const bodyBytes = bytesOf(outgoing)
  const writer = new ByteWriter()
  encodeShortString(writer, exchange)
  encodeShortString(writer, routingKey)
  const contentStart = writer.length
  const header = headerOf(properties, bodyBytes)
  writer.uint32(header.length)
  writer.bytes(header, 0, header.length)
  if (bodyBytes <= chunkBytes) writer.bytes(payload, 0, payload.length)
  const message = new Message()
  message.buffer = writer.buffer
  message.routeEnd = contentStart
  message.contentStart = contentStart
  message.contentEnd = writer.length
  message.bodyBytes = bodyBytes
  return message
}

interface Given {
  readonly route: Route
  readonly message: Message
  readonly outgoing: Outgoing
}

/** Never more than one piece of what is read is in memory. */
async function giveInPieces(api: Api, { vhost }: Session, { route, message, outgoing }: Given): Promise<void> {
  const bodyBytes = bytesOf(outgoing)
  const body = vhost.openBody(route, message.isPersistent, bodyBytes)
  try {
    for (let piece = outgoing.payload, at = 0; ; ) {
      for (let from = 0; from < piece.length; from += chunkBytes) {
        body.append(piece, from, Math.min(piece.length, from + chunkBytes))
      }
      at += piece.length
      if (outgoing.rest === undefined || at >= bodyBytes) break
      await gateOpen(api)
      piece = await outgoing.rest.read(at)
    }
  } catch (error) {
    body.abandon()
    throw error
  }
  message.chunks = body
}

// ---------------------------------------------------------------- in

export interface Taking {
  readonly count: number
  readonly outcome: Outcome
  /** Of each body so many bytes are read. */
  readonly bytesMax: number
}

/** All bodies of one answer together, in bytes; when there is more, fewer messages are given than were asked for. */
const takenBytesMax = 32 * 1024 * 1024

/**
 * Takes up to so many messages and then settles all of them: until then nobody else gets them. When something goes wrong
 * in between they go back.
 */
export async function takeFrom(api: Api, session: Session, queueName: string, taking: Taking): Promise<Taken[]> {
  const held: { readonly queue: Queue; readonly sequence: number }[] = []
  const taken: Taken[] = []
  let outcome: Outcome = 'requeue'
  let bytes = 0
  try {
    while (taken.length < taking.count && bytes < takenBytesMax) {
      const message = await get(
        session,
        queueName,
        (queue, sequence) => held.push({ queue, sequence }),
        taking.bytesMax,
      )
      if (message === null) break
      taken.push(message)
      bytes += message.payload.length
    }
    await api.commits.until(api.broker.topologyPending)
    outcome = taking.outcome
  } finally {
    for (const { queue, sequence } of held) {
      if (outcome === 'ack') countAck(session, queue)
      session.vhost.settle(queue, null, sequence, sequence, outcome)
    }
  }
  return taken
}

function countAck({ vhost }: Session, queue: Queue): void {
  vhost.counts.ack++
  countsOf(queue.definition).ack++
}

async function get(
  session: Session,
  queueName: string,
  hold: (queue: Queue, sequence: number) => void,
  bytesMax: number,
): Promise<Taken | null> {
  return await new Promise<Taken | null>((resolve, reject) => {
    session.vhost.get(session, queueName, false, {
      message: (queue, message, sequence, isRedelivered, readyLeft) => {
        hold(queue, sequence)
        session.vhost.counts.got(false, isRedelivered)
        countsOf(queue.definition).got(false, isRedelivered)
        takenOf(message, { isRedelivered, readyLeft, bytesMax }, resolve, reject)
      },
      empty: () => {
        session.vhost.counts.getEmpty++
        resolve(null)
      },
      failed: reject,
    })
  })
}
