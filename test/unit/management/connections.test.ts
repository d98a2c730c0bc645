/** Connections of others: who sees them, who may close them, and what their clients are told. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ApiHarness, type Tag, tags } from './api-harness.ts'
import { connectionOf } from './noted-connection.ts'

async function withConnections(): Promise<{ api: ApiHarness; closed: string[] }> {
  const api = await ApiHarness.open()
  const closed: string[] = []
  for (const tag of tags) api.connections.push(connectionOf(tag, closed))
  return { api, closed }
}

const seesAll: readonly Tag[] = ['administrator', 'monitoring']

describe('connections of others', () => {
  for (const user of tags.filter((tag) => tag !== 'nobody')) {
    it(`are ${seesAll.includes(user) ? '' : 'not '}seen by ${user}`, async () => {
      const { api } = await withConnections()
      const expected = seesAll.includes(user) ? [...tags] : [user]
      for (const path of ['/connections', '/channels', '/vhosts/%2F/connections', '/vhosts/%2F/channels']) {
        const { json } = await api.send('GET', `/api${path}`, { user })
        const seen = (json as { user: string }[]).map((one) => one.user)
        assert.deepEqual(seen, expected, path)
      }
      const theirs = encodeURIComponent('nobody -> here')
      const status = seesAll.includes(user) ? 200 : 404
      assert.equal((await api.send('GET', `/api/connections/${theirs}`, { user })).status, status)
      assert.equal((await api.send('GET', `/api/connections/${theirs}/channels`, { user })).status, status)
      assert.equal((await api.send('GET', `/api/channels/${theirs}%20(1)`, { user })).status, status)
      const ofUser = await api.send('GET', '/api/connections/username/nobody', { user })
      assert.equal((ofUser.json as unknown[]).length, seesAll.includes(user) ? 1 : 0)
      const overview = (await api.send('GET', '/api/overview', { user })).json as {
        object_totals: { connections: number }
      }
      assert.equal(overview.object_totals.connections, expected.length)
    })

    it(`are ${user === 'administrator' ? '' : 'not '}closed by ${user}, but its own are`, async () => {
      const { api, closed } = await withConnections()
      const close = async (whose: string): Promise<number> =>
        (await api.send('DELETE', `/api/connections/${encodeURIComponent(`${whose} -> here`)}`, { user })).status
      assert.equal(await close(user), 204)
      const other = await close('nobody')
      assert.equal(other, user === 'administrator' ? 204 : user === 'monitoring' ? 401 : 404)
      const all = await api.send('DELETE', '/api/connections/username/nobody', { user })
      assert.equal(all.status, user === 'administrator' ? 204 : 401)
      assert.equal(closed.filter((line) => line.startsWith('nobody')).length, user === 'administrator' ? 2 : 0)
    })
  }

  it('end with a reason that is safe to send', async () => {
    const { api, closed } = await withConnections()
    const path = `/api/connections/${encodeURIComponent('nobody -> here')}`
    await api.send('DELETE', path)
    await api.send('DELETE', path, { headers: { 'x-reason': `a\tb${'c'.repeat(400)}` } })
    assert.equal(closed[0], 'nobody: Closed via management plugin')
    assert.equal(closed[1], `nobody: a b${'c'.repeat(197)}`)
  })

  it('end with their user, and with their vhost', async () => {
    const { api, closed } = await withConnections()
    await api.broker.broker.createVhost('other')
    api.connections.push(connectionOf('somebody', closed, 'other'))
    await api.json('DELETE', '/api/users/nobody')
    await api.json('DELETE', '/api/vhosts/other')
    assert.deepEqual(closed, ["nobody: user 'nobody' was deleted", "somebody: vhost 'other' is deleted"])
  })
})

describe('an alarm', () => {
  it('is told, and holds publishing up and nothing else', async () => {
    const api = await ApiHarness.open()
    await api.json('PUT', '/api/queues/%2F/q', {})
    const message = { properties: {}, routing_key: 'q', payload: '', payload_encoding: 'string' }
    api.broker.broker.setAlarm('disk', true)
    const health = await api.send('GET', '/api/health/checks/alarms')
    assert.deepEqual(health.json, {
      status: 'failed',
      reason: 'There are alarms in effect in the cluster',
      alarms: [{ node: 'warren@test', resource: 'disk' }],
    })
    assert.equal(health.status, 503)
    const refused = await api.refusal('POST', '/api/exchanges/%2F/amq.default/publish', { body: message })
    assert.deepEqual(refused, [503, 'service_unavailable', 'nothing can be published now: an alarm is on: disk'])
    assert.equal(
      (
        await api.send('POST', '/api/queues/%2F/q/get', {
          body: { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' },
        })
      ).status,
      200,
    )
    api.broker.broker.setAlarm('disk', false)
    assert.deepEqual(await api.json('POST', '/api/exchanges/%2F/amq.default/publish', message), { routed: true })
    assert.equal((await api.send('GET', '/api/health/checks/local-alarms')).status, 200)
  })
})
