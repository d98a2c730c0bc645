/** The shard on its file log, on a machine that is simulated: any seed is one life, and repeats it exactly. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ShardRun } from './shard-run.ts'

const first = Number(process.env['SIM_FIRST'] ?? 1)
const count = Number(process.env['SIM_SEEDS'] ?? 50)

describe('a shard on a simulated machine', () => {
  it(`keeps its promises in ${count} lives from seed ${first} on`, async (context) => {
    const counts: Record<string, number> = {}
    for (let seed = first; seed < first + count; seed++) {
      const run = await live(seed)
      for (const [what, times] of Object.entries(run.counts)) counts[what] = (counts[what] ?? 0) + times
    }
    context.diagnostic(JSON.stringify(counts))
  })

  it('repeats a life exactly', async () => {
    const traces = [await new ShardRun(first).run(), await new ShardRun(first).run()]
    assert.equal(traces[0], traces[1])
  })
})

async function live(seed: number): Promise<ShardRun> {
  const run = new ShardRun(seed)
  const threw = (error: unknown): void => run.violate(error)
  process.on('unhandledRejection', threw)
  process.on('uncaughtException', threw)
  try {
    await run.run()
  } catch (error) {
    throw new Error(
      `seed ${seed} (SIM_FIRST=${seed} SIM_SEEDS=1): ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  } finally {
    process.off('unhandledRejection', threw)
    process.off('uncaughtException', threw)
  }
  return run
}
