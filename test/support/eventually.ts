import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until the condition holds; fails with `what` when that takes too long. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  msMax = 30_000,
): Promise<void> {
  const end = performance.now() + msMax
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${msMax} ms: ${what}`)
    await sleep(10)
  }
}

/** The error a promise rejects with; fails when it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    if (error instanceof Error) return error
    throw error
  }
  throw new Error('it did not reject')
}
