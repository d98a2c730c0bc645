/** A request that is no message, sent to see whether a webhook's receiver takes it. */
import type { Random } from '../base/random.ts'
import type { Webhook } from '../broker/topology/webhook.ts'
import type { WebhookTrial } from '../management/webhooks.ts'
import { type PushParts, push, sentenceOf, whyNotTaken } from './push.ts'
import type { PushedMessage } from './request-content.ts'

/** What receivers know it by: the property `type` of the message. */
export const trialType = 'warren.webhook.test'

/** Does not reject. */
export async function tryOut(webhook: Webhook, parts: PushParts & { readonly random: Random }): Promise<WebhookTrial> {
  const { clock } = parts
  const begin = clock.monotonic()
  const told = (status: number | null, error: string | null): WebhookTrial => ({
    status,
    error,
    ms: Math.round(clock.monotonic() - begin),
  })
  try {
    const message = trialMessage(webhook, parts.random, clock.now())
    const { status } = await push(parts, { webhook, message, signal: new AbortController().signal })
    return told(status, whyNotTaken(status))
  } catch (error) {
    return told(null, sentenceOf(error))
  } finally {
    parts.poster.close()
  }
}

/** `now`: wall time in milliseconds. */
function trialMessage({ name, queue }: Webhook, random: Random, now: number): PushedMessage {
  const payload = Buffer.from(JSON.stringify({ test: true, webhook: name }))
  const properties = {
    ...{ contentType: 'application/json', contentEncoding: null, headers: null, deliveryMode: null, priority: null },
    ...{ correlationId: null, replyTo: null, expiration: null, userId: null, appId: null },
    messageId: `test_${Buffer.from(random.bytes(12)).toString('base64url')}`,
    timestamp: Math.floor(now / 1_000),
    type: trialType,
    clusterId: null,
  }
  const taken = { exchange: '', routingKey: queue, properties, isRedelivered: false, readyLeft: 0, payload }
  return { taken: { ...taken, bodyBytes: payload.length }, queueId: 0, sequence: 0 }
}
