import type { WriteStream } from 'node:tty'
import { formatDuration } from './format.ts'

/** Plain output repeats what is going on no more often than this. */
const plainMsMin = 10_000

/**
 * What is being measured, how fast, and how long it will take: one line that is written over on a terminal, a line
 * now and then elsewhere.
 */
export class Progress {
  readonly #out: Pick<WriteStream, 'write'> & { isTTY?: boolean; columns?: number }
  readonly #secondsTotal: number
  #secondsDone = 0
  #label = ''
  #stepStarted = 0
  #plainAt = 0
  #isDirty = false

  constructor(out: Pick<WriteStream, 'write'> & { isTTY?: boolean; columns?: number }, secondsTotal: number) {
    this.#out = out
    this.#secondsTotal = secondsTotal
  }

  /** Begins a step. */
  step(label: string): void {
    this.#label = label
    this.#stepStarted = performance.now()
    this.#plainAt = performance.now()
    this.update('starting')
  }

  update(text: string): void {
    const line = `${this.#label}: ${text} · ${this.#left()} left`
    if (this.#out.isTTY === true) {
      this.#out.write(`\r\x1b[2K${line.slice(0, (this.#out.columns ?? 80) - 1)}`)
      this.#isDirty = true
    } else if (performance.now() - this.#plainAt > plainMsMin) {
      this.#plainAt = performance.now()
      this.#out.write(`${line}\n`)
    }
  }

  /** Ends a step that was planned to take so long, with a line that stays. */
  done(text: string, secondsPlanned: number): void {
    this.#secondsDone += secondsPlanned
    this.print(`${this.#label}: ${text}`)
  }

  print(text: string): void {
    this.clear()
    this.#out.write(`${text}\n`)
  }

  clear(): void {
    if (this.#isDirty) this.#out.write('\r\x1b[2K')
    this.#isDirty = false
  }

  #left(): string {
    const inStep = (performance.now() - this.#stepStarted) / 1000
    return formatDuration(this.#secondsTotal - this.#secondsDone - inStep)
  }
}
