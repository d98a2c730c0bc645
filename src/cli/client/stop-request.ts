import type { Clock } from '../../base/clock.ts'
import { ExitCode } from '../exit-code.ts'

/**
 * SIGINT and SIGTERM as one request to end in order; also made when nobody reads the output any more. What is in hand is
 * finished, and what was not is given back. A second signal ends the process at once, which loses nothing either: the
 * broker takes back whatever was not acknowledged.
 */
export class StopRequest {
  readonly signal: AbortSignal
  readonly #controller = new AbortController()
  #exitCode: ExitCode = ExitCode.done
  #lastMs = Number.NEGATIVE_INFINITY

  constructor() {
    this.signal = this.#controller.signal
    process.on('SIGINT', () => this.#received(ExitCode.interrupted))
    process.on('SIGTERM', () => this.#received(ExitCode.terminated))
  }

  get isMade(): boolean {
    return this.signal.aborted
  }

  /** What the command ends with if it had no other reason; 0 while nobody has asked. */
  get exitCode(): ExitCode {
    return this.#exitCode
  }

  /** Resolves when it is made: for what is awaited once. What happens again and again takes `pause`. */
  get made(): Promise<void> {
    if (this.isMade) return Promise.resolve()
    return new Promise((resolve) => this.signal.addEventListener('abort', () => resolve(), { once: true }))
  }

  /** Resolves after `ms`, or when it is made. */
  pause(ms: number, clock: Clock): Promise<void> {
    if (this.isMade) return Promise.resolve()
    return new Promise((resolve) => {
      const over = (): void => {
        timer.cancel()
        this.signal.removeEventListener('abort', over)
        resolve()
      }
      const timer = clock.after(ms, over)
      this.signal.addEventListener('abort', over)
    })
  }

  /** Nobody reads on: a quiet end. */
  outputGone(): void {
    this.#controller.abort()
  }

  #received(exitCode: ExitCode): void {
    const now = performance.now()
    // npx and a terminal both pass one Ctrl-C on, so a signal that follows at once is still the first one.
    if (now - this.#lastMs < secondSignalMsMin) return
    if (this.isMade) process.exit(exitCode)
    this.#lastMs = now
    this.#exitCode = exitCode
    this.#controller.abort()
  }
}

const secondSignalMsMin = 300
