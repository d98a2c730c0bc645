/** What administrators' tools make and take away one at a time: limits, topic permissions, parameters, feature flags. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ApiHarness } from './api-harness.ts'

describe('Limits', () => {
  for (const [what, name] of [
    ['vhost-limits/%2F', 'max-queues'],
    ['user-limits/management', 'max-channels'],
  ] as const) {
    it(`of ${what} are gone from lists and definitions with the last of them`, async () => {
      const api = await ApiHarness.open()
      await api.json('PUT', `/api/${what}/${name}`, { value: 7 })
      await api.json('PUT', `/api/${what}/max-connections`, { value: 8 })
      await api.json('DELETE', `/api/${what}/${name}`)
      const [row] = (await api.json('GET', `/api/${what}`)) as { value: unknown }[]
      assert.deepEqual(row?.value, { 'max-connections': 8 })
      await api.json('DELETE', `/api/${what}/max-connections`)
      await api.json('DELETE', `/api/${what}/max-connections`)
      assert.deepEqual(await api.json('GET', `/api/${what}`), [])
      assert.deepEqual(await api.json('GET', `/api/${what.split('/')[0]}`), [])
      assert.deepEqual(((await api.json('GET', '/api/definitions')) as { parameters: unknown }).parameters, [])
    })
  }
})

describe('Topic permissions', () => {
  const path = '/api/topic-permissions/%2F/management'

  it('are taken away for one exchange, or for all', async () => {
    const api = await ApiHarness.open()
    for (const exchange of ['amq.topic', 'amq.direct', '']) {
      await api.json('PUT', path, { exchange, write: '.*', read: '.*' })
    }
    const exchanges = async (): Promise<string[]> =>
      ((await api.json('GET', path)) as { exchange: string }[]).map(({ exchange }) => exchange)
    await api.json('DELETE', `${path}/amq.direct`)
    assert.deepEqual(await exchanges(), ['amq.topic', ''])
    await api.json('DELETE', `${path}/none`)
    await api.json('DELETE', `${path}/amq.default`)
    assert.deepEqual(await exchanges(), ['amq.topic'])
    await api.json('DELETE', path)
    assert.equal((await api.send('GET', path)).status, 404)
  })
})

describe('Parameters', () => {
  it('are found by name; what is none is not there, and its component is not known', async () => {
    const api = await ApiHarness.open()
    await api.json('PUT', '/api/vhost-limits/%2F/max-queues', { value: 7 })
    assert.deepEqual(await api.json('GET', '/api/parameters/vhost-limits/%2F/limits'), {
      value: { 'max-queues': 7 },
      vhost: '/',
      component: 'vhost-limits',
      name: 'limits',
    })
    for (const method of ['GET', 'DELETE']) {
      assert.equal((await api.send(method, '/api/parameters/shovel/%2F/mine')).status, 404)
    }
    assert.equal((await api.send('PUT', '/api/parameters/shovel/%2F/mine', { body: { value: {} } })).status, 400)
  })
})

describe('Feature flags', () => {
  it('are all on, and may be switched on again', async () => {
    const api = await ApiHarness.open()
    for (const { name, state } of (await api.json('GET', '/api/feature-flags')) as { name: string; state: string }[]) {
      assert.equal(state, 'enabled')
      assert.equal((await api.send('PUT', `/api/feature-flags/${name}/enable`)).status, 204)
    }
    assert.equal((await api.send('PUT', '/api/feature-flags/nope/enable')).status, 400)
    for (const path of ['deprecated-features', 'deprecated-features/used']) {
      assert.deepEqual(await api.json('GET', `/api/${path}`), [])
    }
  })
})
