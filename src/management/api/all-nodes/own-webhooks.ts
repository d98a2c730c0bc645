import type { Webhook } from '../../../broker/topology/webhook.ts'
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
