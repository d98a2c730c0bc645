import type { Clock, Timer } from '../base/clock.ts'
import type { DriverChannel } from './driver/driver.ts'

/**
 * How long a delivery is ours. Warren takes it back by itself when the lease is over; elsewhere the client gives it back
 * at that moment, which comes to the same as long as this process lives.
 */
export class Lease {
  readonly #clock: Clock
  readonly #ms: number
  readonly #isAutomatic: boolean
  readonly #ended: () => void
  readonly #extended: (ms: number) => void
  #timer: Timer | null = null
  #isOver = false

  constructor(parts: {
    clock: Clock
    ms: number
    isAutomatic: boolean
    /** Over: nobody extended it. */
    ended: () => void
    /** Has to be told to the broker. */
    extended: (ms: number) => void
  }) {
    this.#clock = parts.clock
    this.#ms = parts.ms
    this.#isAutomatic = parts.isAutomatic
    this.#ended = parts.ended
    this.#extended = parts.extended
    this.#run(parts.ms)
  }

  /** `ms` from now; as long as it was granted at first without. False: it is over already. */
  extend(ms: number = this.#ms): boolean {
    if (this.#isOver) return false
    this.#timer?.cancel()
    this.#run(ms)
    this.#extended(ms)
    return true
  }

  stop(): void {
    this.#isOver = true
    this.#timer?.cancel()
  }

  #run(ms: number): void {
    this.#timer = this.#clock.after(this.#isAutomatic ? ms / 2 : ms, () => {
      if (this.#isAutomatic) {
        this.extend()
        return
      }
      this.#isOver = true
      this.#ended()
    })
  }
}

/** Publishing to this key on the default exchange extends a lease of the channel it comes on. */
export const leaseKey = 'amq.warren.lease'

/** Tells Warren. It comes back (mandatory) when the delivery is not ours any more. */
export function tellLease(channel: DriverChannel, deliveryTag: number, ms: number): void {
  const headers = { 'x-delivery-tag': deliveryTag, 'x-lease': Math.ceil(ms) }
  const message = { exchange: '', routingKey: leaseKey, isMandatory: true, properties: { headers }, body: noBytes }
  if (channel.isOpen) channel.publish(message)
}

const noBytes = new Uint8Array(0)
