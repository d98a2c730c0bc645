/** How webhooks are doing, over all nodes: the state where they run, counts of all, and the last attempt wherever it was. */
import { inSlices } from '../../../base/sliced.ts'
import type { Webhook } from '../../../broker/topology/webhook.ts'
import { toldName } from '../nodes.ts'
import type { Api } from '../route.ts'
import type { NodesAsked } from './nodes-asked.ts'
import { ownWebhooks } from './own-webhooks.ts'
import type { ToldWebhook } from './question.ts'

export interface WholeWebhook extends ToldWebhook {
  /** The node that runs it, as it is told; null: none does. */
  readonly node: string | null
}

/** Webhooks in one question: what is told of so many fits in an answer. */
const askedAtOnce = 200

/** By id. */
export async function webhooksOfAll(
  api: Api,
  nodes: NodesAsked,
  webhooks: readonly Webhook[],
): Promise<ReadonlyMap<number, WholeWebhook>> {
  const found = new Map<number, WholeWebhook>()
  const ownName = api.cluster === null ? api.node.name : toldName(api.cluster.node)
  for (let at = 0; at < webhooks.length; at += askedAtOnce) {
    const ids = webhooks.slice(at, at + askedAtOnce).map(({ id }) => id)
    const others = await nodes.all({ ask: 'webhooks', ids })
    const own = await inSlices(api.runQueue, ownWebhooks(api, ids))
    const parts: readonly Part[] = [[ownName, own], ...others.map(([node, part]) => [toldName(node), part] as const)]
    for (const id of ids) {
      const whole = wholeOf(toldBy(parts, id), nodes.unanswered)
      if (whole !== null) found.set(id, whole)
    }
  }
  return found
}

type Part = readonly [node: string, told: Readonly<Record<string, ToldWebhook>>]
type Told = readonly [node: string, told: ToldWebhook]

function toldBy(parts: readonly Part[], id: number): Told[] {
  return parts.flatMap(([node, told]) => {
    const one = told[String(id)]
    return one === undefined ? [] : [[node, one] as const]
  })
}

/** Null: no node knows it any more. */
export function wholeOf(told: readonly Told[], unanswered: readonly string[]): WholeWebhook | null {
  const [first] = told
  if (first === undefined) return null
  const all = told.map(([, one]) => one)
  return { ...placeOf(told, first, unanswered), ...countsOf(all) }
}

function placeOf(
  told: readonly Told[],
  [, own]: Told,
  unanswered: readonly string[],
): Pick<WholeWebhook, 'state' | 'reason' | 'node'> {
  const running = told.find(([, { state }]) => state === 'running')
  const here = running ?? told.find(([, { state }]) => state !== 'elsewhere')
  if (here !== undefined) {
    const [node, { state, reason }] = here
    // What all nodes say alike is of no node: that it is switched off, that there is no such queue.
    const isOfNode = running !== undefined || told.length === 1 || told.some(([, one]) => one.state === 'elsewhere')
    return { state, reason, node: isOfNode && state !== 'disabled' ? node : null }
  }
  if (unanswered.length === 0) return { state: 'waiting', reason: 'no node serves its queue now', node: null }
  return { state: own.state, reason: `no answer of ${unanswered.join(', ')}`, node: null }
}

type Counts = Omit<WholeWebhook, 'state' | 'reason' | 'node'>

function countsOf(all: readonly ToldWebhook[]): Counts {
  const sum = (value: (told: ToldWebhook) => number): number => all.reduce((total, told) => total + value(told), 0)
  const latest = all.reduce((one, other) => ((other.last_attempt_at ?? 0) > (one.last_attempt_at ?? 0) ? other : one))
  return {
    messages_unacknowledged: sum((told) => told.messages_unacknowledged),
    delivered: sum((told) => told.delivered),
    failed: sum((told) => told.failed),
    last_status: latest.last_status,
    last_error: latest.last_error,
    last_attempt_at: latest.last_attempt_at,
  }
}
