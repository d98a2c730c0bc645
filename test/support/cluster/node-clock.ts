import type { Clock, ManualClock, Timer } from '../../../src/base/clock.ts'

/** The clock of one simulated process: it may run too fast or too slow, jump, be stopped with its process, or end. */
export class NodeClock implements Clock {
  readonly #world: ManualClock
  readonly #rate: number
  #wallOffset = 0
  #state: 'running' | 'stopped' | 'dead' = 'running'
  /** What fell due while the process was stopped. */
  #overdue: (() => void)[] = []

  constructor(world: ManualClock, rate = 1) {
    this.#world = world
    this.#rate = rate
  }

  now(): number {
    return this.#world.now() + this.#wallOffset
  }

  monotonic(): number {
    return this.#world.monotonic() * this.#rate
  }

  after(ms: number, callback: () => void): Timer {
    let isCancelled = false
    const timer = this.#world.after(ms / this.#rate, () => {
      const due = () => {
        if (!isCancelled && this.#state !== 'dead') callback()
      }
      if (this.#state === 'stopped') this.#overdue.push(due)
      else due()
    })
    return {
      cancel: () => {
        isCancelled = true
        timer.cancel()
      },
    }
  }

  soon(callback: () => void): void {
    this.after(0, callback)
  }

  get isStopped(): boolean {
    return this.#state === 'stopped'
  }

  /** The wall clock alone. */
  jump(ms: number): void {
    this.#wallOffset += ms
  }

  /** As SIGSTOP. */
  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped'
  }

  /** As SIGCONT. */
  goOn(): void {
    if (this.#state !== 'stopped') return
    this.#state = 'running'
    const overdue = this.#overdue
    this.#overdue = []
    for (const due of overdue) this.#world.after(0, due)
  }

  /** As SIGKILL. */
  kill(): void {
    this.#state = 'dead'
    this.#overdue = []
  }
}
