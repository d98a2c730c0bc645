import type { Position } from '../log/log.ts'
import type { ConfirmSink } from './ports.ts'

/**
 * A confirm promises that the message is on disk *and* will be found there: that its queue is too. When a message was
 * routed under definitions that topology's log has not committed yet, its confirm waits here for both logs.
 */
export class HeldConfirms {
  #held: Held[] = []

  /** A sink for one publish that was routed when topology had appended `until`. */
  holding(sink: ConfirmSink, until: Position): ConfirmSink {
    return new Held(sink, until, this)
  }

  committedUntil: Position = 0

  hold(held: Held): void {
    this.#held.push(held)
  }

  /** Topology has committed up to here. */
  release(committed: Position): void {
    this.committedUntil = committed
    if (this.#held.length === 0) return
    const ripe = this.#held.filter((held) => held.until <= committed)
    this.#held = this.#held.filter((held) => held.until > committed)
    for (const held of ripe) held.pass()
  }
}

/** One publish's confirm. */
class Held implements ConfirmSink {
  readonly until: Position
  readonly #sink: ConfirmSink
  readonly #owner: HeldConfirms
  #sequence = 0

  constructor(sink: ConfirmSink, until: Position, owner: HeldConfirms) {
    this.until = until
    this.#sink = sink
    this.#owner = owner
  }

  confirm(sequence: number): void {
    this.#sequence = sequence
    if (this.until <= this.#owner.committedUntil) this.pass()
    else this.#owner.hold(this)
  }

  refuse(sequence: number): void {
    this.#sink.refuse(sequence)
  }

  pass(): void {
    this.#sink.confirm(this.#sequence)
  }
}
