/** Lists: pages, filters, order, columns; and that long ones are made in slices. */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { SystemClock } from '../../../src/base/clock.ts'
import { RunQueue } from '../../../src/base/run-queue.ts'
import { listedAs } from '../../../src/management/api/list.ts'
import type { ApiRequest } from '../../../src/management/api/request.ts'
import type { Api } from '../../../src/management/api/route.ts'
import { SortKeys } from '../../../src/management/api/sorting.ts'
import type { Listing } from '../../../src/management/api/view.ts'
import { ApiHarness } from './api-harness.ts'

const names = ['beta', 'alpha', 'Gamma', 'delta', 'a.b%2F', 'ünï', 'b/c']

interface Page {
  readonly items: readonly { readonly name: string }[]
  readonly page: number
  readonly page_count: number
  readonly page_size: number
  readonly total_count: number
  readonly filtered_count: number
  readonly item_count: number
}

describe('lists', () => {
  let api: ApiHarness
  before(async () => {
    api = await ApiHarness.open()
    for (const name of names) await api.json('PUT', `/api/queues/%2F/${encodeURIComponent(name)}`, {})
    const queues = [...(api.broker.topology.vhosts.get('/')?.queues.values() ?? [])]
    queues.forEach((queue, index) => {
      api.broker.shards.statuses.set(queue.id, { ready: (index * 3) % 7, unacked: index % 2, consumers: 0 })
    })
  })
  const list = async (query: string): Promise<string[]> => {
    const rows = (await api.json('GET', `/api/queues?${query}`)) as { name: string }[]
    return rows.map(({ name }) => name)
  }

  it('gives all, as they were declared', async () => {
    assert.deepEqual(await list(''), names)
  })

  it('tells what is in each queue', async () => {
    const rows = (await api.json('GET', '/api/queues/%2F')) as Record<string, unknown>[]
    assert.deepEqual(
      rows.map((row) => [row['messages_ready'], row['messages_unacknowledged'], row['messages']]),
      names.map((_, index) => [(index * 3) % 7, index % 2, ((index * 3) % 7) + (index % 2)]),
    )
    const overview = (await api.json('GET', '/api/overview')) as Record<string, Record<string, unknown>>
    assert.equal(overview['queue_totals']?.['messages'], 21 + 3)
    assert.equal(overview['object_totals']?.['queues'], names.length)
  })

  it('finds every name by its path', async () => {
    for (const name of names) {
      const queue = (await api.json('GET', `/api/queues/%2F/${encodeURIComponent(name)}`)) as { name: string }
      assert.equal(queue.name, name)
    }
  })

  it('gives pages', async () => {
    const page = (await api.json('GET', '/api/queues?page=2&page_size=3&columns=name')) as Page
    assert.deepEqual(page, {
      filtered_count: 7,
      item_count: 3,
      items: names.slice(3, 6).map((name) => ({ name })),
      page: 2,
      page_count: 3,
      page_size: 3,
      total_count: 7,
    })
    const filtered = (await api.json('GET', '/api/queues?page=1&name=A&columns=name')) as Page
    assert.deepEqual([filtered.total_count, filtered.filtered_count], [7, 5])
    const none = (await api.json('GET', '/api/queues?page=1&name=nothing')) as Page
    assert.deepEqual([none.items, none.page_count], [[], 1])
  })

  it('refuses pages that cannot be', async () => {
    for (const query of ['page=0', 'page=-1', 'page=x', 'page=1&page_size=0', 'page=1&page_size=501', 'page=1e3']) {
      const [status, error] = await api.refusal('GET', `/api/queues?${query}`)
      assert.deepEqual([status, error], [400, 'invalid_pagination_parameters'], query)
    }
    assert.deepEqual(await api.refusal('GET', '/api/queues?page=9&page_size=3'), [
      400,
      'page_out_of_range',
      'Page out of range, page: 9 page size: 3, len: 7',
    ])
  })

  it('filters by a part of the name, or by an expression that cannot take long', async () => {
    assert.deepEqual(await list('name=TA'), ['beta', 'delta'])
    assert.deepEqual(await list(`name=${encodeURIComponent('^.l|ï$')}&use_regex=true`), ['alpha', 'ünï'])
    for (const hostile of ['(', '(a)\\1', 'x'.repeat(257)]) {
      const [status] = await api.refusal('GET', `/api/queues?name=${encodeURIComponent(hostile)}&use_regex=true`)
      assert.equal(status, 400, hostile)
    }
  })

  it('sorts, also by what is inside', async () => {
    assert.deepEqual(await list('sort=name'), [...names].sort())
    assert.deepEqual(await list('sort=messages_ready&sort_reverse=true&page_size=1'), [
      'Gamma',
      'a.b%2F',
      'b/c',
      'alpha',
      'delta',
      'ünï',
      'beta',
    ])
    assert.deepEqual(await list('sort=messages_details.rate'), names)
    assert.deepEqual(await list('sort=nothing.there'), names)
  })

  it('shows the columns that are asked for', async () => {
    const [row] = (await api.json(
      'GET',
      '/api/queues?columns=name,messages_details.rate,nope,arguments.x',
    )) as unknown[]
    assert.deepEqual(row, { name: 'beta', messages_details: { rate: 0 }, arguments: {} })
    assert.deepEqual(await api.json('GET', '/api/queues/%2F/beta?columns=vhost'), { vhost: '/' })
  })

  it('knows no columns of the language it is written in', async () => {
    const [row] = (await api.json('GET', '/api/queues?columns=__proto__,constructor.name,toString')) as unknown[]
    assert.deepEqual(row, {})
  })

  it('shows who may not see all vhosts what is in their own', async () => {
    await api.broker.broker.createVhost('hidden')
    for (const user of ['management', 'monitoring']) {
      const { json } = await api.send('GET', '/api/exchanges?columns=vhost', { user })
      const vhosts = new Set((json as { vhost: string }[]).map(({ vhost }) => vhost))
      assert.deepEqual([...vhosts], user === 'monitoring' ? ['/', 'hidden'] : ['/'])
    }
  })
})

