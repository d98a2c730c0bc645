import type { Histogram } from '../../base/histogram.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import type { ApiParts } from './route.ts'

/** How safe what was confirmed is at this node: what is stored, how fast, and what was found at the start. */
export function durabilityJson({ machine, broker, cluster }: ApiParts): JsonObject {
  const { io } = machine
  const openings = io?.openings ?? []
  const hasFiles = openings.length > 0
  const known = hasFiles ? io : null
  return {
    storage: cluster !== null ? 'cluster' : hasFiles ? 'files' : 'memory',
    synced: cluster !== null ? 'by a majority, before each confirm' : hasFiles ? 'before each confirm' : 'never',
    publish_gate: broker.publishGate,
    last_commit_at: known === null || known.lastCommitAt === 0 ? null : known.lastCommitAt,
    commits: known === null ? null : total(known.commitSeconds),
    commit_seconds: known === null ? null : histogramJson(known.commitSeconds),
    commit_bytes: known === null ? null : histogramJson(known.commitBytes),
    opened: openings.map(({ log, at, isClean, isTorn, file, offset, copiedBytes }) => ({
      log,
      at,
      was_closed: isClean,
      was_cut: isTorn,
      file,
      offset,
      copied_bytes: copiedBytes,
    })),
  }
}

function total({ counts }: Histogram): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

function histogramJson(histogram: Histogram): JsonObject {
  const { bounds, counts, sum } = histogram
  const count = total(histogram)
  const buckets = [...counts].map((number, index) => ({ up_to: bounds[index] ?? null, count: number }))
  return { mean: count === 0 ? 0 : sum / count, buckets }
}
