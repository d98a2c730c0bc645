/**
 * Who may call which route: every route with every tag, in a vhost of the caller's own and in another, against one table;
 * and what of an operation each permission pattern decides.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { routes } from '../../../src/management/api/routes.ts'
import { ApiHarness, type Tag, tags } from './api-harness.ts'

type Who = 'management' | 'policymaker' | 'monitoring' | 'administrator'
/**
 * Where the vhost is one in which the caller has no permission row: `see` lets those in who may see all, `enter` nobody,
 * `any` does not ask.
 */
type Where = 'see' | 'enter' | 'any'

/** `METHOD path` → the least tag, and what is asked of the vhost. A route without a row fails. */
const table: Readonly<Record<string, readonly [Who, Where]>> = {
  'GET /whoami': ['management', 'any'],
  'POST /session': ['management', 'any'],
  'DELETE /session': ['management', 'any'],
  'GET /overview': ['management', 'any'],
  'GET /cluster-name': ['management', 'any'],
  'PUT /cluster-name': ['administrator', 'any'],
  'GET /extensions': ['management', 'any'],
  'GET /auth': ['management', 'any'],
  'GET /nodes': ['monitoring', 'any'],
  'GET /auth/attempts/{name}': ['monitoring', 'any'],
  'GET /nodes/{name}': ['monitoring', 'any'],
  'GET /warren/cluster': ['monitoring', 'any'],
  'PUT /warren/cluster/drain': ['administrator', 'any'],
  'DELETE /warren/cluster/nodes/{node}': ['administrator', 'any'],
  'PUT /warren/reload': ['administrator', 'any'],
  'GET /vhosts': ['management', 'any'],
  'GET /vhosts/{vhost}': ['management', 'see'],
  'PUT /vhosts/{vhost}': ['administrator', 'any'],
  'DELETE /vhosts/{vhost}': ['administrator', 'any'],
  'GET /users': ['administrator', 'any'],
  'GET /users/without-permissions': ['administrator', 'any'],
  'POST /users/bulk-delete': ['administrator', 'any'],
  'GET /users/{user}': ['administrator', 'any'],
  'PUT /users/{user}': ['administrator', 'any'],
  'DELETE /users/{user}': ['administrator', 'any'],
  'GET /users/{user}/permissions': ['administrator', 'any'],
  'GET /users/{user}/topic-permissions': ['administrator', 'any'],
  'GET /permissions': ['administrator', 'any'],
  'GET /vhosts/{vhost}/permissions': ['administrator', 'any'],
  'GET /permissions/{vhost}/{user}': ['administrator', 'any'],
  'PUT /permissions/{vhost}/{user}': ['administrator', 'any'],
  'DELETE /permissions/{vhost}/{user}': ['administrator', 'any'],
  'GET /topic-permissions': ['administrator', 'any'],
  'GET /vhosts/{vhost}/topic-permissions': ['administrator', 'any'],
  'GET /topic-permissions/{vhost}/{user}': ['administrator', 'any'],
  'PUT /topic-permissions/{vhost}/{user}': ['administrator', 'any'],
  'DELETE /topic-permissions/{vhost}/{user}': ['administrator', 'any'],
  'DELETE /topic-permissions/{vhost}/{user}/{exchange}': ['administrator', 'any'],
  'GET /connections': ['management', 'any'],
  'GET /connections/{name}': ['management', 'any'],
  'DELETE /connections/{name}': ['management', 'any'],
  'GET /connections/username/{user}': ['management', 'any'],
  'DELETE /connections/username/{user}': ['administrator', 'any'],
  'GET /connections/{name}/channels': ['management', 'any'],
  'GET /vhosts/{vhost}/connections': ['management', 'see'],
  'GET /channels': ['management', 'any'],
  'GET /vhosts/{vhost}/channels': ['management', 'see'],
  'GET /channels/{name}': ['management', 'any'],
  'GET /consumers': ['management', 'any'],
  'GET /consumers/{vhost}': ['management', 'see'],
  'GET /exchanges': ['management', 'any'],
  'GET /exchanges/{vhost}': ['management', 'see'],
  'GET /exchanges/{vhost}/{name}': ['management', 'see'],
  'PUT /exchanges/{vhost}/{name}': ['management', 'enter'],
  'DELETE /exchanges/{vhost}/{name}': ['management', 'enter'],
  'GET /exchanges/{vhost}/{name}/bindings/source': ['management', 'see'],
  'GET /exchanges/{vhost}/{name}/bindings/destination': ['management', 'see'],
  'POST /exchanges/{vhost}/{name}/publish': ['management', 'enter'],
  'GET /queues': ['management', 'any'],
  'GET /queues/{vhost}': ['management', 'see'],
  'GET /queues/{vhost}/{name}': ['management', 'see'],
  'PUT /queues/{vhost}/{name}': ['management', 'enter'],
  'DELETE /queues/{vhost}/{name}': ['management', 'enter'],
  'DELETE /queues/{vhost}/{name}/contents': ['management', 'enter'],
  'GET /queues/{vhost}/{name}/bindings': ['management', 'see'],
  'POST /queues/{vhost}/{name}/get': ['management', 'enter'],
  'GET /queues/{vhost}/{name}/scheduled': ['management', 'enter'],
  'PUT /queues/{vhost}/{name}/scheduled/{id}': ['management', 'enter'],
  'DELETE /queues/{vhost}/{name}/scheduled/{id}': ['management', 'enter'],
  'GET /queues/{vhost}/{name}/messages': ['management', 'enter'],
  'GET /queues/{vhost}/{name}/messages/{sequence}': ['management', 'enter'],
  'PUT /queues/{vhost}/{name}/messages/{sequence}': ['management', 'enter'],
  'DELETE /queues/{vhost}/{name}/messages/{sequence}': ['management', 'enter'],
  'GET /queues/{vhost}/{name}/deaths': ['management', 'enter'],
  'POST /queues/{vhost}/{name}/redrive': ['management', 'enter'],
  'GET /queues/{vhost}/{name}/redrive': ['management', 'enter'],
  'DELETE /queues/{vhost}/{name}/redrive': ['management', 'enter'],
  'POST /queues/{vhost}/{name}/redrive/undo': ['management', 'enter'],
  'GET /warren/dead-letters': ['management', 'any'],
  'GET /warren/dead-letters/{vhost}': ['management', 'enter'],
  'POST /queues/{vhost}/{name}/leases': ['management', 'enter'],
  'POST /queues/{vhost}/{name}/leases/settle': ['management', 'enter'],
  'POST /queues/{vhost}/{name}/leases/extend': ['management', 'enter'],
  'GET /queues/{vhost}/{name}/consume': ['management', 'enter'],
  'GET /bindings': ['management', 'any'],
  'GET /bindings/{vhost}': ['management', 'see'],
  ...bindingRows('q'),
  ...bindingRows('e'),
  'GET /policies': ['policymaker', 'any'],
  'GET /policies/{vhost}': ['policymaker', 'see'],
  'GET /policies/{vhost}/{name}': ['policymaker', 'see'],
  'PUT /policies/{vhost}/{name}': ['policymaker', 'enter'],
  'DELETE /policies/{vhost}/{name}': ['policymaker', 'enter'],
  'GET /operator-policies': ['policymaker', 'any'],
  'GET /operator-policies/{vhost}': ['policymaker', 'see'],
  'GET /operator-policies/{vhost}/{name}': ['policymaker', 'see'],
  'GET /webhooks': ['policymaker', 'any'],
  'GET /webhooks/{vhost}': ['policymaker', 'see'],
  'GET /webhooks/{vhost}/{name}': ['policymaker', 'see'],
  'PUT /webhooks/{vhost}/{name}': ['policymaker', 'enter'],
  'DELETE /webhooks/{vhost}/{name}': ['policymaker', 'enter'],
  'POST /webhooks/{vhost}/{name}/test': ['policymaker', 'enter'],
  'PUT /operator-policies/{vhost}/{name}': ['administrator', 'enter'],
  'DELETE /operator-policies/{vhost}/{name}': ['administrator', 'enter'],
  'GET /parameters': ['policymaker', 'any'],
  'GET /parameters/{component}': ['policymaker', 'any'],
  'GET /parameters/{component}/{vhost}': ['policymaker', 'see'],
  'PUT /parameters/{component}/{vhost}/{name}': ['policymaker', 'enter'],
  'GET /parameters/{component}/{vhost}/{name}': ['policymaker', 'see'],
  'DELETE /parameters/{component}/{vhost}/{name}': ['policymaker', 'enter'],
  'GET /global-parameters': ['policymaker', 'any'],
  'GET /global-parameters/{name}': ['policymaker', 'any'],
  'PUT /global-parameters/{name}': ['policymaker', 'any'],
  'DELETE /global-parameters/{name}': ['policymaker', 'any'],
  'GET /vhost-limits': ['management', 'any'],
  'GET /vhost-limits/{vhost}': ['management', 'see'],
  'PUT /vhost-limits/{vhost}/{name}': ['administrator', 'any'],
  'DELETE /vhost-limits/{vhost}/{name}': ['administrator', 'any'],
  'GET /user-limits': ['administrator', 'any'],
  'GET /user-limits/{user}': ['administrator', 'any'],
  'PUT /user-limits/{user}/{name}': ['administrator', 'any'],
  'DELETE /user-limits/{user}/{name}': ['administrator', 'any'],
  'GET /definitions': ['administrator', 'any'],
  'GET /definitions/{vhost}': ['administrator', 'any'],
  'POST /definitions': ['administrator', 'any'],
  'POST /definitions/{vhost}': ['administrator', 'any'],
  'GET /health/checks/alarms': ['management', 'any'],
  'GET /health/checks/local-alarms': ['management', 'any'],
  'GET /health/checks/ready': ['management', 'any'],
  'GET /health/checks/is-in-service': ['management', 'any'],
  'GET /health/checks/ready-to-serve-clients': ['management', 'any'],
  'GET /health/checks/below-node-connection-limit': ['management', 'any'],
  'GET /health/checks/virtual-hosts': ['management', 'any'],
  'GET /health/checks/node-is-mirror-sync-critical': ['management', 'any'],
  'GET /health/checks/node-is-quorum-critical': ['management', 'any'],
  'GET /health/checks/certificate-expiration/{within}/{unit}': ['management', 'any'],
  'GET /health/checks/port-listener/{port}': ['management', 'any'],
  'GET /health/checks/protocol-listener/{protocol}': ['management', 'any'],
  'GET /nodes/{name}/memory': ['monitoring', 'any'],
  'GET /feature-flags': ['monitoring', 'any'],
  'GET /deprecated-features': ['management', 'any'],
  'GET /deprecated-features/used': ['management', 'any'],
  'PUT /feature-flags/{name}/enable': ['administrator', 'any'],
  'POST /rebalance/queues': ['administrator', 'any'],
  'POST /queues/{vhost}/{name}/actions': ['management', 'enter'],
  'GET /openapi.json': ['management', 'any'],
  'GET /warren/nodes': ['monitoring', 'any'],
  'GET /warren/publishing': ['management', 'any'],
  'GET /durability': ['monitoring', 'any'],
  'GET /warren/backup': ['administrator', 'any'],
  'GET /warren/rates': ['management', 'any'],
  'GET /metrics': ['monitoring', 'any'],
  'GET /metrics/per-object': ['monitoring', 'any'],
  'GET /metrics/detailed': ['monitoring', 'any'],
  'GET /aliveness-test/{vhost}': ['management', 'enter'],
}

