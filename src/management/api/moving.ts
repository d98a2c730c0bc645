/**
 * One message from a queue to another: published there with its whole body, however large, and taken away here once that
 * is confirmed. When the node stops in between it is in both, never in neither.
 */
import type { Properties, SomeProperties } from '../../amqp/content-header.ts'
import { changeFields, emptyTable, type FieldValue } from '../../amqp/field-table.ts'
import type { Principal, Session } from '../../broker/commands.ts'
import { ApiError } from './answer.ts'
import { type Browsed, forget, MessageGone, restOf } from './browsing.ts'
import { type Outgoing, publishTo } from './messages.ts'
import type { Api } from './route.ts'

export interface Move {
  readonly from: string
  readonly to: string
  readonly message: Browsed
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

/** What cannot be published now is tried again so often, after so many milliseconds; then it is given up. */
const attemptsMax = 30
const retryMs = 1_000

export async function move(api: Api, principal: Principal, session: Session, wish: Move): Promise<Moved> {
  const { from, to, message, mark } = wish
  const rest = restOf(api, session, from, message)
  const outgoing: Outgoing = {
    exchange: '',
    routingKey: to,
    properties: marked(message.properties, mark, principal),
    payload: message.payload,
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

/** It goes to one queue, whatever it said of others, and in the name of who moves it. */
function marked({ headers, userId, ...properties }: Properties, mark: string, { username }: Principal): SomeProperties {
  const changes = new Map<string, FieldValue | null>([
    ['CC', null],
    ['BCC', null],
    [markHeader, { tag: 'S', value: mark }],
  ])
  const changed = changeFields(headers ?? emptyTable, changes)
  return { ...properties, headers: changed, userId: userId === username ? userId : null }
}

/** What `move` has written; null: nothing. */
export function markOf({ properties: { headers } }: Browsed): string | null {
  const mark = headers?.fields.get(markHeader)
  return mark?.tag === 'S' ? mark.value : null
}
