/**
 * Queues with limits, times to live, priorities and dead letters: whatever is done to them, a shard does what a plain
 * model of them does. `MODEL_RUNS` says how many lives, `MODEL_SEED` which.
 */
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { commands, plans } from './queue-arbitraries.ts'
import { QueueRun } from './queue-run.ts'

const numRuns = Number(process.env['MODEL_RUNS'] ?? 300)
const seed = Number(process.env['MODEL_SEED'] ?? 1)

describe('a shard and the model of its queues', () => {
  it(`agree in ${numRuns} lives of seed ${seed}`, async () => {
    const property = fc.asyncProperty(plans, commands, async (queues, steps) => {
      await new QueueRun(queues).run(steps)
    })
    await fc.assert(property, { seed, numRuns, includeErrorInReport: true })
  })
})
