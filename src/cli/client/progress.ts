/**
 * How far a command is, on stderr: a line that is drawn again on a terminal, plain lines now and then where there is
 * none. Says nothing before a second has passed.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import { count } from './readable.ts'

const firstMs = 1_000
const terminalEveryMs = 250
const plainEveryMs = 5_000

export interface ProgressParts {
  readonly clock: Clock
  /** For example 'published'. */
  readonly what: string
  /** Of `done`; null when nobody knows. */
  readonly total: number | null
  readonly target: { readonly isTTY?: boolean; write(text: string): unknown }
}

/** Where messages are printed on a terminal they show by themselves how far it is: null. */
export function printingProgress(parts: Omit<ProgressParts, 'target'>, isPrintedOnTerminal: boolean): Progress | null {
  if (isPrintedOnTerminal && process.stderr.isTTY === true) return null
  return new Progress({ ...parts, target: process.stderr })
}

export class Progress {
  readonly #parts: ProgressParts
  readonly #startedAt: number
  #done = 0
  /** Share of the whole, 0 to 1, where it is not `done / total`; null while nobody knows. */
  #share: number | null = null
  #timer: Timer
  #isDrawn = false

  constructor(parts: ProgressParts) {
    this.#parts = parts
    this.#startedAt = parts.clock.monotonic()
    this.#timer = parts.clock.after(firstMs, () => this.#show())
  }

  get seconds(): number {
    return (this.#parts.clock.monotonic() - this.#startedAt) / 1_000
  }

  /** Cheap: nothing is drawn here. */
  at(done: number, share: number | null = null): void {
    this.#done = done
    this.#share = share
  }

  /** Takes the line away. */
  end(): void {
    this.#timer.cancel()
    if (this.#isDrawn) this.#parts.target.write('\r\x1b[K')
    this.#isDrawn = false
  }

  #show(): void {
    const isTerminal = this.#parts.target.isTTY === true
    this.#parts.target.write(isTerminal ? `\r\x1b[K${this.line()}` : `${this.line()}\n`)
    this.#isDrawn = isTerminal
    this.#timer = this.#parts.clock.after(isTerminal ? terminalEveryMs : plainEveryMs, () => this.#show())
  }

  line(): string {
    const { what, total } = this.#parts
    const seconds = this.seconds
    const share = this.#share ?? (total === null || total === 0 ? null : this.#done / total)
    const parts = [`${what} ${count(this.#done)}${total === null ? '' : ` of ${count(total)}`}`]
    if (seconds > 0) parts.push(`${count(Math.round(this.#done / seconds))}/s`)
    if (share !== null && share > 0 && share < 1) {
      parts.push(`${Math.floor(share * 100)} %`, `${duration((seconds / share) * (1 - share))} left`)
    }
    return parts.join(', ')
  }
}

/** Seconds, as '9 s', '3 min 20 s' or '2 h 5 min'. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`
}