function bindingRows(letter: 'q' | 'e'): Record<string, readonly [Who, Where]> {
  const path = `/bindings/{vhost}/e/{source}/${letter}/{destination}`
  return {
    [`GET ${path}`]: ['management', 'see'],
    [`POST ${path}`]: ['management', 'enter'],
    [`GET ${path}/{properties}`]: ['management', 'see'],
    [`DELETE ${path}/{properties}`]: ['management', 'enter'],
  }
}

const reaches: Readonly<Record<Who, readonly Tag[]>> = {
  management: ['administrator', 'monitoring', 'policymaker', 'management'],
  policymaker: ['administrator', 'policymaker'],
  monitoring: ['administrator', 'monitoring'],
  administrator: ['administrator'],
}

function isExpected([who, where]: readonly [Who, Where], tag: Tag, isOwn: boolean): boolean {
  if (!reaches[who].includes(tag)) return false
  if (isOwn || where === 'any') return true
  return where === 'see' && (tag === 'administrator' || tag === 'monitoring')
}

/** Names that exist, where the table is about them. */
function pathOf(path: string, vhost: string): string {
  const names: Readonly<Record<string, string>> = { vhost, user: 'management', source: 'amq.topic', destination: 'q' }
  return `/api${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? 'q'))}`
}

describe('tags and vhosts', () => {
  it('has a row for every route, and a route for every row', () => {
    const known = routes.map(({ method, path }) => `${method} ${path}`)
    assert.deepEqual([...new Set(known)].sort(), Object.keys(table).sort())
  })

  for (const [key, row] of Object.entries(table)) {
    it(key, async () => {
      const [method = '', path = ''] = key.split(' ')
      for (const isOwn of path.includes('{vhost}') ? [true, false] : [true]) {
        for (const tag of tags) {
          const api = await ApiHarness.open()
          await api.broker.broker.createVhost('other')
          const { status, json } = await api.send(method, pathOf(path, isOwn ? '/' : 'other'), { user: tag })
          const wasLetIn = status !== 401
          assert.equal(wasLetIn, isExpected(row, tag, isOwn), `${tag}, ${isOwn ? 'own' : 'other'} vhost: ${status}`)
          if (!wasLetIn) assert.equal((json as { error: string }).error, 'not_authorised')
          assert.deepEqual(api.errors, [], `${tag}: ${status}`)
        }
      }
    })
  }

  it('lets nobody in without a login, or with a wrong one', async () => {
    const api = await ApiHarness.open()
    for (const { method, path } of routes) {
      for (const sent of [{ user: null }, { password: 'wrong' }, { user: 'unknown' }, { password: '' }]) {
        const got = await api.send(method, pathOf(path, '/'), sent)
        assert.equal(got.status, 401, `${method} ${path}`)
        assert.equal(got.headers.get('www-authenticate'), 'Basic realm="RabbitMQ Management"')
        assert.deepEqual(got.json, { error: 'not_authorized', reason: 'Login failed' })
      }
    }
  })

  it('lets guest in from this machine only', async () => {
    const api = await ApiHarness.open()
    api.broker.topology.putUser('guest', 'plain$secret', ['administrator'])
    for (const [remoteAddress, status] of [
      ['127.0.0.1', 200],
      ['::1', 200],
      ['::ffff:127.0.0.1', 200],
      ['10.0.0.1', 401],
      ['::2', 401],
      ['', 401],
    ] as const) {
      const got = await api.send('GET', '/api/whoami', { user: 'guest', remoteAddress })
      assert.equal(got.status, status, remoteAddress)
    }
  })
})

