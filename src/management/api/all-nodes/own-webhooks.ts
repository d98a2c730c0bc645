import type { Webhook } from '../../../broker/topology/webhook.ts'
import type { WebhookTrial } from '../../webhooks.ts'
import type { ApiParts } from '../route.ts'
import type { ToldWebhook } from './question.ts'

/** How webhooks are doing here, by id; those that are gone are left out. */
export function* ownWebhooks(
  api: Pick<ApiParts, 'broker' | 'webhooks'>,
  ids: readonly number[],
): Generator<void, Readonly<Record<string, ToldWebhook>>> {
  const told = new Map<string, ToldWebhook>()
  for (const id of ids) {
    const webhook = api.broker.topology.definition(id)
    if (webhook?.kind === 'webhook') told.set(String(id), toldOf(api, webhook))
    yield
  }
  return Object.fromEntries(told)
}

/** Tries one out from here. Null: too many are being tried. Rejects when it is gone. */
export async function ownTrial(api: Pick<ApiParts, 'broker' | 'webhooks'>, id: number): Promise<WebhookTrial | null> {
  const webhook = api.broker.topology.definition(id)
  if (webhook?.kind !== 'webhook') throw new Error('there is no such webhook any more')
  return await api.webhooks.trial(webhook)
}

/** Of a reason or an error, in UTF-16 units. */
const sentenceLengthMax = 300

export function toldOf({ webhooks }: Pick<ApiParts, 'webhooks'>, webhook: Webhook): ToldWebhook {
  const { state, reason, unacked, counts } = webhooks.report(webhook)
  return {
    state,
    reason: reason?.slice(0, sentenceLengthMax) ?? null,
    messages_unacknowledged: unacked,
    delivered: counts?.delivered ?? 0,
    failed: counts?.failed ?? 0,
    last_status: counts?.lastStatus ?? null,
    last_error: counts?.lastError?.slice(0, sentenceLengthMax) ?? null,
    last_attempt_at: counts?.lastAttemptAt ?? null,
  }
}
