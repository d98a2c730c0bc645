/**
 * One message from a queue to another: published there with its whole body, however large, and taken away here once that
 * is confirmed. When the node stops in between it is in both, never in neither.
 */
import type { SomeProperties } from '../../amqp/content-header.ts'
import { changeFields, emptyTable, type FieldValue, fieldTable } from '../../amqp/field-table.ts'
import { encodedBytes, shortStringBytesMax } from '../../amqp/short-string.ts'
import type { Session } from '../../broker/commands.ts'
import type { Route } from '../../broker/dead-letter/message-copy.ts'
import { ApiError } from './answer.ts'
import { type Browsed, forget, MessageGone, restOf } from './browsing.ts'
import { type Outgoing, publishTo } from './messages.ts'
import type { Api } from './route.ts'

export interface Move {
  readonly from: string
  readonly to: string
  readonly message: Browsed
  /** Away from where it was, or back to there, as it was. */
  readonly direction: 'away' | 'back'
  /** Written into the header `x-redrive`, by which an undo finds it. */
  readonly mark: string
  /** What blocks publishers passes; it is waited for as long as this says so. */
  readonly mayWait: () => boolean
}

/**
 * `moved`; `copied`: it is there, but somebody took the one here in the meantime; `left`: no queue took it, or it was
 * gone before it was there. Rejects with what else may go wrong: it may then be there and here.
 */
export type Moved = 'moved' | 'copied' | 'left'

export const markHeader = 'x-redrive'
/** Exchange and routing key that the message had where it was, for its way back. */
const originHeader = 'x-redrive-origin'

/** What cannot be published now is tried again so often, after so many milliseconds; then it is given up. */
const attemptsMax = 30
const retryMs = 1_000

export async function move(api: Api, session: Session, wish: Move): Promise<Moved> {
  const { from, to, message, direction } = wish
  const rest = restOf(api, session, from, message)
  const outgoing: Outgoing = {
    ...(direction === 'away' ? { exchange: '', routingKey: to } : (originOf(message) ?? message)),
    properties: marked(wish),
    payload: message.payload,
    onward: { queue: to, blindKeys: message.blindKeys, checksUser: false },
    ...(rest === null ? {} : { rest }),
  }
  try {
    if (!(await published(api, session, outgoing, wish.mayWait))) return 'left'
  } catch (error) {
    if (error instanceof MessageGone) return 'left'
    throw error
  }
  return (await forget(api, session, from, message.sequence)) ? 'moved' : 'copied'
}

async function published(api: Api, session: Session, outgoing: Outgoing, mayWait: () => boolean): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await publishTo(api, session, outgoing)
    } catch (error) {
      const mayPass = error instanceof ApiError && error.status === 503
      if (!mayPass || attempt === attemptsMax || !mayWait()) throw error
    }
    await new Promise<void>((resolve) => void api.clock.after(retryMs, resolve))
  }
}

/** All else stays as it is. */
function marked({ message, mark, direction }: Move): SomeProperties {
  const { headers, ...properties } = message.properties
  const changes = new Map<string, FieldValue | null>([
    [markHeader, { tag: 'S', value: mark }],
    [originHeader, direction === 'away' ? originField(message) : null],
  ])
  return { ...properties, headers: changeFields(headers ?? emptyTable, changes) }
}

function originField({ exchange, routingKey }: Route): FieldValue {
  const fields = Object.entries({ exchange, 'routing-key': routingKey })
  return { tag: 'F', value: fieldTable(new Map(fields.map(([name, value]) => [name, { tag: 'S', value }]))) }
}

/** Null: it has none, or one of another form, which somebody else wrote. */
function originOf({ properties: { headers } }: Browsed): Route | null {
  const origin = headers?.fields.get(originHeader)
  if (origin?.tag !== 'F') return null
  const [exchange, routingKey] = ['exchange', 'routing-key'].map((name) => origin.value.fields.get(name))
  const areNames = [exchange, routingKey].every(
    (field) => field?.tag === 'S' && encodedBytes(field.value) <= shortStringBytesMax,
  )
  return areNames ? { exchange: String(exchange?.value), routingKey: String(routingKey?.value) } : null
}

/** What `move` has written; null: nothing. */
export function markOf({ properties: { headers } }: Browsed): string | null {
  const mark = headers?.fields.get(markHeader)
  return mark?.tag === 'S' ? mark.value : null
}
