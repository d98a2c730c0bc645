/** What is sampled of counts: rates, histories, and what is forgotten. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Recent } from '../../../src/broker/statistics/recent.ts'
import { Histories } from '../../../src/management/statistics/histories.ts'
import { lookMs, untilNextLook } from '../../../src/management/statistics/sampler.ts'
import { Series } from '../../../src/management/statistics/series.ts'
import { ApiHarness } from './api-harness.ts'

interface Details {
  readonly rate: number
  readonly samples?: readonly { sample: number; timestamp: number }[]
  readonly avg_rate?: number
  readonly avg?: number
}

interface Stats {
  readonly publish: number
  readonly publish_details: Details
  readonly drop_unroutable?: number
}

interface Shown {
  readonly message_stats?: Stats
  readonly messages_details: Details
}

async function publish(api: ApiHarness, count: number, key = 'q'): Promise<void> {
  const body = { properties: {}, routing_key: key, payload: '', payload_encoding: 'string' }
  for (let sent = 0; sent < count; sent++) await api.json('POST', '/api/exchanges/%2F/amq.default/publish', body)
}

async function lookAfter(api: ApiHarness, ms: number): Promise<void> {
  api.broker.clock.advance(ms)
  await api.sampler.look()
}

async function opened(): Promise<ApiHarness> {
  const api = await ApiHarness.open()
  await api.json('PUT', '/api/queues/%2F/q', {})
  await api.sampler.look()
  return api
}

describe('rates', () => {
  it('are those between the last two looks, and end when nothing moves', async () => {
    const api = await opened()
    const queue = async (): Promise<Shown> => (await api.json('GET', '/api/queues/%2F/q')) as Shown
    assert.equal((await queue()).message_stats, undefined)
    await publish(api, 10)
    assert.deepEqual(
      [(await queue()).message_stats?.publish, (await queue()).message_stats?.publish_details.rate],
      [10, 0],
    )
    await lookAfter(api, 5_000)
    assert.equal((await queue()).message_stats?.publish_details.rate, 2)
    await publish(api, 5)
    await lookAfter(api, 5_000)
    assert.equal((await queue()).message_stats?.publish_details.rate, 1)
    await lookAfter(api, 5_000)
    assert.deepEqual(
      [(await queue()).message_stats?.publish, (await queue()).message_stats?.publish_details.rate],
      [15, 0],
    )
  })

  it('are told of the node, of vhosts and of exchanges', async () => {
    const api = await opened()
    await publish(api, 10)
    await publish(api, 5, 'nowhere')
    await lookAfter(api, 5_000)
    for (const path of ['overview', 'vhosts/%2F']) {
      const { message_stats: stats } = (await api.json('GET', `/api/${path}`)) as Shown
      assert.deepEqual([stats?.publish, stats?.publish_details.rate, stats?.drop_unroutable], [15, 3, 5], path)
    }
    const exchange = (await api.json('GET', '/api/exchanges/%2F/amq.default')) as {
      message_stats: { publish_in: number; publish_out: number; publish_in_details: Details }
    }
    const { publish_in, publish_out, publish_in_details } = exchange.message_stats
    assert.deepEqual([publish_in, publish_out, publish_in_details.rate], [15, 10, 3])
    const quiet = (await api.json('GET', '/api/exchanges/%2F/amq.topic')) as Shown
    assert.equal(quiet.message_stats, undefined)
  })

  it('of a vhost that is gone still count for the node', async () => {
    const api = await opened()
    await api.json('PUT', '/api/vhosts/short', {})
    await api.json('PUT', '/api/queues/short/q', {})
    const body = { properties: {}, routing_key: 'q', payload: '', payload_encoding: 'string' }
    await api.json('POST', '/api/exchanges/short/amq.default/publish', body)
    await api.json('DELETE', '/api/vhosts/short')
    const overview = (await api.json('GET', '/api/overview')) as Shown & { churn_rates: Record<string, number> }
    assert.equal(overview.message_stats?.publish, 1)
    assert.deepEqual([overview.churn_rates['queue_created'], overview.churn_rates['queue_deleted']], [2, 1])
  })

  it('show only what their reader may see', async () => {
    const api = await opened()
    await api.json('PUT', '/api/vhosts/hidden', {})
    await api.json('PUT', '/api/queues/hidden/q', {})
    const body = { properties: {}, routing_key: 'q', payload: '', payload_encoding: 'string' }
    await api.json('POST', '/api/exchanges/hidden/amq.default/publish', body)
    await publish(api, 3)
    const seen = (await api.send('GET', '/api/overview', { user: 'management' })).json as Shown
    assert.equal(seen.message_stats?.publish, 3)
  })
})

describe('looks', () => {
  it('miss no step of what is kept, late as they are', () => {
    let now = 1_700_000_004_999
    let step = Math.floor(now / lookMs)
    for (let look = 0; look < 2_000; look++) {
      now += untilNextLook(now) + ((look * 37) % (lookMs / 2))
      assert.equal(Math.floor(now / lookMs), ++step)
    }
  })

  it('go on by themselves until they are stopped', async () => {
    const api = await opened()
    const { clock } = api.broker
    let looks = 0
    api.sampler.hear(() => looks++)
    api.sampler.start()
    await api.broker.idle()
    for (const expected of [2, 3, 4]) {
      clock.advance(untilNextLook(clock.now()))
      await api.broker.idle()
      assert.equal(looks, expected)
    }
    api.sampler.stop()
    clock.advance(10 * lookMs)
    await api.broker.idle()
    assert.equal(looks, 4)
  })
})

describe('samples', () => {
  it('go back as far as was asked for, newest first', async () => {
    const api = await opened()
    for (let look = 0; look < 4; look++) {
      await publish(api, 10)
      await lookAfter(api, 5_000)
    }
    const path = '/api/queues/%2F/q?msg_rates_age=10&msg_rates_incr=5&lengths_age=10&lengths_incr=5'
    const { message_stats: stats, messages_details: lengths } = (await api.json('GET', path)) as Shown
    const details = stats?.publish_details
    assert.deepEqual(
      details?.samples?.map(({ sample }) => sample),
      [40, 30, 20],
    )
    assert.deepEqual([details?.avg_rate, details?.avg], [2, 30])
    assert.deepEqual(lengths.samples?.length, 3)
    const steps = details?.samples?.map(({ timestamp }) => timestamp % 5_000)
    assert.deepEqual(steps, [0, 0, 0])
  })

  it('are bounded', async () => {
    const api = await opened()
    for (const wish of [
      'lengths_age=1000&lengths_incr=1',
      'lengths_age=x&lengths_incr=1',
      'lengths_age=1&lengths_incr=0',
    ]) {
      const [status, error] = await api.refusal('GET', `/api/queues?${wish}`)
      assert.deepEqual([status, error], [400, 'bad_request'], wish)
    }
  })
})

describe('a series', () => {
  it('knows what was at a time, finer for what is recent', () => {
    const series = new Series(1, [
      { stepMs: 10, count: 4 },
      { stepMs: 100, count: 10 },
    ])
    for (let time = 10; time <= 500; time += 10) series.add(time, Float64Array.of(time))
    assert.deepEqual(
      [505, 500, 495, 470, 469, 415, 110, 109, 10].map((time) => series.at(time)?.[0] ?? null),
      [500, 500, 490, 470, 390, 390, 90, 90, null],
    )
    assert.equal(series.at(9), null)
  })
})

describe('a steady rate', () => {
  it('is steady in all steps that are asked for, and where a larger one takes over', () => {
    const levels = [
      { stepMs: 5_000, count: 122 },
      { stepMs: 60_000, count: 62 },
      { stepMs: 600_000, count: 50 },
    ]
    const series = new Series(1, levels)
    const hours = 3_600_000
    const end = 1_700_000_400_000
    for (let time = end - 9 * hours + 2_500; time < end; time += 5_000) series.add(time, Float64Array.of(time))
    for (const { stepMs, count } of levels) {
      const at = (step: number): number => series.at(end - step * stepMs)?.[0] ?? Number.NaN
      const grown = Array.from({ length: count - 2 }, (_, step) => at(step) - at(step + 1))
      assert.deepEqual([...new Set(grown)], [stepMs])
    }
  })
})

describe('histories', () => {
  const recent = (): Recent => ({ totals: Float64Array.of(1), rates: null, history: null })

  it('are kept of what moved last', () => {
    const histories = new Histories(2)
    const [a, b, c] = [recent(), recent(), recent()]
    histories.add(a, 10, 0)
    histories.add(b, 10, 0)
    histories.add(c, 10, 0)
    assert.deepEqual(
      [a, b, c].map(({ history }) => history !== null),
      [true, true, false],
    )
    histories.add(b, 20, 10)
    histories.add(c, 30, 20)
    assert.deepEqual(
      [a, b, c].map(({ history }) => history !== null),
      [false, true, true],
    )
  })
})
