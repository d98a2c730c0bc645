/** Global parameters, the name of the cluster, and parameters, in RabbitMQ's form: what it answers was looked at. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ApiHarness } from './api-harness.ts'

const missing = [404, 'Object Not Found', 'Not Found']

async function statusOf(api: ApiHarness, method: string, path: string, body?: unknown): Promise<number> {
  return (await api.send(method, `/api${path}`, body === undefined ? {} : { body })).status
}

describe('global parameters by HTTP', () => {
  it('are made, changed, listed by name and deleted', async () => {
    const api = await ApiHarness.open()
    assert.deepEqual(await api.json('GET', '/api/global-parameters'), [])
    const value = { a: 1, arguments: ['x', { k: null }] }
    assert.equal(await statusOf(api, 'PUT', '/global-parameters/one', { value }), 201)
    assert.equal(await statusOf(api, 'PUT', '/global-parameters/a%2Fb', { value: null }), 201)
    assert.deepEqual(await api.json('GET', '/api/global-parameters/a%2Fb'), { name: 'a/b', value: null })
    assert.equal(await statusOf(api, 'PUT', '/global-parameters/a%2Fb', { value: [] }), 204)
    assert.deepEqual(await api.json('GET', '/api/global-parameters'), [
      { name: 'a/b', value: [] },
      { name: 'one', value },
    ])
    assert.equal(await statusOf(api, 'DELETE', '/global-parameters/a%2Fb'), 204)
    for (const method of ['GET', 'DELETE']) {
      assert.deepEqual(await api.refusal(method, '/api/global-parameters/a%2Fb'), missing)
    }
  })

  it('are refused without a value, and where they do not fit', async () => {
    const api = await ApiHarness.open()
    const body = { v: 1 }
    assert.deepEqual(await api.refusal('PUT', '/api/global-parameters/p', { body }), [
      400,
      'bad_request',
      '[{key_missing,value}]',
    ])
    const raw = `{"value":${'['.repeat(200_000)}${']'.repeat(200_000)}}`
    const [status, error, reason] = await api.refusal('PUT', '/api/global-parameters/p', { raw })
    assert.deepEqual([status, error], [400, 'bad_request'])
    assert.match(String(reason), /^Validation failed\n\nglobal parameter 'p': its value has more than 64 lists/)
    assert.equal(await statusOf(api, 'PUT', `/global-parameters/${'p'.repeat(256)}`, { value: 1 }), 400)
    assert.deepEqual(await api.json('GET', '/api/global-parameters'), [])
  })

  it('name the cluster wherever it is told, and tag it', async () => {
    const api = await ApiHarness.open()
    const { name: before } = (await api.json('GET', '/api/cluster-name')) as { name: string }
    const refused = [400, 'bad_request', '[{key_missing,name}]']
    assert.deepEqual(await api.refusal('PUT', '/api/cluster-name', { body: { value: 'x' } }), refused)
    assert.equal((await api.refusal('PUT', '/api/cluster-name', { body: { name: 5 } }))[0], 400)
    assert.equal(await statusOf(api, 'PUT', '/cluster-name', { name: 'shop' }), 204)
    await api.json('PUT', '/api/global-parameters/cluster_tags', { value: { region: 'eu' } })
    await api.json('PUT', '/api/global-parameters/internal_cluster_id', { value: 'id-1' })
    assert.deepEqual(await api.json('GET', '/api/cluster-name'), { name: 'shop' })
    assert.deepEqual(await api.json('GET', '/api/global-parameters/cluster_name'), {
      name: 'cluster_name',
      value: 'shop',
    })
    const overview = await api.json('GET', '/api/overview?columns=cluster_name,cluster_tags')
    assert.deepEqual(overview, { cluster_name: 'shop', cluster_tags: { region: 'eu' } })
    const { text } = await api.send('GET', '/api/metrics')
    assert.match(text, /rabbitmq_identity_info\{.*rabbitmq_cluster="shop",rabbitmq_cluster_permanent_id="id-1"/)
    assert.equal(await statusOf(api, 'DELETE', '/global-parameters/cluster_name'), 204)
    assert.deepEqual(await api.json('GET', '/api/cluster-name'), { name: before })
  })
})

describe('parameters by HTTP', () => {
  const limits = '/parameters/vhost-limits/%2F/limits'
  const operator = '/parameters/operator_policy/%2F/op'

  it('set and take away the limits of a vhost', async () => {
    const api = await ApiHarness.open()
    assert.equal(await statusOf(api, 'PUT', limits, { value: { 'max-queues': 5 } }), 201)
    assert.equal(await statusOf(api, 'PUT', limits, { value: { 'max-connections': 6 } }), 204)
    assert.deepEqual(await api.json('GET', '/api/vhost-limits'), [{ vhost: '/', value: { 'max-connections': 6 } }])
    const shown = { value: { 'max-connections': 6 }, vhost: '/', component: 'vhost-limits', name: 'limits' }
    for (const path of ['', '/vhost-limits', '/vhost-limits/%2F']) {
      assert.deepEqual(await api.json('GET', `/api/parameters${path}`), [shown])
    }
    assert.equal(await statusOf(api, 'DELETE', limits), 204)
    assert.deepEqual(await api.refusal('DELETE', `/api${limits}`), missing)
    assert.deepEqual(await api.json('GET', '/api/vhost-limits'), [])
  })

  it('set and delete operator policies', async () => {
    const api = await ApiHarness.open()
    const value = { pattern: '^a', definition: { 'max-length': 5 }, priority: 1, 'apply-to': 'queues' }
    assert.equal(await statusOf(api, 'PUT', operator, { value }), 201)
    assert.equal(await statusOf(api, 'PUT', operator, { value }), 204)
    assert.deepEqual(await api.json('GET', '/api/operator-policies'), [{ vhost: '/', name: 'op', ...value }])
    const shown = { value, vhost: '/', component: 'operator_policy', name: 'op' }
    assert.deepEqual(await api.json('GET', `/api${operator}`), shown)
    assert.deepEqual(await api.json('GET', '/api/parameters'), [shown])
    assert.equal(await statusOf(api, 'DELETE', operator), 204)
    assert.deepEqual(await api.json('GET', '/api/operator-policies'), [])
  })

  it('show policies where they are asked for, and take none', async () => {
    const api = await ApiHarness.open()
    const policy = { pattern: '^a', definition: { 'max-length': 5 }, priority: 0, 'apply-to': 'all' }
    await api.json('PUT', '/api/policies/%2F/p', policy)
    assert.deepEqual(await api.json('GET', '/api/parameters'), [])
    assert.deepEqual(await api.json('GET', '/api/parameters/policy'), [
      { value: policy, vhost: '/', component: 'policy', name: 'p' },
    ])
    const body = { value: policy }
    const reason = 'policies may not be set using this method'
    assert.deepEqual(await api.refusal('PUT', '/api/parameters/policy/%2F/p', { body }), [400, 'bad_request', reason])
  })

  const wrong: [path: string, body: object, reason: string][] = [
    [limits, { value: 5 }, 'Validation failed\n\nlimits not a list 5\n'],
    [limits, { value: { 'max-q': 6 } }, 'Validation failed\n\nUnrecognised terms [{<<"max-q">>,6}] in limits\n'],
    [limits, { v: 5 }, '[{key_missing,value}]'],
    [
      '/parameters/vhost-limits/%2F/other',
      { value: { 'max-queues': 5 } },
      "Validation failed\n\nthe limits of a vhost are called limits, not 'other'\n",
    ],
    [operator, { value: { pattern: '^a' } }, 'Validation failed\n\ndefinition must be a dictionary: undefined\n'],
    ['/parameters/shovel/%2F/s', { value: {} }, 'Validation failed\n\ncomponent shovel not found\n'],
  ]
  for (const [path, body, reason] of wrong) {
    it(`are refused: ${path} with ${JSON.stringify(body)}`, async () => {
      const api = await ApiHarness.open()
      assert.deepEqual(await api.refusal('PUT', `/api${path}`, { body }), [400, 'bad_request', reason])
      assert.deepEqual(await api.json('GET', '/api/parameters'), [])
    })
  }

  it('are changed by administrators only, as by the paths of their own', async () => {
    const api = await ApiHarness.open()
    const asPolicymaker = async (method: string, path: string): Promise<unknown> => {
      const body = method === 'PUT' ? { body: { value: { pattern: '', definition: { expires: 5 } } } } : {}
      return (await api.refusal(method, `/api${path}`, { user: 'policymaker', ...body }))[0]
    }
    for (const path of [limits, operator]) assert.equal(await asPolicymaker('PUT', path), 401)
    await api.json('PUT', `/api${limits}`, { value: { 'max-queues': 5 } })
    await api.json('PUT', `/api${operator}`, { value: { pattern: '', definition: { expires: 5 } } })
    for (const path of [limits, operator]) assert.equal(await asPolicymaker('DELETE', path), 401)
    assert.equal(((await api.json('GET', '/api/parameters')) as unknown[]).length, 2)
  })
})
