import { inSlices } from '../../base/sliced.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { allOf, listedOfAll } from './all-nodes/listed-of-all.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { noContent, notAuthorised, notFound } from './answer.ts'
import { closeConnections } from './connection-close.ts'
import { firstOfList, type Scope } from './connection-lists.ts'
import { one } from './list.ts'
import { spansOf } from './rates.ts'
import { type ApiRequest, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Connections, their channels and consumers, on all nodes. Who does not monitor sees those of their own. */
export const connectionRoutes: readonly Route[] = [
  route('GET', '/connections', (api, request) => listedOfAll(api, request, 'connections', visible(request))),
  route('GET', '/connections/{name}', async (api, request) => {
    const nodes = new NodesAsked(api)
    return nodes.noted(one(request, await connectionOf(api, request, nodes)))
  }),
  route('DELETE', '/connections/{name}', async (api, request) => {
    const { user } = await connectionOf(api, request, new NodesAsked(api))
    if (user !== request.caller.username && !request.caller.is('administrator')) {
      throw notAuthorised('Not administrator user')
    }
    await closed(api, { connection: param(request, 'name') }, reasonOf(request))
    return noContent
  }),
  route('GET', '/connections/username/{user}', (api, request) =>
    listedOfAll(api, request, 'connections', { ...visible(request), user: param(request, 'user') }),
  ),
  route(
    'DELETE',
    '/connections/username/{user}',
    async (api, request) => {
      const nodes = await closed(api, { user: param(request, 'user') }, reasonOf(request))
      nodes.requireAll('connections may be left')
      return noContent
    },
    { level: 'administrator' },
  ),
  route('GET', '/connections/{name}/channels', async (api, request) => {
    await connectionOf(api, request, new NodesAsked(api))
    return await listedOfAll(api, request, 'channels', { ...visible(request), connection: param(request, 'name') })
  }),
  route('GET', '/vhosts/{vhost}/connections', (api, request) =>
    listedOfAll(api, request, 'connections', { ...visible(request), vhost: vhostOf(request).name }),
  ),
  route('GET', '/channels', (api, request) => listedOfAll(api, request, 'channels', visible(request))),
  route('GET', '/vhosts/{vhost}/channels', (api, request) =>
    listedOfAll(api, request, 'channels', { ...visible(request), vhost: vhostOf(request).name }),
  ),
  route('GET', '/channels/{name}', async (api, request) => {
    const nodes = new NodesAsked(api)
    const channel = param(request, 'name')
    const found = await firstOf(api, request, nodes, { list: 'channels', scope: { ...visible(request), channel } })
    const consumers = await allOf(api, nodes, 'consumers', { channel })
    return nodes.noted(one(request, { ...found, consumer_details: consumers, publishes: [], deliveries: [] }))
  }),
  route('GET', '/consumers', (api, request) => {
    const { caller } = request
    const scope = caller.is('monitoring') ? {} : { vhosts: [...caller.visibleVhosts()].map(({ name }) => name) }
    return listedOfAll(api, request, 'consumers', scope)
  }),
  route('GET', '/consumers/{vhost}', (api, request) =>
    listedOfAll(api, request, 'consumers', { vhost: vhostOf(request).name }),
  ),
]

/** Who does not monitor sees connections of their own only. */
function visible({ caller }: ApiRequest): Scope {
  return caller.is('monitoring') ? {} : { own: caller.username }
}

/** What the client is told of why; without control characters, and short enough for a reply text. */
function reasonOf(request: ApiRequest): string {
  const given = (request.header('x-reason') ?? '').replaceAll(/\p{Cc}/gu, ' ').trim()
  return given === '' ? 'Closed via management plugin' : given.slice(0, reasonMax)
}

/** In UTF-16 units. */
const reasonMax = 200

/** Throws 404. */
function connectionOf(api: Api, request: ApiRequest, nodes: NodesAsked): Promise<JsonObject> {
  const scope = { ...visible(request), connection: param(request, 'name') }
  return firstOf(api, request, nodes, { list: 'connections', scope })
}

interface Wanted {
  readonly list: 'connections' | 'channels'
  readonly scope: Scope
}

/** Of this node, or else of another one. Throws 404. */
async function firstOf(api: Api, request: ApiRequest, nodes: NodesAsked, { list, scope }: Wanted): Promise<JsonObject> {
  const spans = spansOf(api, request)
  const own = firstOfList(api, { list, scope, spans })
  if (own !== null) return own
  const opened = await nodes.all({ ask: 'list', list, scope, spans, query: '' })
  for (const [node, { list: number, count }] of opened) {
    if (count === 0) continue
    const rows = await nodes.one(node, { ask: 'rows', list: number, from: 0, until: 1, isLast: true })
    if (rows?.[0] !== undefined) return rows[0]
  }
  throw notFound()
}

/** Ends connections wherever they are. */
async function closed(api: Api, scope: Scope, reason: string): Promise<NodesAsked> {
  const nodes = new NodesAsked(api)
  const others = nodes.all({ ask: 'close', scope, reason })
  await inSlices(api.runQueue, closeConnections(api, scope, reason))
  await others
  return nodes
}
