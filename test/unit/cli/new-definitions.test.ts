/** What a migration makes in a cluster. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { newDefinitions } from '../../../src/cli/migrate/new-definitions.ts'

it('a migration changes no user, right or policy that the cluster has', () => {
  const ours = {
    rabbit_version: '4.1.0',
    users: [
      { name: 'admin', password_hash: 'of the old node' },
      { name: 'anna', password_hash: 'hers' },
    ],
    vhosts: [{ name: '/', description: 'old' }, { name: 'orders' }],
    permissions: [
      { user: 'admin', vhost: '/', configure: '' },
      { user: 'admin', vhost: 'orders', configure: '.*' },
    ],
    topic_permissions: [{ user: 'anna', vhost: '/', exchange: 'amq.topic' }],
    policies: [{ vhost: '/', name: 'limits', definition: { 'max-length': 1 } }],
    queues: [{ vhost: '/', name: 'q' }],
  }
  const theirs = {
    users: [{ name: 'admin', password_hash: 'of the cluster' }],
    vhosts: [{ name: '/' }],
    permissions: [{ user: 'admin', vhost: '/', configure: '.*' }],
    policies: [
      { vhost: '/', name: 'limits', definition: { 'max-length': 9 } },
      { vhost: 'orders', name: 'limits' },
    ],
    queues: [{ vhost: '/', name: 'q' }],
  }
  assert.deepEqual(newDefinitions(ours, theirs), {
    ...ours,
    users: [ours.users[1]],
    vhosts: [ours.vhosts[1]],
    permissions: [ours.permissions[1]],
    policies: [],
  })
  assert.deepEqual(newDefinitions(ours, {}), ours)
})
