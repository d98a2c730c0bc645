/**
 * Nodes that compete for a replicated log over a stream that misbehaves: any seed is one life, and repeats it exactly. The lives
 * run in a process of their own: what the test runner keeps of each promise would take longer than they do.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const first = Number(process.env['SIM_FIRST'] ?? 1)
const count = Number(process.env['SIM_SEEDS'] ?? 2_000)
/** What must have happened in some of them. */
const events = ['confirmed', 'owners', 'deposed', 'crashes', 'segments freed', 'digests read', 'tails lost', 'full']

describe('a replicated log over a stream that misbehaves', () => {
  it(`keeps its promises in ${count} lives from seed ${first} on`, async (context) => {
    const counts = await live(first, count)
    context.diagnostic(JSON.stringify(counts))
    if (count < 500) return
    for (const what of events) assert.ok((counts[what] ?? 0) > 0, `there is a life with: ${what}`)
  })

  it('repeats a life exactly', async () => {
    assert.deepEqual(await live(first + 1, 1), await live(first + 1, 1))
  })
})

/** What happened in these lives; rejects with the seed of the first that breaks a promise. */
async function live(from: number, lives: number): Promise<Record<string, number>> {
  const program = fileURLToPath(new URL('./replicated-lives.js', import.meta.url))
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program, String(from), String(lives)])
    return JSON.parse(stdout) as Record<string, number>
  } catch (error) {
    throw new Error(error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error), {
      cause: error,
    })
  }
}
