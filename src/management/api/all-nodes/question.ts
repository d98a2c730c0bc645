/**
 * What a node asks another one for those who look after the cluster, as JSON. Nodes trust one another: who may see or do
 * what has been checked by the node that asks, and stands in the question as a scope.
 *
 * A list is opened, then read: who pages gets keys and rows of what he needs, not all there is.
 */
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import type { WebhookState, WebhookTrial } from '../../webhooks.ts'
import type { Scope } from '../connection-lists.ts'
import type { Spans } from '../rates.ts'

export type Question =
  /** Opens a list. */
  | OpenQuestion
  /** What entries `from` to `until` are sorted by, as many as fit in an answer. */
  | { readonly ask: 'keys'; readonly list: number; readonly from: number; readonly until: number }
  /** Entries `from` to `until`, as many as fit; `isLast`: nobody asks for more of this list. */
  | {
      readonly ask: 'rows'
      readonly list: number
      readonly from: number
      readonly until: number
      readonly isLast: boolean
    }
  /** Ends these connections. */
  | { readonly ask: 'close'; readonly scope: Scope; readonly reason: string }
  | { readonly ask: 'overview'; readonly scope: OverviewScope; readonly spans: Spans }
  /** `GET /nodes/{name}`. */
  | { readonly ask: 'node'; readonly spans: Spans }
  | { readonly ask: 'memory' }
  | { readonly ask: 'attempts' }
  /** What it says of itself in `GET /warren/nodes`. */
  | { readonly ask: 'report' }
  /** Ends this login, if it is not known to be ended; its id is in base64url. */
  | { readonly ask: 'login-ended'; readonly id: string; readonly begunAt: number; readonly until: number }
  /** What happened there to these, by id; vhosts by name. */
  | { readonly ask: 'stats'; readonly of: StatsOf; readonly ids: readonly (number | string)[]; readonly spans: Spans }
  /** How these are doing there, by id. */
  | { readonly ask: 'webhooks'; readonly ids: readonly number[] }
  /** Tries this one out from there. */
  | { readonly ask: 'webhook-trial'; readonly id: number }

/** Lists that nodes have a part of. `…-keys`: what queues, or exchanges, that something happened to there are sorted by. */
export type ListName = 'connections' | 'channels' | 'consumers' | 'queue-keys' | 'exchange-keys'

export interface OpenQuestion {
  readonly ask: 'list'
  readonly list: ListName
  readonly scope: Scope
  readonly spans: Spans
  /** As they stand in the query: `name`, `use_regex`, `sort`, `sort_reverse`; `page` and `page_size` where no more is wanted than as far as that page's end. */
  readonly query: string
}

/** Whose connections and vhosts; null: all. */
export interface OverviewScope {
  readonly own: string | null
  readonly vhosts: readonly string[] | null
}

export type StatsOf = 'queues' | 'exchanges' | 'vhosts'

export interface OpenedList {
  readonly list: number
  /** Before and after the name was looked at. */
  readonly total: number
  readonly count: number
}

export interface OverviewPart {
  readonly connections: number
  readonly channels: number
  readonly message_stats: JsonObject
  readonly churn_rates: JsonObject
  readonly listeners: readonly JsonObject[]
  readonly contexts: readonly JsonObject[]
}

/** As the API shows it. */
export interface ToldWebhook {
  readonly state: WebhookState
  readonly reason: string | null
  readonly messages_unacknowledged: number
  readonly delivered: number
  readonly failed: number
  readonly last_status: number | null
  readonly last_error: string | null
  readonly last_attempt_at: number | null
}

/** By what is asked. */
export interface Answers {
  readonly list: OpenedList
  readonly keys: readonly unknown[]
  readonly rows: readonly JsonObject[]
  readonly close: { readonly closed: number }
  readonly overview: OverviewPart
  readonly node: JsonObject
  readonly memory: JsonObject
  readonly attempts: readonly JsonObject[]
  readonly report: JsonObject
  readonly 'login-ended': JsonObject
  readonly stats: Readonly<Record<string, JsonObject>>
  readonly webhooks: Readonly<Record<string, ToldWebhook>>
  /** Null: too many are being tried there. */
  readonly 'webhook-trial': { readonly trial: WebhookTrial | null }
}
export type AnswerTo<Q extends Question> = Answers[Q['ask']]

/** Of keys or rows in one answer, as JSON in UTF-16 units: an answer is far below what a link carries at once. */
export const answerLengthMax = 192 * 1024
