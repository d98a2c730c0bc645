import { isAllowed } from '../../broker/access/authorise.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { queueTypeOf } from '../../broker/topology/queue-arguments.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import type { Webhook } from '../../broker/topology/webhook.ts'
import { whyNoUrl } from '../../broker/webhook-checks.ts'
import { webhookJson } from '../../broker/webhooks.ts'
import type { WebhookTrial } from '../webhooks.ts'
import { answerMsMax, NodesAsked } from './all-nodes/nodes-asked.ts'
import { type WholeWebhook, webhooksOfAll } from './all-nodes/webhooks-of-all.ts'
import { type Answer, ApiError, badRequest, created, noContent, notAuthorised, notFound, ok } from './answer.ts'
import { listed, one } from './list.ts'
import { toldName } from './nodes.ts'
import { type ApiRequest, type Fields, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { rowsOf } from './view.ts'

const level = 'policymaker' as const

/** Webhooks, and how they are doing, whichever node runs them. Secrets go in and never come out. */
export const webhookRoutes: readonly Route[] = [
  route('GET', '/webhooks', (api, request) => listOf(api, request, request.caller.visibleVhosts()), { level }),
  route('GET', '/webhooks/{vhost}', (api, request) => listOf(api, request, [vhostOf(request)]), { level }),
  route(
    'GET',
    '/webhooks/{vhost}/{name}',
    async (api, request) => {
      const webhook = webhookOf(request)
      const nodes = new NodesAsked(api)
      const whole = (await webhooksOfAll(api, nodes, [webhook])).get(webhook.id)
      return nodes.noted(one(request, shown(webhook, whole)))
    },
    { level },
  ),
  route('PUT', '/webhooks/{vhost}/{name}', put, { level }),
  route(
    'DELETE',
    '/webhooks/{vhost}/{name}',
    async (api, request) => {
      const { home, name } = webhookOf(request)
      await api.commits.until(await api.broker.deleteWebhook(home.name, name))
      return noContent
    },
    { level },
  ),
  route('POST', '/webhooks/{vhost}/{name}/test', tried, { level }),
]

/** `queue`: only those of the queues of this name. */
async function listOf(api: Api, request: ApiRequest, vhosts: Iterable<VhostState>): Promise<Answer> {
  const queue = request.query.get('queue')
  const webhooks = [...vhosts].flatMap((vhost) => [...vhost.webhooks.values()])
  const wanted = queue === null ? webhooks : webhooks.filter((webhook) => webhook.queue === queue)
  const nodes = new NodesAsked(api)
  const whole = await webhooksOfAll(api, nodes, wanted)
  const rows = rowsOf(
    wanted,
    ({ name }) => name,
    (webhook) => shown(webhook, whole.get(webhook.id)),
  )
  return nodes.noted(await listed(api, request, rows))
}

function webhookOf(request: ApiRequest): Webhook {
  const webhook = vhostOf(request).webhooks.get(param(request, 'name'))
  if (webhook === undefined) throw notFound()
  return webhook
}

/** One that was made while nodes were asked has not run yet. */
function shown(webhook: Webhook, whole: WholeWebhook = notYet): JsonObject {
  return { name: webhook.name, vhost: webhook.home.name, ...webhookJson(webhook), ...whole }
}

const notYet: WholeWebhook = {
  state: 'waiting',
  reason: 'it is about to start',
  node: null,
  messages_unacknowledged: 0,
  delivered: 0,
  failed: 0,
  last_status: null,
  last_error: null,
  last_attempt_at: null,
}

/** Sends one request from the node that would push a message: what another one reaches says nothing. */
async function tried(api: Api, request: ApiRequest): Promise<Answer> {
  const webhook = webhookOf(request)
  const nodes = new NodesAsked(api)
  const pusher = pusherOf(api, webhook)
  const trial = pusher === null ? await api.webhooks.trial(webhook) : await triedAt(nodes, pusher, webhook)
  if (trial === null) throw new ApiError(429, 'too_many_requests', 'webhooks are being tried already; ask again')
  const { status, error, ms } = trial
  const node = api.cluster === null ? api.node.name : toldName(pusher ?? api.cluster.node)
  return ok({ node, is_accepted: error === null, status, error, duration_ms: ms })
}

/** The other node that serves its queue; null: this one does, or no node. */
function pusherOf({ cluster }: Api, { home, queue: name }: Webhook): string | null {
  const queue = home.queues.get(name)
  const owner = queue === undefined || cluster === null ? null : cluster.ownerOf(queue.shardId)
  return owner === cluster?.node ? null : owner
}

/** It answers when the receiver has. */
async function triedAt(nodes: NodesAsked, node: string, webhook: Webhook): Promise<WebhookTrial | null> {
  const msMax = webhook.timeoutMs + answerMsMax
  const answer = await nodes.one(node, { ask: 'webhook-trial', id: webhook.id }, msMax)
  nodes.requireAll('the webhook has not been tried by the node that runs it')
  return answer?.trial ?? null
}

/** As RabbitMQ's parameters are listed. */
export function webhookParameter(webhook: Webhook): JsonObject {
  const { name, home } = webhook
  return { value: webhookJson(webhook), vhost: home.name, component: 'webhook', name }
}

// ---------------------------------------------------------------- change

async function put(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  fields.require('queue', 'url')
  const vhost = vhostOf(request)
  const name = param(request, 'name')
  const user = userOf(request, fields)
  checkQueue(vhost, fields.text('queue'))
  checkRight(api, vhost, { user, queue: fields.text('queue') })
  checkUrl(api, fields.text('url'))
  const isNew = !vhost.webhooks.has(name)
  await api.commits.until(await api.broker.putWebhook(vhost.name, name, { ...fields.json, user }))
  return isNew ? created() : noContent
}

/** Whose messages somebody else's webhook gets is for administrators to say: others act for themselves, also in what was another's. */
function userOf({ caller }: ApiRequest, fields: Fields): string {
  const user = fields.textOr('user', caller.username)
  if (user === caller.username || caller.is('administrator')) return user
  throw notAuthorised('only an administrator may let a webhook act for another user')
}

/** It is asked again with each message. */
function checkRight({ broker }: Api, vhost: VhostState, { user, queue }: { user: string; queue: string }): void {
  if (!broker.topology.users.has(user)) {
    throw badRequest(`user '${user}' is not a user of this broker; give user one that may read the queue`)
  }
  if (isAllowed({ username: user, tags: [] }, vhost, 'read', 'queue', queue)) return
  throw notAuthorised(`read access to queue '${queue}' in vhost '${vhost.name}' refused for user '${user}'`)
}

/** One that is not there yet is looked at when it is. */
function checkQueue(vhost: VhostState, name: string): void {
  const queue = vhost.queues.get(name)
  if (queue === undefined) return
  if (queueTypeOf(queue.arguments) === 'stream') throw badRequest('a stream cannot be pushed')
  if (queue.isAutoDelete) throw badRequest('an auto-delete queue cannot be pushed')
}

/** What is no address at all the broker says, together with what else does not fit. */
function checkUrl({ webhooks }: Api, text: string): void {
  const why = whyNoUrl(text) === null ? webhooks.whyRefused(new URL(text)) : null
  if (why !== null) throw badRequest(`url: ${why}`)
}
