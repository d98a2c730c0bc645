/** Lists and numbers of several nodes put together: the same whichever node is asked, also when some do not answer. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { addedUp } from '../../../src/management/api/all-nodes/add-up.ts'
import { merged } from '../../../src/management/api/all-nodes/merged.ts'
import { OpenLists } from '../../../src/management/api/all-nodes/open-lists.ts'
import type { Question } from '../../../src/management/api/all-nodes/question.ts'
import type { Entries } from '../../../src/management/api/chosen.ts'
import { noSpans } from '../../../src/management/api/rates.ts'
import { LinkedApis } from './linked-apis.ts'
import { connectionOf } from './noted-connection.ts'

interface Page {
  readonly items: readonly { readonly name: string; readonly node: string }[]
  readonly filtered_count: number
  readonly total_count: number
}

/** So many connections on each node, whose names and ports have nothing to do with the node. */
async function linkedWith(counts: readonly number[]): Promise<LinkedApis> {
  const linked = await LinkedApis.open(counts.length)
  let number = 0
  for (const [index, count] of counts.entries()) {
    for (let made = 0; made < count; made++) {
      const mixed = (number++ * 7_919) % 10_007
      const one = { ...connectionOf('administrator', []), name: `10.0.0.${mixed % 200}:${mixed} -> here` }
      linked.api(index).connections.push({ ...one, peer: { address: '10.0.0.1', port: mixed % 50 } })
    }
  }
  return linked
}

/** By the second node. */
async function said(linked: LinkedApis, question: Question): Promise<unknown> {
  const answer = await linked.ask('n2', new TextEncoder().encode(JSON.stringify(question)))
  return JSON.parse(new TextDecoder().decode(answer))
}

