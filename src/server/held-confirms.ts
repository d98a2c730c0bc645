import type { ConfirmSink, Position } from '../broker/ports.ts'

/**
 * Confirms of publishes that no queue got, held until what their routing took for granted is stored: else a restart could
 * bring back a binding, of whose deletion the publisher was told by that confirm. In the order in which they came.
 */
export class HeldConfirms {
  #positions: Position[] = []
  #sequences: number[] = []
  #head = 0

  get isEmpty(): boolean {
    return this.#positions.length === 0
  }

  /** Positions only grow. */
  add(position: Position, sequence: number): void {
    this.#positions.push(position)
    this.#sequences.push(sequence)
  }

  /** Confirms all whose position is committed. */
  release(committed: Position, sink: ConfirmSink): void {
    while (this.#head < this.#positions.length && (this.#positions[this.#head] as number) <= committed) {
      sink.confirm(this.#sequences[this.#head++] as number)
    }
    if (this.#head === this.#positions.length) this.drop()
    else if (this.#head > this.#positions.length / 2) this.#forgetReleased()
  }

  #forgetReleased(): void {
    this.#positions = this.#positions.slice(this.#head)
    this.#sequences = this.#sequences.slice(this.#head)
    this.#head = 0
  }

  drop(): void {
    this.#positions = []
    this.#sequences = []
    this.#head = 0
  }
}
