/**
 * Queues with limits, times to live, priorities, groups, delays, retries, leases, deduplication and dead letters: whatever
 * is done to them, a shard does what a plain model of them does. `MODEL_RUNS` says how many lives, `MODEL_SEED` which.
 */
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Life, livesWithGroups, livesWithoutGroups } from './queue-arbitraries.ts'
import { QueueRun } from './queue-run.ts'

const numRuns = Number(process.env['MODEL_RUNS'] ?? 500)
const seed = Number(process.env['MODEL_SEED'] ?? 1)

async function agree(lives: fc.Arbitrary<Life>): Promise<void> {
  const property = fc.asyncProperty(lives, ({ queues, steps }) => new QueueRun(queues).run(steps))
  await fc.assert(property, { seed, numRuns, includeErrorInReport: true })
}

describe('a shard and the model of its queues', () => {
  it(`agree in ${numRuns} lives of seed ${seed} without groups`, () => agree(livesWithoutGroups))

  it(`agree in ${numRuns} lives of seed ${seed} with groups`, () => agree(livesWithGroups))
})
