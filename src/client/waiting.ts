import type { Clock } from '../base/clock.ts'
import type { WarrenError } from './errors.ts'

/** The promise, or the error when it takes longer than `ms`. The promise's own end is then of no interest. */
export function within<T>(clock: Clock, ms: number, promise: Promise<T>, late: () => WarrenError): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.after(ms, () => reject(late()))
    promise.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}

/** Resolves after `ms`, or as soon as `wake` is called. Never rejects. */
export class Sleep {
  #wake: (() => void) | null = null

  for(clock: Clock, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel()
        this.#wake = null
        resolve()
      }
      const timer = clock.after(ms, end)
      this.#wake = end
    })
  }

  wake(): void {
    this.#wake?.()
  }
}
