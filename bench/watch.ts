import type { Board } from './load/board.ts'
import type { Crew } from './load/crew.ts'

/** A broker that moves nothing for so long is stuck. */
const stallMsMax = 20_000
const lookMs = 250

/** Called a few times a second while the watch waits. */
export type Look = () => void

interface Counts {
  readonly at: number
  readonly sent: number
  readonly delivered: number
}

/**
 * Waits on behalf of a run, and never in vain: any wait ends with an error when a thread fails or the run is called
 * off. Reports the present rates meanwhile.
 */
export class Watch {
  readonly #signal: AbortSignal
  readonly #report: (text: string) => void
  #shown: Counts = { at: 0, sent: 0, delivered: 0 }

  constructor(signal: AbortSignal, report: (text: string) => void) {
    this.#signal = signal
    this.#report = report
  }

  /** Waits for the work, unless one of the crews fails or the run is called off. */
  async wait<T>(work: Promise<T>, crews: readonly Crew[]): Promise<T> {
    this.#signal.throwIfAborted()
    let stop: () => void = () => {}
    const aborted = new Promise<never>((_, reject) => {
      stop = () => reject(this.#signal.reason)
      this.#signal.addEventListener('abort', stop, { once: true })
    })
    try {
      return await Promise.race([work, aborted, ...crews.map((crew) => crew.failed)])
    } finally {
      this.#signal.removeEventListener('abort', stop)
    }
  }

  async sleep(seconds: number, crews: readonly Crew[], look: Look = () => {}): Promise<void> {
    const end = performance.now() + seconds * 1000
    for (let left = seconds * 1000; left > 0; left = end - performance.now()) {
      await this.#tick(Math.min(left, lookMs), crews, look)
    }
  }

  /** Waits until the condition holds, or until `count` has stood still for too long; returns whether it holds. */
  async until(condition: () => boolean, count: () => number, crews: readonly Crew[], look: Look = () => {}) {
    let moved = { at: performance.now(), count: count() }
    while (!condition()) {
      await this.#tick(2, crews, look)
      if (count() !== moved.count) moved = { at: performance.now(), count: count() }
      if (performance.now() - moved.at > stallMsMax) return false
    }
    return true
  }

  async #tick(ms: number, crews: readonly Crew[], look: Look): Promise<void> {
    await this.wait(new Promise((resolve) => setTimeout(resolve, ms)), crews)
    const board = crews[0]?.board
    if (board === undefined || performance.now() - this.#shown.at < lookMs - 10) return
    look()
    this.#show(board)
  }

  #show(board: Board): void {
    const before = this.#shown
    const now = { at: performance.now(), sent: board.sent(), delivered: board.delivered() }
    this.#shown = now
    // After a pause, or on another run's board, there is nothing to compare with.
    if (now.at - before.at > 4 * lookMs || now.sent < before.sent || now.delivered < before.delivered) return
    const rate = (from: number, to: number): string => `${Math.round((to - from) / (now.at - before.at))} k/s`
    this.#report(`${rate(before.sent, now.sent)} published, ${rate(before.delivered, now.delivered)} delivered`)
  }
}
