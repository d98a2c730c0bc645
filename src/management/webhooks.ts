/** What the management interface is told of the webhooks that run on its node. */
import type { Histogram } from '../base/histogram.ts'
import type { Consumer } from '../broker/ports.ts'
import type { Webhook } from '../broker/topology/webhook.ts'

/**
 * - `running`: messages are pushed, or waited for
 * - `waiting`: not now; the reason is a sentence
 * - `disabled`: by whoever manages it, or because the receiver has said that it is gone
 * - `elsewhere`: the queue is served by another node, which runs it
 */
export type WebhookState = 'running' | 'waiting' | 'disabled' | 'elsewhere'

export interface WebhookReport {
  readonly state: WebhookState
  /** Null: there is nothing to say. */
  readonly reason: string | null
  /** Messages that are out: being sent, or about to be sent again. */
  readonly unacked: number
  /** Null: nothing was sent by this node yet. */
  readonly counts: WebhookCounts | null
}

/** What one webhook did on this node since it started. */
export interface WebhookCounts {
  /** Answered with 2xx. */
  delivered: number
  /** Attempts that were not. */
  failed: number
  /** Of an attempt, answered or not. */
  readonly seconds: Histogram
  /** Of the last answer; null: there was none. */
  lastStatus: number | null
  /** Why the last attempt was no success; null: it was. */
  lastError: string | null
  /** Wall time of the last attempt, in milliseconds; null: none. */
  lastAttemptAt: number | null
}

/** What came of one request that was only to be tried. */
export interface WebhookTrial {
  /** Of the answer; null: there was none. */
  readonly status: number | null
  /** Why a message would not have been delivered, as a sentence; null: it would. */
  readonly error: string | null
  /** From the lookup of the name to the head of the answer, in milliseconds. */
  readonly ms: number
}

export interface WebhookFacts {
  report(webhook: Webhook): WebhookReport
  /** Those that consume on this node. */
  running(): Iterable<{ readonly webhook: Webhook; readonly consumer: Consumer }>
  /** Sends one signed request that is no message, from this node. Null: too many are being tried already. Does not reject. */
  trial(webhook: Webhook): Promise<WebhookTrial | null>
  /** Why this node would not connect there, as far as that is known without looking a name up; null: it would. */
  whyRefused(url: URL): string | null
}
