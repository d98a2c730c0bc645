/**
 * Questions that change nothing, asked again soon: a server that is about to stop takes a question and never answers it,
 * while the next leader would have.
 */

/** One question waits for so long, in milliseconds, and is asked so often. */
export const askMs = 1_000
export const asksMax = 5

/** `ask` rejects with a `TimeoutError` after `askMs`. Rejects with the last one, and with whatever else hinders it at once. */
export async function askAgain<T>(ask: () => Promise<T>): Promise<T> {
  for (let asked = 1; ; asked++) {
    try {
      return await ask()
    } catch (error) {
      if (asked >= asksMax || !(error instanceof Error) || error.name !== 'TimeoutError') throw error
    }
  }
}