/** One operation, and the patterns without which it is refused. */
const operations: readonly (readonly [method: string, path: string, body: unknown, needs: readonly string[]])[] = [
  ['PUT', '/queues/%2F/new', {}, ['configure']],
  ['PUT', '/queues/%2F/q', {}, ['configure']],
  ['DELETE', '/queues/%2F/q', undefined, ['configure']],
  ['DELETE', '/queues/%2F/q/contents', undefined, ['read']],
  ['POST', '/queues/%2F/q/get', { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' }, ['read']],
  ['GET', '/queues/%2F/q/scheduled', undefined, ['read']],
  ['PUT', '/queues/%2F/q/scheduled/x', { deliver_at: 1 }, ['read']],
  ['DELETE', '/queues/%2F/q/scheduled/x', undefined, ['read']],
  ['GET', '/queues/%2F/q/messages', undefined, ['read']],
  ['GET', '/queues/%2F/q/messages/1', undefined, ['read']],
  ['PUT', '/queues/%2F/q/messages/1', {}, ['read']],
  ['DELETE', '/queues/%2F/q/messages/1', undefined, ['read']],
  ['GET', '/queues/%2F/q/deaths', undefined, ['read']],
  ['POST', '/queues/%2F/q/redrive', {}, ['read']],
  ['POST', '/queues/%2F/q/leases', {}, ['read']],
  ['GET', '/queues/%2F/q/consume', undefined, ['read']],
  ['PUT', '/exchanges/%2F/new', { type: 'direct' }, ['configure']],
  ['PUT', '/exchanges/%2F/x', { type: 'topic' }, ['configure']],
  ['DELETE', '/exchanges/%2F/x', undefined, ['configure']],
  [
    'POST',
    '/exchanges/%2F/x/publish',
    { properties: {}, routing_key: 'k', payload: '', payload_encoding: 'string' },
    ['write'],
  ],
  ['POST', '/bindings/%2F/e/x/q/q', { routing_key: 'k' }, ['write', 'read']],
  ['DELETE', '/bindings/%2F/e/x/q/q/bound', undefined, ['write', 'read']],
  ['POST', '/bindings/%2F/e/x/e/y', { routing_key: 'k' }, ['write', 'read']],
  ['DELETE', '/bindings/%2F/e/x/e/y/bound', undefined, ['write', 'read']],
  ['GET', '/aliveness-test/%2F', undefined, ['configure', 'write', 'read']],
]

describe('permission patterns', () => {
  const rights = ['configure', 'write', 'read'] as const

  for (const [method, path, body, needs] of operations) {
    it(`${method} ${path} needs ${needs.join(' and ')}`, async () => {
      for (let bits = 0; bits < 8; bits++) {
        const given = rights.filter((_, index) => (bits & (1 << index)) !== 0)
        for (const tag of ['management', 'administrator']) {
          const api = await ApiHarness.open()
          await api.json('PUT', '/api/queues/%2F/q', {})
          for (const name of ['x', 'y']) await api.json('PUT', `/api/exchanges/%2F/${name}`, { type: 'topic' })
          await api.json('POST', '/api/bindings/%2F/e/x/q/q', { routing_key: 'bound' })
          await api.json('POST', '/api/bindings/%2F/e/x/e/y', { routing_key: 'bound' })
          const none = { configure: '', write: '', read: '' }
          api.user('someone', [tag], { ...none, ...Object.fromEntries(given.map((right) => [right, '.*'])) })
          const { status, text } = await api.send(method, `/api${path}`, { user: 'someone', body })
          const isAllowed = needs.every((right) => given.some((one) => one === right))
          assert.equal(status !== 401, isAllowed, `${tag} with ${given.join(' ')}: ${status} ${text}`)
        }
      }
    })
  }

  it('asks for rights on topics too', async () => {
    const api = await ApiHarness.open()
    await api.broker.broker.putTopicPermission('management', '/', { exchange: 'amq.topic', write: '^a', read: '^a' })
    const publish = (key: string, headers: object = {}): Promise<{ status: number }> =>
      api.send('POST', '/api/exchanges/%2F/amq.topic/publish', {
        user: 'management',
        body: { properties: { headers }, routing_key: key, payload: '', payload_encoding: 'string' },
      })
    assert.equal((await publish('a.b')).status, 200)
    assert.equal((await publish('b.a')).status, 401)
    assert.equal((await publish('a.b', { CC: ['b.a'] })).status, 401)
    assert.equal((await publish('a.b', { BCC: ['b.a'] })).status, 401)
  })
})
