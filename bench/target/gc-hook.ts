import { appendFileSync, existsSync, openSync, readSync } from 'node:fs'
import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Loaded into a broker that the benchmark starts (`node --import`). Writes one line per garbage collection into the file
 * that BENCH_GC_LOG names; into that of BENCH_LOOP_LOG, of each tenth of a second, how late the event loop was at most and
 * the longest of that without what its thread waited for a core; and after SIGUSR2 how much memory is really held. `gc-log.ts` and `loop-log.ts` read them.
 */
const gcPath = process.env['BENCH_GC_LOG']
const loopPath = process.env['BENCH_LOOP_LOG']
const loopMs = 100
/** The step of the timer that is watched, in milliseconds: being late begins behind it. */
const resolution = 1

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

function watchCollections(path: string): void {
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

/** What this thread waited for a core so far, in milliseconds: the second field of Linux's schedstat, in nanoseconds. */
function waitedForCore(): () => number {
  const path = `/proc/self/task/${process.pid}/schedstat`
  if (!existsSync(path)) return () => 0
  const file = openSync(path, 'r')
  const text = Buffer.alloc(80)
  return () => Number(text.toString('latin1', 0, readSync(file, text, 0, text.length, 0)).split(' ')[1]) / 1e6
}

function watchLoop(path: string): void {
  const delay = monitorEventLoopDelay({ resolution })
  delay.enable()
  const waited = waitedForCore()
  let before = performance.now() - waited()
  let busyMs = 0
  setInterval(() => {
    const now = performance.now() - waited()
    busyMs = Math.max(busyMs, now - before - resolution)
    before = now
  }, resolution).unref()
  const note = (): void => {
    const lateMs = delay.count === 0 ? 0 : Math.max(0, delay.max / 1e6 - resolution)
    appendFileSync(path, `${Date.now()} ${lateMs.toFixed(3)} ${busyMs.toFixed(3)}\n`)
    busyMs = 0
    delay.reset()
  }
  setInterval(note, loopMs).unref()
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  process.on('SIGUSR2', () => {
    if (typeof collect === 'function') for (let round = 0; round < 2; round++) collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    appendFileSync(path, `${Date.now()} memory ${heapUsed + arrayBuffers}\n`)
  })
}

if (gcPath !== undefined) watchCollections(gcPath)
if (loopPath !== undefined) watchLoop(loopPath)
