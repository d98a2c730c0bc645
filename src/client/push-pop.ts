import { badOption, WarrenError } from './errors.ts'

/**
 * A channel and no more: what is pushed in at one end is popped at the other, in order, and `push` waits while it is
 * full. `channel` makes one inside the program, `client.channel` one that the broker keeps.
 */

export interface WaitOptions {
  /** Rejects with `ABORTED`. */
  readonly signal?: AbortSignal
}

export interface PushPop<T> extends AsyncIterable<T> {
  readonly capacity: number

  /** Resolves when the value is in the channel. Rejects with a `WarrenError`, with `CLOSED` after `close`. */
  push(value: T, options?: WaitOptions): Promise<void>

  /**
   * The oldest value; waits for one. What was popped before counts as dealt with. `undefined` when the channel is closed
   * and nothing is left.
   */
  pop(options?: WaitOptions): Promise<T | undefined>

  /** What was popped last is dealt with; without it, the next `pop` says so. */
  acknowledge(): void

  /**
   * This end takes and gives no more. Inside the program, what is in it can still be popped. With a broker the rest
   * stays there, for others, and what was popped and not acknowledged goes back. Never rejects.
   */
  close(): Promise<void>
}

/** Throws `BAD_OPTION`. */
export function capacityOf(capacity: number): number {
  if (Number.isInteger(capacity) && capacity >= 1) return capacity
  throw badOption(`The option 'capacity' is ${capacity}.`, 'Give a whole number of at least 1.')
}

export function channelClosed(): WarrenError {
  return new WarrenError('CLOSED', 'A value was pushed into a closed channel.', { mend: 'Push before you close it.' })
}

export function waitAborted(signal: AbortSignal | undefined): WarrenError {
  const details = { mend: 'Its signal says why: see `cause`.', cause: signal?.reason as unknown }
  return new WarrenError('ABORTED', 'Waiting for a channel was aborted.', details)
}
