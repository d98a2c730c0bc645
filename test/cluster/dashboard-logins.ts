/**
 * Logins to the dashboard of a cluster of three: the cookie of one node is good at the others, also when that one is killed
 * and when it comes back; what ends a login ends it on all of them.
 */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { api, untilWhole } from '../support/cluster/cluster-api.ts'
import type { ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'

const readyMsMax = 60_000

/** At its end all nodes are there again. */
export function dashboardLogins(cluster: ClusterProcesses): void {
  void describe('a login to the dashboard of a cluster', () => ofLogins(cluster))
}

function ofLogins(cluster: ClusterProcesses): void {
  before(async () => {
    await untilWhole(cluster)
    for (const [name, tags] of [
      ['anna', 'management'],
      ['ben', 'monitoring'],
      ['carl', 'management'],
    ]) {
      const made = await api(n(0), `users/${name}`, 'PUT', { password: 'first', tags })
      assert.ok(made.ok, await made.text())
    }
  })

  const n = (index: number): ClusterNode => cluster.node(index)

  /** As a browser says it behind a load balancer: the port in `host`, and so the name of the cookie, is that of the balancer. */
  function cookieAt(node: ClusterNode, cookie: string): string {
    return cookie.replace(/^warren-session-\d+=/, `warren-session-${node.httpPort}=`)
  }

  function asked(node: ClusterNode, path: string, cookie: string, method = 'GET'): Promise<Response> {
    const headers = { 'x-warren-session': '1', cookie: cookieAt(node, cookie) }
    return fetch(`http://127.0.0.1:${node.httpPort}/api/${path}`, { method, headers })
  }

  async function logIn(node: ClusterNode, name: string): Promise<string> {
    const authorization = `Basic ${Buffer.from(`${name}:first`).toString('base64')}`
    const headers = { 'x-warren-session': '1', authorization }
    const response = await fetch(`http://127.0.0.1:${node.httpPort}/api/session`, { method: 'POST', headers })
    assert.equal(response.status, 200, await response.text())
    return response.headers.get('set-cookie')?.split(';')[0] ?? ''
  }

  async function statuses(cookie: string, path = 'whoami'): Promise<number[]> {
    return await Promise.all(cluster.nodes.map(async (node) => (await asked(node, path, cookie)).status))
  }

  it('is one at all nodes at once', async () => {
    for (let turn = 0; turn < 20; turn++) {
      assert.deepEqual(await statuses(await logIn(n(turn % 3), 'anna')), [200, 200, 200])
    }
  })

  it('ended at one is ended at all when that is answered', async () => {
    for (let turn = 0; turn < 20; turn++) {
      const [cookie, other] = [await logIn(n(0), 'anna'), await logIn(n(0), 'anna')]
      const ended = await asked(n(1), 'session', cookie, 'DELETE')
      assert.equal(ended.status, 204)
      assert.deepEqual(await statuses(cookie), [401, 401, 401])
      assert.deepEqual(await statuses(other), [200, 200, 200])
    }
  })

  it('is over everywhere with another password, a deletion, and without the tag', async () => {
    const [anna, ben, carl] = [await logIn(n(0), 'anna'), await logIn(n(1), 'ben'), await logIn(n(2), 'carl')]
    await api(n(1), 'users/anna', 'PUT', { password: 'second', tags: 'management' })
    assert.deepEqual(await statuses(anna), [401, 401, 401])
    assert.deepEqual(await statuses(ben, 'nodes'), [200, 200, 200])
    await api(n(2), 'users/ben', 'PUT', { password: 'first', tags: '' })
    assert.deepEqual(await statuses(ben, 'nodes'), [401, 401, 401])
    await api(n(0), 'users/carl', 'DELETE')
    await api(n(0), 'users/carl', 'PUT', { password: 'first', tags: 'management' })
    assert.deepEqual(await statuses(carl), [401, 401, 401])
    await api(n(0), 'users/anna', 'PUT', { password: 'first', tags: 'management' })
  })

  it('goes on when its node is killed, and when that comes back; what was ended meanwhile does not', async () => {
    const [kept, ended] = [await logIn(n(0), 'anna'), await logIn(n(0), 'anna')]
    await n(0).crash()
    assert.equal((await asked(n(1), 'whoami', kept)).status, 200)
    assert.equal((await asked(n(2), 'whoami', kept)).status, 200)
    assert.equal((await asked(n(2), 'session', ended, 'DELETE')).status, 204)
    assert.equal((await asked(n(1), 'whoami', ended)).status, 401)
    n(0).broker.spawn()
    await n(0).broker.untilListening(readyMsMax)
    await untilWhole(cluster)
    assert.deepEqual(await statuses(kept), [200, 200, 200])
    assert.deepEqual(await statuses(ended), [401, 401, 401])
  })
}