describe('a long list', () => {
  it('is given whole, in order, while other work has its turns', async () => {
    const api = await ApiHarness.open()
    const { broker, topology } = api.broker
    const session = broker.openSession({ username: 'administrator', tags: [] }, '/')
    const flags = { isPassive: false, isDurable: false, isExclusive: false, isAutoDelete: false }
    const count = 5_000
    for (let index = 0; index < count; index++) {
      const args = { name: `queue-${index}`, ...flags, arguments: { bytes: new Uint8Array(0), fields: new Map() } }
      session.vhost.declareQueue(session, args, { done: () => {}, failed: (error) => assert.fail(error) })
    }
    let turns = 0
    let isDone = false
    const other = { run: () => ++turns > 0 && !isDone }
    topology.runQueue.add(other)
    const rows = (await api.json('GET', '/api/queues')) as { name: string }[]
    isDone = true
    assert.equal(rows.length, count)
    assert.deepEqual([rows[0]?.name, rows[count - 1]?.name], ['queue-0', `queue-${count - 1}`])
    // The text alone is more than one part, and each is a task of its own.
    assert(turns > 10, `${turns} turns`)
  })
})

describe('sorting in slices', () => {
  const keys = fc.oneof(
    fc.integer({ min: 0, max: 20 }),
    fc.string({ maxLength: 2 }),
    fc.constant(undefined),
    fc.boolean(),
  )

  const rank = (key: unknown): number =>
    key === undefined ? 0 : typeof key === 'number' ? 1 : typeof key === 'string' ? 2 : 3
  const plain = (a: unknown, b: unknown): number => {
    if (rank(a) !== rank(b)) return rank(a) - rank(b)
    const [x, y] = [a, b].map((key) => (typeof key === 'boolean' ? String(key) : key)) as [string, string]
    return x < y ? -1 : x > y ? 1 : 0
  }
  const list = fc.oneof(fc.array(keys, { maxLength: 400 }), fc.array(keys, { minLength: 1_000, maxLength: 2_000 }))

  it('gives any part of what a stable sort gives, in both directions', () => {
    fc.assert(
      fc.property(list, fc.nat(2_100), fc.nat(2_100), fc.boolean(), (list, from, count, isReversed) => {
        const entries = list.map((key, index) => ({ key, index }))
        const expected = entries.sort((a, b) => (isReversed ? plain(b.key, a.key) : plain(a.key, b.key)))
        const found = [...inOrder(list, { from, until: from + count, isReversed }).order]
        assert.deepEqual(
          found,
          expected.slice(from, from + count).map(({ index }) => index),
        )
      }),
      { numRuns: 300, seed: 1 },
    )
  })

  it('sorts no more than the part, in whatever order the entries came', () => {
    const count = 50_000
    const orders: Readonly<Record<string, (index: number) => unknown>> = {
      sorted: (index) => index,
      reversed: (index) => -index,
      alike: () => 0,
      mixed: (index) => (index * 7_919) % count,
      pipes: (index) => Math.min(index, count - index),
    }
    for (const [name, keyOf] of Object.entries(orders)) {
      for (const from of [0, count / 2, count - 50]) {
        const list = Array.from({ length: count }, (_, index) => keyOf(index))
        const { order, steps } = inOrder(list, { from, until: from + 50, isReversed: true })
        assert.equal(order.length, 50)
        // A step is 256 entries: to look at all of them once takes 195, to sort them all 16 times as many.
        assert(steps < 195 * 8, `${name} from ${from}: ${steps} steps`)
      }
    }
  })

  function inOrder(
    list: readonly unknown[],
    { from, until, isReversed }: { from: number; until: number; isReversed: boolean },
  ): { order: Uint32Array; steps: number } {
    const sortKeys = new SortKeys()
    for (const key of list) sortKeys.add(key)
    const work = sortKeys.range(from, until, isReversed)
    for (let steps = 0; ; steps++) {
      const step = work.next()
      if (step.done === true) return { order: step.value, steps }
    }
  }
})

