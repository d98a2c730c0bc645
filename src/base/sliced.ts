import type { RunQueue } from './run-queue.ts'

/**
 * Work written as a generator that yields wherever it may be interrupted, done in slices of the run queue. Resolves with
 * what it returns, rejects with what it throws.
 */
export function inSlices<T>(runQueue: RunQueue, work: Iterator<void, T>): Promise<T> {
  return new Promise((resolve, reject) => {
    runQueue.add({
      run: (shouldYield) => {
        try {
          for (;;) {
            const step = work.next()
            if (step.done === true) {
              resolve(step.value)
              return false
            }
            if (shouldYield()) return true
          }
        } catch (error) {
          reject(error)
          return false
        }
      },
    })
  })
}
