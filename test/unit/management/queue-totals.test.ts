/** What is in all queues, added up once for all who ask at the same moment. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ApiHarness } from './api-harness.ts'

describe('what is in all queues', () => {
  it('is added up once for those who ask at the same moment, and anew for whoever asks later', async () => {
    const api = await ApiHarness.open()
    await api.broker.broker.createVhost('other')
    for (let number = 0; number < 40; number++) await api.json('PUT', `/api/queues/%2F/queue-${number}`, {})
    const { shards } = api.broker
    const queues = [...(api.broker.topology.vhosts.get('/')?.queues.values() ?? [])]
    for (const { id } of queues) shards.statuses.set(id, { ready: 2, unacked: 1, consumers: 1 })
    let looks = 0
    const statusNow = shards.statusNow.bind(shards)
    shards.statusNow = (queue) => {
      looks++
      return statusNow(queue)
    }
    const asked = Array.from({ length: 8 }, () => api.json('GET', '/api/overview'))
    const expected = { messages: 120, messages_ready: 80, messages_unacknowledged: 40 }
    for (const overview of (await Promise.all(asked)) as Overview[]) {
      const { messages, messages_ready, messages_unacknowledged } = overview.queue_totals
      assert.deepEqual({ messages, messages_ready, messages_unacknowledged }, expected)
      assert.deepEqual([overview.object_totals['consumers'], overview.object_totals['queues']], [40, 40])
    }
    assert(looks <= 3 * queues.length, `${looks} looks at ${queues.length} queues`)

    for (const { id } of queues) shards.statuses.set(id, { ready: 0, unacked: 0, consumers: 0 })
    const later = (await api.json('GET', '/api/overview')) as Overview
    assert.equal(later.queue_totals['messages'], 0)
  })
})

interface Overview {
  readonly queue_totals: Readonly<Record<string, number>>
  readonly object_totals: Readonly<Record<string, number>>
}