describe('a page of a sorted list', () => {
  it('makes JSON of what it shows only, however far behind it is', async () => {
    const made: number[] = []
    const listing: Listing<number> = {
      things: Array.from({ length: 2_000 }, (_, index) => index),
      isOf: (index) => index < 1_000,
      view: {
        nameOf: String,
        json: (index) => {
          made.push(index)
          return { name: String(index) }
        },
        reader: () => (index) => index % 100,
      },
    }
    const api = { runQueue: new RunQueue(new SystemClock()) } as unknown as Api
    const pageNamed = async (query: string): Promise<Page> => {
      const answer = await listedAs(api, { query: new URLSearchParams(query) } as ApiRequest, listing)
      return answer.body as Page
    }
    const pages: readonly (readonly [query: string, names: readonly string[]])[] = [
      ['page=2&page_size=5&sort=messages&sort_reverse=true', ['599', '699', '799', '899', '999']],
      ['page=199&page_size=5&sort=messages&sort_reverse=true', ['0', '100', '200', '300', '400']],
      ['page=3&page_size=4', ['8', '9', '10', '11']],
      ['page=2&page_size=3&name=99', ['399', '499', '599']],
    ]
    for (const [query, names] of pages) {
      made.length = 0
      const page = await pageNamed(query)
      assert.deepEqual(
        page.items.map(({ name }) => name),
        names,
      )
      assert.deepEqual([page.total_count, made.length], [1_000, names.length])
    }
    await assert.rejects(pageNamed('page=201&page_size=5&sort=messages'), /Page out of range/)
  })
})
