/** What nodes say of themselves through any of them, and what everybody may know of publishing. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ApiHarness } from './api-harness.ts'
import { LinkedApis } from './linked-apis.ts'

describe('reports of nodes', () => {
  it('are those of all nodes, asked at once; one that does not answer is named', async () => {
    const linked = await LinkedApis.open(3)
    linked.api(1).broker.broker.setAlarm('memory', true)
    linked.silent.set('n3', 0)
    const { status, json, headers } = await linked.api(0).send('GET', '/api/warren/nodes', { user: 'monitoring' })
    assert.equal(status, 200)
    assert.equal(headers.get('warren-unanswered-nodes'), 'n3')
    const [n1, n2, n3] = json as readonly Record<string, unknown>[]
    assert.deepEqual([n1?.['name'], n1?.['answers'], n1?.['alarms']], ['warren@n1', true, []])
    assert.deepEqual([n2?.['name'], n2?.['publish_gate'], n2?.['alarms']], ['warren@n2', 'blocked', ['memory']])
    assert.match(JSON.stringify(n2), /"storage":"cluster"/)
    assert.deepEqual(n3, { name: 'warren@n3', answers: false, is_live: true })
  })

  it('are for those who monitor', async () => {
    const api = await ApiHarness.open()
    assert.equal((await api.send('GET', '/api/warren/nodes', { user: 'management' })).status, 401)
    const { json } = await api.send('GET', '/api/warren/nodes', { user: 'monitoring' })
    assert.equal((json as readonly unknown[]).length, 1)
  })
})

describe('whether messages are taken', () => {
  it('is told to everybody, without the nodes', async () => {
    const api = await ApiHarness.open()
    const told = async (user: string): Promise<unknown> =>
      (await api.send('GET', '/api/warren/publishing', { user })).json
    assert.deepEqual(await told('management'), { state: 'open', reasons: [] })
    api.broker.broker.setAlarm('disk', true)
    assert.deepEqual(await told('management'), { state: 'blocked', reasons: ['disk'] })
    assert.deepEqual(await told('monitoring'), {
      state: 'blocked',
      reasons: ['disk'],
      alarms: [{ node: 'warren@test', resource: 'disk' }],
      nodes_away: [],
    })
  })
})
