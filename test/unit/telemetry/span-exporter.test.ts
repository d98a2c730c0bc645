/** What becomes of spans while their receiver is away: bounded, tried again later and later, and sent once it is back. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import type { Residence } from '../../../src/broker/queue/residences.ts'
import {
  batchMax,
  batchMs,
  followedMax,
  type Posted,
  pauseMsMax,
  pauseMsMin,
  SpanExporter,
  waitingMax,
} from '../../../src/telemetry/span-exporter.ts'

type Answer = () => Promise<Posted>

const away: Answer = () => Promise.reject(new Error('connect ECONNREFUSED'))
const answering =
  (status: number, restMs: number | null = null): Answer =>
  () =>
    Promise.resolve({ status, restMs })

function stage() {
  const clock = new ManualClock()
  /** When, and how many spans. */
  const posts: { readonly at: number; readonly count: number; readonly first: string }[] = []
  const state = { answer: answering(200) }
  const post = (document: string): Promise<Posted> => {
    const { resourceSpans } = JSON.parse(document) as {
      resourceSpans: [{ scopeSpans: [{ spans: { traceId: string }[] }] }]
    }
    const { spans } = resourceSpans[0].scopeSpans[0]
    posts.push({ at: clock.monotonic(), count: spans.length, first: spans[0]?.traceId ?? '' })
    return state.answer()
  }
  const source = { serviceName: 's', serviceInstance: 'i', version: '0' }
  const target = 'http://collector/v1/traces'
  const exporter = new SpanExporter({ clock, random: new SeededRandom(1), logger: silentLogger, source, target, post })
  let number = 0
  const span = (): void => {
    if (!exporter.began()) return
    exporter.ended({ ...residence, traceId: (number++).toString(16).padStart(32, '0') }, 'acknowledged')
  }
  return { clock, posts, state, exporter, span }
}

const residence: Residence = {
  ...{ traceId: 'a'.repeat(32), parentId: 'b'.repeat(16), entry: { queueId: 1, sequence: 1 }, origin: null },
  ...{ queue: 'q', vhost: '/', routingKey: 'k', bodyBytes: 1, enteredAt: 1, deliveredAt: [] },
  ...{ deliveries: 0, death: null, isDeadLetter: false },
}

async function pass(clock: ManualClock, ms: number): Promise<void> {
  clock.advance(ms)
  await new Promise((resolve) => setImmediate(resolve))
}

describe('a receiver of spans that is away', () => {
  it('is asked again after pauses that grow, with the same spans, and gets all that fits', async () => {
    const { clock, posts, state, exporter, span } = stage()
    state.answer = away
    for (let index = 0; index < waitingMax + 10; index++) span()
    assert.equal(exporter.dropped, 10, 'what comes when there is no room is dropped')
    for (let step = 0; step < 4_000; step++) await pass(clock, 100)
    assert.equal(exporter.dropped, 10, 'what waits goes on waiting')
    const pauses = posts.slice(1).map(({ at }, index) => at - (posts[index]?.at ?? 0))
    for (const [index, pause] of pauses.entries()) {
      const longest = Math.min(pauseMsMax, pauseMsMin * 2 ** index)
      assert.ok(pause >= longest * 0.79 && pause <= longest + 100, `${index}: ${pause} of ${longest}`)
    }
    assert.ok(pauses.length >= 8 && pauses.length <= 16, `${pauses.length}`)
    assert.ok(posts.every(({ count, first }) => count === batchMax && first === '0'.repeat(32)))
    state.answer = answering(200)
    for (let step = 0; step < 700; step++) await pass(clock, 100)
    assert.deepEqual([exporter.exported, exporter.dropped], [waitingMax, 10])
    span()
    await pass(clock, batchMs)
    assert.equal(exporter.exported, waitingMax + 1, 'and goes on as before')
  })

  it('holds no more than its bounds, however long it is away', async () => {
    const { clock, state, exporter, span } = stage()
    state.answer = away
    for (let round = 0; round < 30; round++) {
      for (let index = 0; index < 1_000; index++) span()
      await pass(clock, 10_000)
    }
    assert.equal(exporter.dropped, 30_000 - waitingMax)
    await exporter.stop()
    assert.deepEqual([exporter.exported, exporter.dropped], [0, 30_000], 'what is left at the end is counted')
  })

  it('is left alone for as long as it asks', async () => {
    const { clock, posts, state, span, exporter } = stage()
    state.answer = answering(503, 30_000)
    span()
    await pass(clock, batchMs)
    assert.equal(posts.length, 1)
    state.answer = answering(200)
    await pass(clock, 29_999)
    assert.equal(posts.length, 1)
    await pass(clock, 1)
    assert.deepEqual([posts.length, exporter.exported], [2, 1])
  })

  it('that refuses for good does not get the same again', async () => {
    const { clock, posts, state, span, exporter } = stage()
    state.answer = answering(400)
    span()
    await pass(clock, batchMs)
    assert.deepEqual([posts.length, exporter.dropped], [1, 1])
    await pass(clock, 60_000)
    assert.equal(posts.length, 1, 'there is nothing to send')
    state.answer = answering(200)
    span()
    await pass(clock, pauseMsMin)
    assert.deepEqual([posts.length, exporter.exported, exporter.dropped], [2, 1, 1])
  })

  it('is asked once more when the node stops', async () => {
    const { state, span, exporter, posts } = stage()
    state.answer = away
    span()
    await exporter.stop()
    assert.deepEqual([posts.length, exporter.dropped], [1, 1])
    const other = stage()
    for (let index = 0; index < batchMax + 1; index++) other.span()
    await other.exporter.stop()
    assert.deepEqual(
      other.posts.map(({ count }) => count),
      [batchMax, 1],
    )
  })
})

describe('messages that are followed', () => {
  it('are so many at most', () => {
    const { exporter } = stage()
    for (let index = 0; index < followedMax; index++) assert.ok(exporter.began())
    assert.equal(exporter.began(), false)
    assert.equal(exporter.dropped, 1)
    exporter.lost(followedMax)
    assert.ok(exporter.began())
  })
})
