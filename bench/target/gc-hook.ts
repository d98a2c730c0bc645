import { appendFileSync } from 'node:fs'
import { constants, PerformanceObserver } from 'node:perf_hooks'

/**
 * Loaded into a broker that the benchmark starts (`node --import`): writes one line per garbage collection into the
 * file that BENCH_GC_LOG names. `gc-log.ts` reads it.
 */
const path = process.env['BENCH_GC_LOG']

const kinds: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weak',
}

function kindOf(entry: object): number {
  const detail: unknown = 'detail' in entry ? entry.detail : null
  const isObject = typeof detail === 'object' && detail !== null
  return isObject && 'kind' in detail && typeof detail.kind === 'number' ? detail.kind : -1
}

if (path !== undefined) {
  const observer = new PerformanceObserver((list) => {
    let lines = ''
    for (const entry of list.getEntries()) {
      const kind = kinds[kindOf(entry)] ?? 'other'
      lines += `${(performance.timeOrigin + entry.startTime).toFixed(3)} ${entry.duration.toFixed(3)} ${kind}\n`
    }
    appendFileSync(path, lines)
  })
  observer.observe({ entryTypes: ['gc'] })
}
