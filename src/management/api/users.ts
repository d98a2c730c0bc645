import { encodedBytes, shortStringBytesMax } from '../../amqp/short-string.ts'
import { fromRabbitHash, nobodysPasswordHash, type RabbitAlgorithm } from '../../broker/access/password-hash.ts'
import type { User } from '../../broker/access/user.ts'
import { userJson } from '../../broker/definitions/user-entry.ts'
import type { Position } from '../../broker/ports.ts'
import { type Answer, badRequest, created, noContent, notFound } from './answer.ts'
import { listed, one } from './list.ts'
import { permissionRows, topicPermissionRows } from './permissions.ts'
import { type ApiRequest, type Fields, param } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { rowsOf } from './view.ts'

const forAdministrators = { level: 'administrator' } as const

/** Users, for administrators. */
export const userRoutes: readonly Route[] = [
  route('GET', '/users', (api, request) => listed(api, request, rowsOf(all(api), nameOf, userJson)), forAdministrators),
  route(
    'GET',
    '/users/without-permissions',
    (api, request) => {
      const without = [...all(api)].filter((user) => !hasRights(api, user))
      return listed(api, request, rowsOf(without, nameOf, userJson))
    },
    forAdministrators,
  ),
  route(
    'POST',
    '/users/bulk-delete',
    async (api, request) => {
      const names = (await request.fields()).words('users')
      for (const name of names) {
        if (api.broker.topology.users.has(name)) await api.commits.until(await deleteUser(api, request, name))
      }
      return noContent
    },
    forAdministrators,
  ),
  route('GET', '/users/{user}', (api, request) => one(request, userJson(userOf(api, request))), forAdministrators),
  route('PUT', '/users/{user}', put, forAdministrators),
  route(
    'DELETE',
    '/users/{user}',
    async (api, request) => {
      await api.commits.until(await deleteUser(api, request, userOf(api, request).name))
      return noContent
    },
    forAdministrators,
  ),
  route(
    'GET',
    '/users/{user}/permissions',
    (api, request) => {
      const { name } = userOf(api, request)
      return listed(api, request, permissionRows(api.broker.topology.vhosts.values(), name))
    },
    forAdministrators,
  ),
  route(
    'GET',
    '/users/{user}/topic-permissions',
    (api, request) => {
      const { name } = userOf(api, request)
      return listed(api, request, topicPermissionRows(api.broker.topology.vhosts.values(), name))
    },
    forAdministrators,
  ),
]

function all(api: Api): Iterable<User> {
  return api.broker.topology.users.values()
}

const nameOf = ({ name }: User): string => name

export function userOf(api: Api, request: ApiRequest): User {
  const user = api.broker.topology.users.get(param(request, 'user'))
  if (user === undefined) throw notFound()
  return user
}

function hasRights({ broker }: Api, { name }: User): boolean {
  for (const vhost of broker.topology.vhosts.values()) if (vhost.permissions.has(name)) return true
  return false
}

/** The connections of the user end with the user, on every node. */
async function deleteUser(api: Api, request: ApiRequest, name: string): Promise<Position> {
  const position = await api.broker.deleteUser(name)
  api.logger.info({ user: name, by: request.caller.username }, 'user deleted')
  return position
}

async function put(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  const name = param(request, 'user')
  if (!fields.has('tags')) throw badRequest('tags_not_present')
  const tags = tagsOf(fields)
  const isNew = !api.broker.topology.users.has(name)
  if (fields.has('password') && fields.has('password_hash')) {
    throw badRequest('password and password_hash cannot both be given')
  }
  const position = fields.has('password')
    ? await api.broker.putUser(name, fields.text('password'), tags)
    : await api.broker.putUserHash(name, hashOf(fields), tags)
  await api.commits.until(position)
  api.logger.info({ user: name, tags, by: request.caller.username }, isNew ? 'user made' : 'user changed')
  return isNew ? created() : noContent
}

/** Tags of one user. */
const tagsMax = 32

function tagsOf(fields: Fields): string[] {
  const tags = fields.words('tags')
  if (tags.length > tagsMax) throw badRequest(`a user may have ${tagsMax} tags`)
  if (tags.some((tag) => encodedBytes(tag) > shortStringBytesMax)) {
    throw badRequest(`a tag is longer than ${shortStringBytesMax} bytes`)
  }
  return tags
}

const algorithms: ReadonlyMap<string, RabbitAlgorithm> = new Map([
  ['rabbit_password_hashing_sha256', 'sha256'],
  ['rabbit_password_hashing_sha512', 'sha512'],
  ['rabbit_password_hashing_md5', 'md5'],
])

/** Without a hash, or with an empty one, nobody can log in with a password. */
function hashOf(fields: Fields): string {
  const given = fields.textOr('password_hash', '')
  if (given === '') return nobodysPasswordHash
  const name = fields.textOr('hashing_algorithm', 'rabbit_password_hashing_sha256')
  const algorithm = algorithms.get(name)
  if (algorithm === undefined) throw badRequest(`hashing_algorithm '${name}' is not known`)
  const stored = fromRabbitHash(algorithm, given)
  if (stored === null) throw badRequest(`password_hash is no hash of ${name}`)
  return stored
}