describe('a list of several nodes', () => {
  it('is the same in pages as in one piece, sorted or not, through every node', async () => {
    const linked = await linkedWith([7, 0, 120, 33])
    for (const sort of ['', '&sort=name', '&sort=peer_port&sort_reverse=true', '&sort=nothing_of_the_kind']) {
      for (const api of linked.apis) {
        const whole = (await api.json('GET', `/api/connections?x=1${sort}`)) as Page['items']
        assert.equal(whole.length, 160)
        assert.equal(new Set(whole.map(({ name }) => name)).size, 160)
        const paged: string[] = []
        for (let page = 1; page <= 4; page++) {
          const path = `/api/connections?page=${page}&page_size=50${sort}`
          const { items, total_count: total } = (await api.json('GET', path)) as Page
          assert.equal(total, 160)
          paged.push(...items.map(({ name }) => name))
        }
        assert.deepEqual(
          paged,
          whole.map(({ name }) => name),
        )
      }
    }
    const sorted = (await linked.api(1).json('GET', '/api/connections?sort=name')) as Page['items']
    const names = sorted.map(({ name }) => name)
    assert.deepEqual(names, [...names].sort())
  })

  it('is kept by a node that was asked for a page no further than to its end', async () => {
    const linked = await linkedWith([0, 100])
    const asked = { ask: 'list', list: 'connections', scope: {}, spans: noSpans } as const
    const opened = async (query: string): Promise<{ list: number; count: number; total: number }> => {
      return (await said(linked, { ...asked, query })) as { list: number; count: number; total: number }
    }
    const page = await opened('sort=peer_port&page=2&page_size=3&name=:7')
    assert.deepEqual([page.count, page.total], [12, 100])
    const keys = await said(linked, { ask: 'keys', list: page.list, from: 0, until: 1_000 })
    assert.equal((keys as unknown[]).length, 6)
    const whole = await opened('sort=peer_port')
    const all = (await said(linked, { ask: 'keys', list: whole.list, from: 0, until: 1_000 })) as number[]
    assert.deepEqual([whole.count, all], [100, [...all].sort((one, other) => one - other)])
  })

  it('is filtered by each node, and counts both', async () => {
    const linked = await linkedWith([20, 20])
    const path = '/api/connections?page=1&name=%3E%20HERE&columns=name'
    const page = (await linked.api(0).json('GET', path)) as Page
    assert.deepEqual([page.filtered_count, page.total_count, page.items.length], [40, 40, 40])
    const none = (await linked.api(0).json('GET', '/api/connections?page=1&name=nobody')) as Page
    assert.deepEqual([none.filtered_count, none.total_count], [0, 40])
    const refused = await linked.api(0).refusal('GET', '/api/connections?page=3&page_size=20')
    assert.equal(refused[1], 'page_out_of_range')
  })

  it('shows who does not monitor their own only, wherever they are', async () => {
    const linked = await LinkedApis.open(2)
    for (const api of linked.apis) {
      for (const user of ['management', 'nobody']) api.connections.push(connectionOf(user, []))
    }
    for (const path of ['/api/connections', '/api/channels', '/api/connections/username/nobody']) {
      const { json } = await linked.api(0).send('GET', path, { user: 'management' })
      const users = (json as { user: string }[]).map(({ user }) => user)
      assert.deepEqual(users, path.endsWith('nobody') ? [] : ['management', 'management'])
    }
    const { json } = await linked.api(0).send('GET', '/api/overview', { user: 'management' })
    assert.equal((json as { object_totals: { connections: number } }).object_totals.connections, 2)
  })

  it('leaves out nodes that do not answer, and those that stop to, and says which', async () => {
    for (const answered of [0, 1, 2]) {
      const linked = await linkedWith([5, 5, 400])
      linked.silent.set('n3', answered)
      const got = await linked.api(0).send('GET', '/api/connections?page=1&page_size=500&sort=name')
      assert.equal(got.status, 200)
      assert.equal(got.headers.get('warren-unanswered-nodes'), 'n3', `after ${answered} answers`)
      const { items } = got.json as Page
      assert.equal(items.filter(({ node }) => node !== 'warren@n3').length, 10)
    }
  })

  it('breaks off, rather than end as if it were whole, when a node stops to answer in the middle', async () => {
    const linked = await linkedWith([5, 400])
    linked.silent.set('n2', 2)
    await assert.rejects(linked.api(0).send('GET', '/api/connections'), /answers no more|terminated/)
  })

  it('costs what a page shows, not what there is', async (t) => {
    const linked = await linkedWith(new Array<number>(10).fill(5_000))
    const cost: Record<string, string> = {}
    for (const [what, path] of [
      ['first page', '/api/connections?page=1&page_size=100'],
      ['first page, sorted', '/api/connections?page=1&page_size=100&sort=name'],
      ['last page, sorted', '/api/connections?page=500&page_size=100&sort=name'],
    ] as const) {
      linked.bytes = 0
      linked.questions = 0
      const since = performance.now()
      const { status } = await linked.api(0).send('GET', path)
      assert.equal(status, 200)
      const ms = Math.round(performance.now() - since)
      cost[what] = `${Math.round(linked.bytes / 1_024)} KiB in ${linked.questions} questions, ${ms} ms`
      if (what.startsWith('first')) assert.ok(linked.bytes < 512 * 1_024, `${what}: ${linked.bytes} bytes`)
    }
    t.diagnostic(`10 nodes with 5,000 connections each: ${JSON.stringify(cost)}`)
  })
})

