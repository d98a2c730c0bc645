/**
 * Publishes whose confirm waits for a commit: a ring of (log position, topology position, sink, sequence) in the order
 * of the log. "Durable, then confirmed" is visible here and nowhere else.
 *
 * Both positions only ever grow along the ring, so looking at its head is enough.
 */
import type { ConfirmSink } from '../ports.ts'

const smallestCapacity = 1024

export class PendingConfirms {
  #positions = new Float64Array(smallestCapacity)
  #topologyPositions = new Float64Array(smallestCapacity)
  #sequences = new Float64Array(smallestCapacity)
  #sinks: (ConfirmSink | null)[] = new Array<ConfirmSink | null>(smallestCapacity).fill(null)
  #head = 0
  #length = 0
  #lastPosition = 0

  get length(): number {
    return this.#length
  }

  /** `position` 0: nothing was appended, only the topology is waited for. */
  add(position: number, topologyPosition: number, sink: ConfirmSink, sequence: number): void {
    if (this.#length === this.#sinks.length) this.#grow()
    if (position > this.#lastPosition) this.#lastPosition = position
    const at = (this.#head + this.#length++) & (this.#sinks.length - 1)
    this.#positions[at] = this.#length === 1 ? position : this.#lastPosition
    this.#topologyPositions[at] = topologyPosition
    this.#sequences[at] = sequence
    this.#sinks[at] = sink
  }

  /** Confirms, in order, everything that is covered by both commits. */
  release(committed: number, topologyCommitted: number): void {
    const mask = this.#sinks.length - 1
    while (this.#length > 0) {
      const at = this.#head
      if ((this.#positions[at] as number) > committed || (this.#topologyPositions[at] as number) > topologyCommitted)
        return
      const sink = this.#take(mask)
      sink?.confirm(this.#sequences[at] as number)
    }
  }

  /** The log is gone: nothing that waits will be confirmed. */
  refuseAll(): void {
    while (this.#length > 0) {
      const sequence = this.#sequences[this.#head] as number
      this.#take(this.#sinks.length - 1)?.refuse(sequence)
    }
  }

  #take(mask: number): ConfirmSink | null {
    const at = this.#head
    const sink = this.#sinks[at] ?? null
    this.#sinks[at] = null
    this.#head = (at + 1) & mask
    this.#length--
    return sink
  }

  #grow(): void {
    const capacity = this.#sinks.length
    const order = <T extends Float64Array>(from: T, into: T): T => {
      into.set(from.subarray(this.#head))
      into.set(from.subarray(0, this.#head), capacity - this.#head)
      return into
    }
    this.#positions = order(this.#positions, new Float64Array(capacity * 2))
    this.#topologyPositions = order(this.#topologyPositions, new Float64Array(capacity * 2))
    this.#sequences = order(this.#sequences, new Float64Array(capacity * 2))
    const sinks = [...this.#sinks.slice(this.#head), ...this.#sinks.slice(0, this.#head)]
    this.#sinks = sinks.concat(new Array<ConfirmSink | null>(capacity).fill(null))
    this.#head = 0
  }
}
