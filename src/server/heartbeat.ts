import type { Clock, Timer } from '../base/clock.ts'

/** What is watched. The numbers only grow. */
export interface Watched {
  readonly bytesRead: number
  readonly bytesWritten: number
  /** False while we do not read on purpose: then the peer's silence means nothing. */
  readonly isReading: boolean
  /** A write is under way. */
  readonly isWriting: boolean
  sendHeartbeat(): void
  /** The peer has been silent, or has taken nothing, for too long. */
  peerLost(reason: string): void
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
    const watched = this.#watched
    if (watched.bytesWritten === this.#written) watched.sendHeartbeat()
    this.#written = watched.bytesWritten
    if (++this.#ticks % 2 === 0) this.#check()
  }

  #check(): void {
    const watched = this.#watched
    this.#quietChecks = watched.isReading && watched.bytesRead === this.#readBefore ? this.#quietChecks + 1 : 0
    this.#stuckChecks =
      watched.isWriting && watched.bytesWritten === this.#writtenBefore ? this.#stuckChecks + 1 : 0
    this.#readBefore = watched.bytesRead
    this.#writtenBefore = watched.bytesWritten
    if (this.#quietChecks >= quietChecksMax) watched.peerLost('missed heartbeats from client')
    else if (this.#stuckChecks >= quietChecksMax) watched.peerLost('client does not read')
  }
}

const quietChecksMax = 2
