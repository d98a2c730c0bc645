import * as fs from 'node:fs'
import { availableParallelism } from 'node:os'
import { monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks'

/** How the process itself is doing. Seconds, bytes; counts since the process started, if nothing else is said. */
export interface ProcessFacts {
  readonly id: number
  /** Since 1970. */
  readonly startedAtSeconds: number
  now(): ProcessReading
  resetDelays(): void
  /** File descriptors in use and allowed; 0 where the system does not tell. */
  descriptors(): Promise<{ readonly open: number; readonly max: number }>
  /** What watches costs a little: it begins with the first reading and ends here. */
  stop(): void
}

export interface ProcessReading {
  /** That the process may use. */
  readonly processors: number
  readonly residentBytes: number
  readonly heapUsedBytes: number
  readonly heapTotalBytes: number
  readonly externalBytes: number
  readonly userSeconds: number
  readonly systemSeconds: number
  /** Since `resetDelays`: how late timers came. */
  readonly loopDelaySeconds: { readonly median: number; readonly p99: number; readonly max: number }
  readonly loopBusySeconds: number
  /** Since the first reading, by kind (`minor`, `major`, `incremental`, `weakcb`). */
  readonly collections: ReadonlyMap<string, { readonly count: number; readonly seconds: number }>
}

/** The event loop's delay is sampled so often, in milliseconds. */
const delayStepMs = 20

export class SystemProcessFacts implements ProcessFacts {
  readonly id = process.pid
  readonly startedAtSeconds = performance.timeOrigin / 1_000
  readonly #collections = new Map<string, { count: number; seconds: number }>()
  #delay: ReturnType<typeof monitorEventLoopDelay> | null = null
  #observer: PerformanceObserver | null = null

  now(): ProcessReading {
    this.#watch()
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    return {
      processors: availableParallelism(),
      residentBytes: rss,
      heapUsedBytes: heapUsed,
      heapTotalBytes: heapTotal,
      externalBytes: external,
      userSeconds: user / 1e6,
      systemSeconds: system / 1e6,
      loopDelaySeconds: this.#delays(),
      loopBusySeconds: performance.eventLoopUtilization().active / 1_000,
      collections: this.#collections,
    }
  }

  resetDelays(): void {
    this.#delay?.reset()
  }

  #watch(): void {
    if (this.#delay !== null) return
    this.#delay = monitorEventLoopDelay({ resolution: delayStepMs })
    this.#delay.enable()
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#collected(entry)
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  #collected({ detail, duration }: { readonly detail?: unknown; readonly duration: number }): void {
    const kind = collectionKinds.get((detail as { kind?: number } | undefined)?.kind ?? 0) ?? 'other'
    const known = this.#collections.get(kind) ?? { count: 0, seconds: 0 }
    this.#collections.set(kind, { count: known.count + 1, seconds: known.seconds + duration / 1_000 })
  }

  /** What is sampled includes the step itself. */
  #delays(): ProcessReading['loopDelaySeconds'] {
    const seconds = (nanoseconds: number): number =>
      Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - delayStepMs / 1e3) : 0
    const delay = this.#delay
    if (delay === null || delay.count === 0) return { median: 0, p99: 0, max: 0 }
    return { median: seconds(delay.percentile(50)), p99: seconds(delay.percentile(99)), max: seconds(delay.max) }
  }

  async descriptors(): Promise<{ open: number; max: number }> {
    try {
      const [open, limits] = await Promise.all([
        fs.promises.readdir('/proc/self/fd'),
        fs.promises.readFile('/proc/self/limits', 'latin1'),
      ])
      return { open: open.length, max: Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0) }
    } catch {
      return { open: 0, max: 0 }
    }
  }

  stop(): void {
    this.#delay?.disable()
    this.#observer?.disconnect()
    this.#delay = null
    this.#observer = null
  }
}

/** As `node:perf_hooks` numbers them. */
const collectionKinds: ReadonlyMap<number, string> = new Map([
  [1, 'minor'],
  [4, 'major'],
  [8, 'incremental'],
  [16, 'weakcb'],
])
