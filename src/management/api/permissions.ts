import type { Permission, TopicPermission } from '../../broker/access/permission.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, badRequest, created, noContent, notFound } from './answer.ts'
import { listed, one } from './list.ts'
import { type ApiRequest, exchangeParam, type Fields, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import type { Row } from './view.ts'

const forAdministrators = { level: 'administrator' } as const
const ofVhost = { level: 'administrator', vhost: 'administer' } as const

/** Permissions and topic permissions, for administrators. */
export const permissionRoutes: readonly Route[] = [
  route(
    'GET',
    '/permissions',
    (api, request) => listed(api, request, permissionRows(api.broker.topology.vhosts.values())),
    forAdministrators,
  ),
  route(
    'GET',
    '/vhosts/{vhost}/permissions',
    (api, request) => listed(api, request, permissionRows([vhostOf(request)])),
    ofVhost,
  ),
  route(
    'GET',
    '/permissions/{vhost}/{user}',
    (_api, request) => one(request, permissionJson(vhostOf(request), permissionOf(request))),
    ofVhost,
  ),
  route('PUT', '/permissions/{vhost}/{user}', put, { ...forAdministrators, vhost: null }),
  route(
    'DELETE',
    '/permissions/{vhost}/{user}',
    async (api, request) => {
      const { username } = permissionOf(request)
      await api.commits.until(await api.broker.clearPermission(username, vhostOf(request).name))
      return noContent
    },
    ofVhost,
  ),
  route(
    'GET',
    '/topic-permissions',
    (api, request) => listed(api, request, topicPermissionRows(api.broker.topology.vhosts.values())),
    forAdministrators,
  ),
  route(
    'GET',
    '/vhosts/{vhost}/topic-permissions',
    (api, request) => listed(api, request, topicPermissionRows([vhostOf(request)])),
    ofVhost,
  ),
  route(
    'GET',
    '/topic-permissions/{vhost}/{user}',
    (api, request) => {
      const rows = [...topicPermissionRows([vhostOf(request)], param(request, 'user'))]
      if (rows.length === 0) throw notFound()
      return listed(api, request, rows)
    },
    ofVhost,
  ),
  route('PUT', '/topic-permissions/{vhost}/{user}', putTopic, { ...forAdministrators, vhost: null }),
  route('DELETE', '/topic-permissions/{vhost}/{user}', (api, request) => clearTopics(api, request, null), ofVhost),
  route(
    'DELETE',
    '/topic-permissions/{vhost}/{user}/{exchange}',
    (api, request) => clearTopics(api, request, exchangeParam(request, 'exchange')),
    ofVhost,
  ),
]

function permissionOf(request: ApiRequest): Permission {
  const permission = vhostOf(request).permissions.get(param(request, 'user'))
  if (permission === undefined) throw notFound()
  return permission
}

/** Of everybody, or of one user. */
export function* permissionRows(vhosts: Iterable<VhostState>, username: string | null = null): Generator<Row> {
  for (const vhost of vhosts) {
    for (const permission of vhost.permissions.values()) {
      const { username: name } = permission
      if (username === null || name === username) yield { name, json: () => permissionJson(vhost, permission) }
    }
  }
}

export function* topicPermissionRows(vhosts: Iterable<VhostState>, username: string | null = null): Generator<Row> {
  for (const vhost of vhosts) {
    for (const permission of vhost.topicPermissions.values()) {
      const { username: name } = permission
      if (username === null || name === username) yield { name, json: () => topicPermissionJson(vhost, permission) }
    }
  }
}

function permissionJson(vhost: VhostState, { username, configure, write, read }: Permission): JsonObject {
  return { user: username, vhost: vhost.name, configure: configure.text, write: write.text, read: read.text }
}

function topicPermissionJson(vhost: VhostState, permission: TopicPermission): JsonObject {
  const { username, exchange, writeText, readText } = permission
  return { user: username, vhost: vhost.name, exchange, write: writeText, read: readText }
}

async function put(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await fieldsOf(api, request, ['configure', 'write', 'read'])
  const [vhost, user] = [param(request, 'vhost'), param(request, 'user')]
  const isNew = api.broker.topology.vhosts.get(vhost)?.permissions.has(user) !== true
  const patterns = { configure: fields.text('configure'), write: fields.text('write'), read: fields.text('read') }
  await api.commits.until(await api.broker.putPermission(user, vhost, patterns))
  api.logger.info({ user, vhost, ...patterns, by: request.caller.username }, 'permission given')
  return isNew ? created() : noContent
}

async function putTopic(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await fieldsOf(api, request, ['exchange', 'write', 'read'])
  const [vhost, user] = [param(request, 'vhost'), param(request, 'user')]
  const permission = { exchange: fields.text('exchange'), write: fields.text('write'), read: fields.text('read') }
  await api.commits.until(await api.broker.putTopicPermission(user, vhost, permission))
  api.logger.info({ user, vhost, ...permission, by: request.caller.username }, 'topic permission given')
  return created()
}

/** Of one exchange, or of all. */
async function clearTopics(api: Api, request: ApiRequest, exchange: string | null): Promise<Answer> {
  const vhost = vhostOf(request).name
  await api.commits.until(await api.broker.clearTopicPermissions(param(request, 'user'), vhost, exchange))
  return noContent
}

async function fieldsOf({ broker }: Api, request: ApiRequest, keys: readonly string[]): Promise<Fields> {
  const fields = await request.fields()
  fields.require(...keys)
  const { vhosts, users } = broker.topology
  const isThere = vhosts.get(param(request, 'vhost'))?.isClosed === false && users.has(param(request, 'user'))
  if (!isThere) throw badRequest('vhost_or_user_not_found')
  return fields
}
