/** How the digest of a segment is made in steps, between which the queues go on. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { emptyTable } from '../../../src/amqp/field-table.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import type { ShardCommands } from '../../../src/broker/ports.ts'
import { EntryFlag } from '../../../src/broker/queue/entry-chunk.ts'
import { LocalQueue } from '../../../src/broker/queue/local-queue.ts'
import { plainSettings } from '../../../src/broker/queue/queue-settings.ts'
import { buildDigest } from '../../../src/broker/shard/digest-builder.ts'
import { readU32, readU64 } from '../../../src/broker/shard/records.ts'
import { type DigestRow, readDigestIndex } from '../../../src/broker/shard/segment-digest.ts'

const base = 10_000
const end = 50_000

/** Its entries lie at ten times their sequence: those from 1,000 to 4,999 in the segment. */
function queueOf(id: number, count: number): LocalQueue {
  const flags = {
    isDurable: true,
    isAutoDelete: false,
    exclusiveOwner: null,
    shardId: 0,
    arguments: emptyTable,
    settings: plainSettings,
    queue: null,
    counts: null,
  }
  const queue = new LocalQueue({ id, vhost: '/', name: `q${id}`, ...flags }, {} as ShardCommands)
  for (let index = 0; index < count; index++) push(queue)
  return queue
}

function push(queue: LocalQueue): void {
  queue.entries.push(queue.entries.next * 10, queue.entries.next % 100, EntryFlag.live)
}

function settle(queue: LocalQueue, sequence: number): void {
  const chunk = queue.entries.chunkOf(sequence)
  if (chunk !== null && chunk.flagsOf(sequence) !== 0) queue.entries.remove(chunk, sequence)
}

function steps(queues: LocalQueue[]): Generator<void, Uint8Array, void> {
  return buildDigest({ base, end, queues, large: [], sentMarkOf: () => 0, statesOf: () => [] })
}

/** Makes it, doing something between each two steps. */
function built(queues: LocalQueue[], between: () => void = () => {}): Uint8Array {
  const work = steps(queues)
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    between()
  }
}

async function rowsOf(digest: Uint8Array): Promise<DigestRow[]> {
  const index = await readDigestIndex((at, length) => Promise.resolve(digest.subarray(at, at + length)))
  assert.ok(index !== null)
  return index.rows
}

/** Sequence, offset and size of each entry. */
function entriesOf(digest: Uint8Array, row: DigestRow): [number, number, number][] {
  const bytes = row.isContiguous ? 8 : 12
  return Array.from({ length: row.count }, (_, index) => {
    const at = row.rowsAt + index * bytes
    const sequence = row.first + (row.isContiguous ? index : readU32(digest, at + 8))
    return [sequence, readU32(digest, at), readU32(digest, at + 4)]
  })
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}

describe('the digest of a segment', () => {
  it('names every live entry in it, with its place and size, and their sums by chunk', async () => {
    const queue = queueOf(7, 6_000)
    const digest = built([queue])
    const [row] = await rowsOf(digest)
    assert.ok(row !== undefined)
    assert.deepEqual([row.queueId, row.first, row.last, row.count], [7, 1_000, 4_999, 4_000])
    assert.deepEqual([row.isContiguous, row.offsetMax], [true, 39_990])
    const expected = numbers(1_000, 5_000).map((sequence) => [sequence, sequence * 10 - base, sequence % 100])
    assert.deepEqual(entriesOf(digest, row), expected)
    const sizes = (from: number, to: number): number => numbers(from, to).reduce((sum, each) => sum + (each % 100), 0)
    const sums = [0, 1, 2, 3, 4].map((index) => readU64(digest, row.sumsAt + index * 8))
    assert.deepEqual(sums, [
      sizes(1_000, 1_024),
      sizes(1_024, 2_048),
      sizes(2_048, 3_072),
      sizes(3_072, 4_096),
      sizes(4_096, 5_000),
    ])
    assert.equal(queue.undigestedFrom, 5_000)
  })

  it('keeps the sequences of a run with gaps', async () => {
    const queue = queueOf(7, 6_000)
    for (let sequence = 1; sequence < 6_000; sequence += 3) settle(queue, sequence)
    const digest = built([queue])
    const [row] = await rowsOf(digest)
    assert.ok(row !== undefined)
    const live = numbers(1_000, 5_000).filter((sequence) => sequence % 3 !== 1)
    assert.equal(row.isContiguous, false)
    assert.deepEqual(
      entriesOf(digest, row).map(([sequence]) => sequence),
      live,
    )
  })

  for (const seed of [1, 2, 3]) {
    it(`holds what is live all the while, whatever comes and goes between its steps, seed ${seed}`, async () => {
      const random = new SeededRandom(seed)
      const queues = numbers(0, 5).map((id) => queueOf(id, 5_500 + random.below(4_000)))
      const digest = built(queues, () => {
        for (const queue of queues) {
          for (let count = 0; count < 40; count++) settle(queue, 1 + random.below(queue.entries.next))
          for (let count = 0; count < 20; count++) push(queue)
        }
      })
      for (const [index, row] of (await rowsOf(digest)).entries()) {
        const queue = queues[index] ?? assert.fail()
        const held = new Set(entriesOf(digest, row).map(([sequence]) => sequence))
        for (const sequence of numbers(1_000, 5_000)) {
          if (queue.entries.isLive(sequence)) assert.ok(held.has(sequence), `${sequence} is not in the digest`)
        }
        for (const sequence of held) assert.ok(sequence >= 1_000 && sequence < 5_000, `${sequence} is outside`)
        assert.ok(queue.undigestedFrom >= 5_000 && queue.undigestedFrom <= queue.entries.next)
        for (const sequence of numbers(5_000, queue.undigestedFrom)) assert.ok(!queue.entries.isLive(sequence))
      }
    })
  }

  it('lets the next digest begin at an entry that was copied forward meanwhile', () => {
    const queue = queueOf(7, 6_000)
    let step = 0
    built([queue], () => {
      if (++step === 3) queue.undigestedFrom = Math.min(queue.undigestedFrom, 12)
    })
    assert.equal(queue.undigestedFrom, 12)
  })

  it('takes no step of more than a chunk', () => {
    const work = steps([queueOf(1, 100_000), queueOf(2, 10)])
    let count = 0
    while (work.next().done !== true) count++
    // 100,000 entries lie in 98 chunks, of which those from the segment on are looked at.
    assert.ok(count > 90, `${count} steps`)
  })
})
