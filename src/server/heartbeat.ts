import type { Clock, Timer } from '../base/clock.ts'

/** What is watched, and who is told. The numbers only grow. */
export interface Watched {
  readonly connection: { readonly bytesRead: number }
  /** `isReading` is false while we do not read on purpose: then the peer's silence means nothing. */
  readonly input: { readonly isReading: boolean }
  readonly output: { readonly bytesWritten: number; readonly isWriting: boolean; heartbeat(): void }
  /** The peer has been silent, or has taken nothing, for too long. */
  lost(reason: string): void
}

/**
 * Heartbeats of one connection (AMQP 0-9-1 §4.2.7), as RabbitMQ keeps them: one is sent when nothing was written for half
 * the interval; the peer is lost after two checks in a row, one interval apart, that saw nothing arrive. Any traffic
 * counts. A peer that reads nothing is lost likewise: what it does not take would be kept for ever.
 */
export class Heartbeat {
  readonly #clock: Clock
  readonly #halfMs: number
  readonly #watched: Watched
  #timer: Timer | null = null
  #ticks = 0
  #written = 0
  #writtenBefore = 0
  #readBefore = 0
  #quietChecks = 0
  #stuckChecks = 0

  constructor(clock: Clock, intervalSeconds: number, watched: Watched) {
    this.#clock = clock
    this.#halfMs = intervalSeconds * 500
    this.#watched = watched
  }

  get intervalSeconds(): number {
    return this.#halfMs / 500
  }

  /** With an interval of 0 there are none. */
  start(): void {
    if (this.#halfMs > 0) this.#timer = this.#clock.after(this.#halfMs, this.#tick)
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  readonly #tick = (): void => {
    this.#timer = this.#clock.after(this.#halfMs, this.#tick)
    const { output } = this.#watched
    if (output.bytesWritten === this.#written) output.heartbeat()
    this.#written = output.bytesWritten
    if (++this.#ticks % 2 === 0) this.#check()
  }

  #check(): void {
    const { connection, input, output } = this.#watched
    this.#quietChecks = input.isReading && connection.bytesRead === this.#readBefore ? this.#quietChecks + 1 : 0
    this.#stuckChecks = output.isWriting && output.bytesWritten === this.#writtenBefore ? this.#stuckChecks + 1 : 0
    this.#readBefore = connection.bytesRead
    this.#writtenBefore = output.bytesWritten
    if (this.#quietChecks >= quietChecksMax) this.#watched.lost('missed heartbeats from client')
    else if (this.#stuckChecks >= quietChecksMax) this.#watched.lost('client does not read')
  }
}

const quietChecksMax = 2
