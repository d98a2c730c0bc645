import type { User } from '../../broker/access/user.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { limitsJson } from '../../broker/definitions/user-entry.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, noContent } from './answer.ts'
import { listed } from './list.ts'
import { type ApiRequest, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { userOf } from './users.ts'
import type { Row } from './view.ts'

const forAdministrators = { level: 'administrator' } as const
const ofVhost = { level: 'administrator', vhost: 'administer' } as const

/** Limits of vhosts and users, one at a time. */
export const limitRoutes: readonly Route[] = [
  route('GET', '/vhost-limits', (api, request) => listed(api, request, vhostRows(request.caller.visibleVhosts()))),
  route('GET', '/vhost-limits/{vhost}', (api, request) => listed(api, request, vhostRows([vhostOf(request)]))),
  route('PUT', '/vhost-limits/{vhost}/{name}', (api, request) => putVhostLimit(api, request, null), ofVhost),
  route('DELETE', '/vhost-limits/{vhost}/{name}', (api, request) => putVhostLimit(api, request, -1), ofVhost),
  route(
    'GET',
    '/user-limits',
    (api, request) => listed(api, request, userRows(api.broker.topology.users.values())),
    forAdministrators,
  ),
  route(
    'GET',
    '/user-limits/{user}',
    (api, request) => listed(api, request, userRows([userOf(api, request)])),
    forAdministrators,
  ),
  route('PUT', '/user-limits/{user}/{name}', (api, request) => putUserLimit(api, request, null), forAdministrators),
  route('DELETE', '/user-limits/{user}/{name}', (api, request) => putUserLimit(api, request, -1), forAdministrators),
]

function ofVhostJson({ limits }: VhostState): JsonObject {
  return limitsJson({ 'max-connections': limits?.maxConnections, 'max-queues': limits?.maxQueues })
}

function ofUserJson({ limits }: User): JsonObject {
  return limitsJson({ 'max-connections': limits?.maxConnections, 'max-channels': limits?.maxChannels })
}

function* vhostRows(vhosts: Iterable<VhostState>): Generator<Row> {
  for (const vhost of vhosts) {
    const { name } = vhost
    if (vhost.limits !== null) yield { name, json: () => ({ vhost: name, value: ofVhostJson(vhost) }) }
  }
}

function* userRows(users: Iterable<User>): Generator<Row> {
  for (const user of users) {
    const { name } = user
    if (user.limits !== null) yield { name, json: () => ({ user: name, value: ofUserJson(user) }) }
  }
}

/** One limit is given or taken away; the other stays. */
async function putVhostLimit(api: Api, request: ApiRequest, value: number | null): Promise<Answer> {
  const vhost = vhostOf(request)
  const limits = { ...ofVhostJson(vhost), [param(request, 'name')]: value ?? (await limitValue(request)) }
  await api.commits.until(await api.broker.putVhostLimits(vhost.name, limits))
  return noContent
}

async function putUserLimit(api: Api, request: ApiRequest, value: number | null): Promise<Answer> {
  const user = userOf(api, request)
  const limits = { ...ofUserJson(user), [param(request, 'name')]: value ?? (await limitValue(request)) }
  await api.commits.until(await api.broker.putUserLimits(user.name, limits))
  return noContent
}

async function limitValue(request: ApiRequest): Promise<number> {
  const fields = await request.fields()
  fields.require('value')
  return fields.integer('value')
}
