import type { OutgoingMessage, ReturnedMessage } from './driver/driver.ts'
import type { WarrenError } from './errors.ts'

/** A message from `send` until its promise settles. */
export class Publication {
  readonly message: OutgoingMessage
  /** Body and some for the rest, in bytes: what counts for the windows. */
  readonly bytes: number
  /** By the monotonic clock, in milliseconds. */
  readonly sentAt: number
  readonly deadline: number
  returned: ReturnedMessage | null = null
  isSettled = false
  readonly #settled: (error: WarrenError | null, publication: Publication) => void

  constructor(
    message: OutgoingMessage,
    times: { sentAt: number; deadline: number },
    settled: (error: WarrenError | null, publication: Publication) => void,
  ) {
    this.message = message
    this.bytes = message.body.length + overheadBytes
    this.sentAt = times.sentAt
    this.deadline = times.deadline
    this.#settled = settled
  }

  /** Once; later calls change nothing. */
  settle(error: WarrenError | null): void {
    if (this.isSettled) return
    this.isSettled = true
    this.#settled(error, this)
  }
}

/** What properties, promise and bookkeeping of a message take, roughly, in bytes. */
const overheadBytes = 256
