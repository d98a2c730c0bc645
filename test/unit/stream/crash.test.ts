/**
 * A stream after a crash at many points of a recorded life: nothing confirmed is lost, what a consumer has seen stands at
 * the same offset with the same content, and no named consumer goes on behind what it has not acknowledged.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SeededRandom } from '../../../src/base/random.ts'
import { CrashStates, type Fate } from '../../support/crash-states.ts'
import { type DiskImage, SimulatedFiles } from '../../support/simulated-files.ts'
import { StreamHarness } from './stream-harness.ts'

/** What clients knew at a point of the life. */
interface Known {
  readonly confirmed: number
  /** A consumer had seen everything below this offset. */
  readonly seen: number
  /** The named consumer had acknowledged everything below this offset. */
  readonly acknowledged: number
}

/** More states for a long run: `STREAM_CRASHES=5000`. */
const statesMax = Number(process.env['STREAM_CRASHES'] ?? 250)
const settings = { maxLengthBytes: 4 * 32 * 1024 }
const textOf = (offset: number): string => `m${offset}.`.padEnd(50 + (offset % 7) * 60, '.')

/** One process that publishes, consumes, acknowledges and drops segments; the disk's journal says what clients knew. */
async function recordLife(seed: number, steps: number): Promise<SimulatedFiles> {
  const files = new SimulatedFiles()
  const random = new SeededRandom(seed)
  const harness = await StreamHarness.start({ files })
  harness.declare('s', settings)
  const app = await harness.consume({ 'x-stream-consumer-name': 'app', 'x-stream-offset': 'first' }, { limit: 500 })
  const watcher = await harness.consume({ 'x-stream-offset': 'first' }, { limit: 0xffff })
  let published = 0
  let acknowledged = 0
  const mark = (): void => {
    const seen = (watcher.offsets.at(-1) ?? -1) + 1
    const known: Known = { confirmed: harness.confirms.confirmed.length, seen, acknowledged }
    files.mark(known)
  }
  for (let step = 0; step < steps; step++) {
    for (let count = random.below(60); count > 0; count--) harness.publish(textOf(published++))
    for (let turns = random.below(8); turns > 0; turns--) {
      await new Promise<void>((resolve) => setImmediate(resolve))
      mark()
    }
    const held = app.offsets.filter((offset) => offset >= acknowledged)
    const last = held[random.below(held.length + 1) - 1]
    if (last !== undefined) {
      app.settle(held[0] as number, last)
      acknowledged = last + 1
    }
    mark()
    if (random.below(4) === 0) await harness.pass(300)
    mark()
  }
  assert.ok(harness.logOf().segments[0]?.id ?? 0 > 1, 'segments were dropped')
  return files
}

async function check(image: DiskImage, known: Known, isKilledAgain: boolean): Promise<void> {
  const harness = await StreamHarness.start({ files: new SimulatedFiles({ image, hasJournal: false }) })
  harness.declare('s', settings)
  if (isKilledAgain) {
    await harness.status()
    await harness.kill()
  }
  const app = await harness.consume({ 'x-stream-consumer-name': 'app', 'x-stream-offset': 'first' }, { limit: 1 })
  const reader = await harness.consume({ 'x-stream-offset': 'first' }, { limit: 0xffff })
  const begun = reader.offsets[0] ?? 0
  for (const [index, { offset, body, header }] of reader.seen.entries()) {
    assert.equal(offset, begun + index)
    assert.equal(header, offset)
    assert.equal(body, textOf(offset))
  }
  const end = begun + reader.seen.length
  assert.ok(end >= known.confirmed, `${known.confirmed} were confirmed, ${end} are there`)
  assert.ok(end >= known.seen, `${known.seen} were seen, ${end} are there`)
  const next = app.offsets[0] ?? end
  assert.ok(next <= Math.max(known.acknowledged, begun), `goes on at ${next}, acknowledged below ${known.acknowledged}`)
  harness.publish('new')
  await harness.settle()
  assert.deepEqual(reader.seen.at(-1), { offset: end, header: end, body: 'new' })
  await harness.streams.close()
}

type FateOf = (change: unknown, index: number) => Fate

describe('a stream after a crash', () => {
  for (const seed of [1, 2]) {
    test(`keeps what clients know, at every point of life ${seed}`, async (context) => {
      const { journal } = await recordLife(seed, 120)
      const states = new CrashStates(journal)
      const random = new SeededRandom(seed)
      const every = Math.max(1, Math.floor((journal.length * 3) / statesMax))
      let known: Known = { confirmed: 0, seen: 0, acknowledged: 0 }
      let checked = 0
      for (let entry = states.step(), step = 0; entry !== null; entry = states.step(), step++) {
        if (entry.type === 'mark') known = entry.value as Known
        if (step % every !== 0) continue
        const torn = Math.floor(states.lastWriteBytes * random.next())
        const fates: FateOf[] = [() => 'drop', () => 'keep', (_, index) => (index === 0 ? torn : 'sectors')]
        for (const [index, fate] of fates.entries()) {
          await check(states.image(fate, random), known, (step + index) % 5 === 0)
          checked++
        }
      }
      context.diagnostic(`${checked} disks, ${known.confirmed} messages`)
      assert.ok(checked > statesMax / 2 && known.confirmed > 1000)
    })
  }
})
