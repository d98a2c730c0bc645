/** Runs lives of a replicated log: FIRST and COUNT as arguments. Prints what happened in them, or the seed of one that fails. */
import { ReplicatedRun } from './replicated-run.ts'

const [first = 1, count = 1] = process.argv.slice(2).map(Number)
const counts: Record<string, number> = {}
let seed = first

// Errors are part of every life, and their stacks would take a tenth of the time; one life alone has them.
if (count > 1) Error.stackTraceLimit = 0

process.on('unhandledRejection', failed)
process.on('uncaughtException', failed)
for (; seed < first + count; seed++) {
  const run = new ReplicatedRun(seed)
  try {
    await run.run()
  } catch (error) {
    failed(error)
  }
  for (const [what, times] of Object.entries(run.judge.counts)) counts[what] = (counts[what] ?? 0) + times
}
console.log(JSON.stringify(counts))

function failed(error: unknown): never {
  console.error(`seed ${seed} (SIM_FIRST=${seed} SIM_SEEDS=1):`, error)
  process.exit(1)
}
