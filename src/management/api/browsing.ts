import { decodeProperties, type Properties } from '../../amqp/content-header.ts'
import type { Session } from '../../broker/commands.ts'
import { type Route, routeOfBytes } from '../../broker/dead-letter/message-copy.ts'
import { isObject } from '../../broker/definitions/entry.ts'
import { jsonOfTable } from '../../broker/definitions/json-table.ts'
import { type BrowsedMessage, type BrowsePage, browsedBodyBytesMax } from '../../broker/ports.ts'
import { ApiError } from './answer.ts'
import type { BodyRest } from './messages.ts'
import type { Api } from './route.ts'

/** What was looked at, taken apart. */
export interface Browsed extends Omit<BrowsedMessage, 'content' | 'routeBytes' | 'headerBytes'>, Route {
  readonly properties: Properties
  /** Perhaps only its beginning. */
  readonly payload: Uint8Array
}

export async function browse(api: Api, session: Session, name: string, page: BrowsePage): Promise<Browsed[]> {
  const queue = session.vhost.readableQueue(session, name)
  const found = await api.commits.result<readonly BrowsedMessage[]>((reply) => queue.shard.browse(queue, page, reply))
  return found.map(browsedOf)
}

/** False: it is not there any more, or somebody holds it. */
export async function forget(api: Api, session: Session, name: string, sequence: number): Promise<boolean> {
  const queue = session.vhost.readableQueue(session, name)
  return (await api.commits.result<number>((reply) => queue.shard.forget(queue, sequence, reply))) > 0
}

function browsedOf({ content, routeBytes, headerBytes, ...facts }: BrowsedMessage): Browsed {
  const payloadStart = routeBytes + headerBytes
  return {
    ...facts,
    ...routeOfBytes(content, 0),
    properties: decodeProperties(content, routeBytes, payloadStart),
    payload: content.subarray(payloadStart),
  }
}

/** What of a body `payload` does not have; null: nothing. Its pieces are read while the message is still where it is. */
export function restOf(api: Api, session: Session, name: string, message: Browsed): BodyRest | null {
  const { sequence, bodyBytes, payload } = message
  if (payload.length >= bodyBytes) return null
  const read = async (bodyFrom: number): Promise<Uint8Array> => {
    const page = { after: sequence - 1, limit: 1, bodyBytesMax: browsedBodyBytesMax, bodyFrom }
    const [now] = await browse(api, session, name, page)
    if (now?.sequence !== sequence || now.payload.length === 0) throw new MessageGone()
    return now.payload
  }
  return { bodyBytes, read }
}

/** Somebody took the message while its body was read. */
export class MessageGone extends ApiError {
  constructor() {
    super(409, 'conflict', 'the message was taken meanwhile')
  }
}

/** Where a message died last, and why. */
export interface LastDeath {
  readonly queue: string
  readonly reason: string
  readonly exchange: string
  /** Of the first such death, in seconds since 1970; 0: not told. */
  readonly seconds: number
}

/** By its headers, as far as they have the form that a broker gives them; null: it has not died. */
export function lastDeathOf({ headers }: Properties): LastDeath | null {
  const deaths = headers === null ? null : jsonOfTable(headers)['x-death']
  const death: unknown = Array.isArray(deaths) ? deaths[0] : null
  if (!isObject(death)) return null
  const { queue, reason, exchange, time } = death
  if (typeof queue !== 'string' || typeof reason !== 'string' || typeof exchange !== 'string') return null
  return { queue, reason, exchange, seconds: typeof time === 'number' ? time : 0 }
}
