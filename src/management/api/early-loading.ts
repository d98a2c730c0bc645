/**
 * Loads what the API needs soon after a start, a piece at a time. All at once by the first request it would hold messages up
 * for as long as it takes, some 80 ms of CPU; before the start it would make that longer.
 */
import { createRequire } from 'node:module'
import type { Clock, Timer } from '../../base/clock.ts'

/** It begins so long after the start, in milliseconds: those who waited for the broker come first. */
export const beginMs = 1_000
/** Between two pieces, in milliseconds: what has come meanwhile is worked off. */
export const pauseMs = 100

type Piece = () => unknown

/** Of others, each no more than Node loads at once. */
const pieces: readonly Piece[] = [
  () => createRequire(import.meta.url)('node:http'),
  // Node loads all of `fetch` with the first of its parts.
  () => globalThis.Headers,
  () => import('hono'),
  () => import('@hono/node-server'),
]

export class EarlyLoading {
  readonly #clock: Clock
  #timer: Timer | null = null
  #isStopped = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** `last`: what makes the API of them. What cannot be loaded is left to the first request, which says why. */
  begin(last: readonly Piece[]): void {
    this.#next([...pieces, ...last], beginMs)
  }

  #next(left: readonly Piece[], ms: number): void {
    const [piece, ...rest] = left
    if (piece === undefined || this.#isStopped) return
    this.#timer = this.#clock.after(ms, () => void this.#load(piece).then(() => this.#next(rest, pauseMs)))
  }

  async #load(piece: Piece): Promise<void> {
    try {
      await piece()
    } catch {
      // The first request meets it again.
    }
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }
}