describe('numbers of several nodes', () => {
  it('are added up, with their samples by time', () => {
    const one = { publish: 1, publish_details: { rate: 0.5, samples: [sample(20, 7), sample(10, 5)] }, name: 'q' }
    const other = { publish: 2, publish_details: { rate: 1, samples: [sample(20, 1)] }, get: 4, name: 'other' }
    assert.deepEqual(addedUp(one, other), {
      publish: 3,
      publish_details: { rate: 1.5, samples: [sample(20, 8), sample(10, 5)] },
      name: 'q',
      get: 4,
    })
  })

  it('are asked of every node, and of those who answer shown', async () => {
    const linked = await LinkedApis.open(3)
    for (const { broker } of linked.apis) count(broker.topology, 3)
    const stats = async (): Promise<{ headers: Headers; publish: unknown }> => {
      const { json, headers } = await linked.api(1).send('GET', '/api/overview')
      return { headers, publish: (json as { message_stats: { publish?: number } }).message_stats.publish }
    }
    assert.equal((await stats()).publish, 9)
    linked.silent.set('n1', 0)
    const { headers, publish } = await stats()
    assert.deepEqual([publish, headers.get('warren-unanswered-nodes')], [6, 'n1'])
    const nodes = (await linked.api(1).json('GET', '/api/nodes')) as { name: string; running: boolean }[]
    assert.deepEqual(
      nodes.map(({ name, running }) => `${name} ${running}`),
      ['warren@n1 false', 'warren@n2 true', 'warren@n3 true'],
    )
    assert.equal((await linked.api(1).send('GET', '/api/nodes/n1/memory')).status, 503)
    assert.equal((await linked.api(1).send('GET', '/api/nodes/n9')).status, 404)
  })

  function count(topology: { vhosts: ReadonlyMap<string, { counts: { publish: number } }> }, publish: number): void {
    for (const { counts } of topology.vhosts.values()) counts.publish += publish
  }
})

describe('closing connections of several nodes', () => {
  it('is refused in part, with a sentence, when a node does not answer', async () => {
    const linked = await LinkedApis.open(2)
    const closed: string[] = []
    for (const api of linked.apis) api.connections.push(connectionOf('nobody', closed))
    linked.silent.set('n2', 0)
    const refused = await linked.api(0).refusal('DELETE', '/api/connections/username/nobody')
    assert.deepEqual(refused, [503, 'service_unavailable', 'connections may be left: no answer of n2; ask again'])
    linked.silent.delete('n2')
    assert.equal((await linked.api(0).send('DELETE', '/api/connections/username/nobody')).status, 204)
    assert.equal(closed.length, 3)
  })
})

describe('the order of several sorted lists', () => {
  it('is that of all of them sorted at once', () => {
    const lists = [[1, 4, 4, null], [], [2, 4, 'a'], [0]].map((list) => [...list].sort(byRank))
    const order = finished(merged(lists, false, 100))
    const left = lists.map((list) => list.values())
    const all = order.map((index) => left[index]?.next().value)
    assert.deepEqual(all, [null, 0, 1, 2, 4, 4, 4, 'a'])
    assert.deepEqual(finished(merged(lists, false, 3)), order.slice(0, 3))
  })

  function byRank(a: unknown, b: unknown): number {
    const rank = (value: unknown): number => (value === null ? 0 : typeof value === 'number' ? 1 : 2)
    return rank(a) - rank(b) || (Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0)
  }
})

describe('lists that others have opened', () => {
  const rows: Entries = {
    length: 1_000,
    count: 1_000,
    total: 1_000,
    jsonAt: (number) => ({ number, long: 'x'.repeat(1_000) }),
    keyAt: (number) => number,
  }

  it('are read in answers of bounded size', () => {
    const lists = new OpenLists(new ManualClock())
    const list = lists.open(rows)
    const some = finished(lists.rows(list, 10, 1_000))
    assert.ok(some.length > 100 && JSON.stringify(some).length < 200 * 1_024, `${some.length} rows`)
    assert.equal(some[0]?.['number'], 10)
    assert.deepEqual(finished(lists.keys(list, 0, 3)), [0, 1, 2])
  })

  it('are forgotten when nobody reads them, and when there are too many', () => {
    const clock = new ManualClock()
    const lists = new OpenLists(clock)
    const list = lists.open(rows)
    clock.advance(20_000)
    finished(lists.rows(list, 0, 1))
    clock.advance(20_000)
    assert.equal(finished(lists.rows(list, 0, 1)).length, 1)
    clock.advance(31_000)
    assert.throws(() => finished(lists.rows(list, 0, 1)), /list 1 is not open any more/)
    for (let opened = 0; opened < 100; opened++) lists.open(rows)
    assert.equal(lists.count, 64)
  })
})

function sample(timestamp: number, value: number): { sample: number; timestamp: number } {
  return { sample: value, timestamp }
}

function finished<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}
