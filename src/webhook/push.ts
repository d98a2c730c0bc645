/** One request of a webhook: its host is looked up and judged, then the message goes there, signed. */
import type { Clock } from '../base/clock.ts'
import type { PostAnswer, PostWish } from '../base/http-post.ts'
import type { Webhook } from '../broker/topology/webhook.ts'
import type { CheckedHost } from './address-check.ts'
import { type PushedMessage, requestContent } from './request-content.ts'

export interface PushParts {
  readonly clock: Clock
  /** Of the program, for `user-agent`. */
  readonly version: string
  /** Of the webhook's address. */
  readonly host: CheckedHost
  readonly poster: { post(wish: PostWish): Promise<PostAnswer>; close(): void }
}

export interface Push {
  readonly webhook: Webhook
  readonly message: PushedMessage
  readonly signal: AbortSignal
}

/** Rejects with a sentence, or the system's error, when there is no answer within the webhook's time. */
export async function push(
  { clock, version, host, poster }: PushParts,
  { webhook, message, signal }: Push,
): Promise<PostAnswer> {
  const { timeoutMs } = webhook
  const until = clock.monotonic() + timeoutMs
  const addresses = await inTime(clock, timeoutMs, host.addresses())
  const { headers, body } = requestContent(webhook, message, clock.now())
  const left = Math.max(1, Math.ceil(until - clock.monotonic()))
  const wish = { url: new URL(webhook.url), addresses, body, timeoutMs: left, signal }
  try {
    return await poster.post({ ...wish, headers: { 'user-agent': `Warren/${version}`, ...headers } })
  } catch (error) {
    host.ledNowhere()
    throw error
  }
}

/** Why an answer is no success, as a sentence; null: it is one. */
export function whyNotTaken(status: number): string | null {
  if (status >= 200 && status <= 299) return null
  return status >= 300 && status <= 399 ? `${status}: redirects are not followed` : `the answer was ${status}`
}

export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Rejects when it takes longer. */
async function inTime<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const timer = clock.after(ms, () => reject(new Error(`the name was not found in ${ms} ms`)))
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
