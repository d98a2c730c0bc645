/**
 * A manual clock that waits for what it has set going: each step of time is followed by all that comes of it, before the
 * next one is taken. So a message that is delivered at noon and fails is tried again at five past, not at the end of
 * the day that `advance` was asked for.
 *
 * It knows of work by three signs: what was put off with `soon`, what the watched say of themselves (`watch`), and that
 * some turns of the event loop go by with neither. Real time that the program waits for elsewhere is not waited for.
 */
import { type Clock, ManualClock, SystemClock, type Timer } from './clock.ts'

/** Turns of the event loop that must go by without a sign of work: a peer on a socket needs two to answer. */
const quietTurnsMin = 5
/** How long what follows one step may take, in milliseconds of real time, where the constructor is told nothing else. */
const settleMsMaxDefault = 30_000

export interface SettlingClockOptions {
  /** The time to begin with; a date, or milliseconds since 1970. Default: 2023-11-14T22:13:20Z. */
  readonly start?: Date | number
  /** How long what follows one step may take, in milliseconds of real time, before `advance` gives up. Default 30,000. */
  readonly settleMsMax?: number
}

export class SettlingClock implements Clock {
  readonly #time: ManualClock
  readonly #machine = new SystemClock()
  readonly #settleMsMax: number
  readonly #watched = new Set<() => boolean>()
  #pending = 0
  #done = 0
  #moving: Promise<void> = Promise.resolve()

  constructor({ start, settleMsMax = settleMsMaxDefault }: SettlingClockOptions = {}) {
    const startMs = start === undefined ? undefined : Number(start)
    if (startMs !== undefined && !Number.isFinite(startMs)) {
      throw new TypeError(`the clock cannot start at ${String(start)}; give a Date or milliseconds since 1970`)
    }
    this.#time = new ManualClock(startMs)
    this.#settleMsMax = settleMsMax
  }

  now(): number {
    return this.#time.now()
  }

  monotonic(): number {
    return this.#time.monotonic()
  }

  after(ms: number, callback: () => void): Timer {
    return this.#time.after(ms, callback)
  }

  soon(callback: () => void): void {
    this.#pending++
    setImmediate(() => {
      this.#pending--
      this.#done++
      callback()
    })
  }

  /** `isIdle` is asked before a step is taken. Returns what ends that. */
  watch(isIdle: () => boolean): () => void {
    this.#watched.add(isIdle)
    return () => void this.#watched.delete(isIdle)
  }

  /**
   * Moves time on, from one due timer to the next, and resolves when all that follows has happened. `by` is a number of
   * milliseconds or a text such as `'2h'`, `'90s'`, `'1d'`, `'250ms'`, `'1h 30min'`. Calls that overlap take turns.
   * Rejects with a `TypeError` when `by` is no length of time, and when the work does not end.
   */
  async advance(by: number | string): Promise<void> {
    const ms = lengthOf(by)
    const moved = this.#moving.then(() => this.#move(this.now() + ms))
    this.#moving = moved.catch(() => {})
    await moved
  }

  /** Resolves when all that has been set going so far has happened; time stands still. */
  async settled(): Promise<void> {
    const deadline = this.#machine.monotonic() + this.#settleMsMax
    for (let quiet = 0; quiet < quietTurnsMin; ) {
      const done = this.#done
      await nextTurn()
      quiet = this.#isIdle && this.#done === done ? quiet + 1 : 0
      if (quiet === 0 && this.#machine.monotonic() > deadline) {
        const mend = 'see whether a consumer returns the same message again and again, or a client does not read'
        throw new Error(`the broker has not come to rest within ${this.#settleMsMax} ms: ${mend}`)
      }
    }
  }

  get #isIdle(): boolean {
    if (this.#pending > 0) return false
    for (const isIdle of this.#watched) if (!isIdle()) return false
    return true
  }

  async #move(end: number): Promise<void> {
    await this.settled()
    for (let due = this.#time.nextDue; due <= end; due = this.#time.nextDue) {
      const done = this.#done
      this.#time.advance(Math.max(0, due - this.now()))
      await nextTurn()
      if (!this.#isIdle || this.#done !== done) await this.settled()
    }
    this.#time.advance(end - this.now())
    await this.settled()
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

function lengthOf(by: number | string): number {
  const ms = typeof by === 'number' ? by : parsedLength(by)
  if (Number.isFinite(ms) && ms >= 0) return ms
  const mend = "give milliseconds, or a text such as '2h', '90s' or '1h 30min'"
  throw new TypeError(`the clock cannot advance by ${JSON.stringify(by)}; ${mend}`)
}

/** NaN when it is not written so. */
function parsedLength(text: string): number {
  let ms = 0
  const parts = text.trim().split(/(?<=[a-z])\s*(?=\d)/)
  for (const part of parts) {
    const [, count, unit = ''] = /^(\d+(?:\.\d+)?)\s*([a-z]+)$/.exec(part) ?? []
    ms += Number(count) * (unitMs[unit] ?? Number.NaN)
  }
  return ms
}
