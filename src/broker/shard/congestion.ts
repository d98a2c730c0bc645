/** Tells when more is appended than the log stores in good time, and when it has caught up by half. */
import type { Log } from '../../log/log.ts'

export class Congestion {
  readonly #log: Log
  readonly #bytesMax: number
  readonly #changed: (isCongested: boolean) => void
  #isCongested = false

  /** `bytesMax` is what may be appended and not yet committed. */
  constructor(log: Log, bytesMax: number, changed: (isCongested: boolean) => void) {
    this.#log = log
    this.#bytesMax = bytesMax
    this.#changed = changed
  }

  /** Something has been appended. */
  appended(): void {
    if (!this.#isCongested && this.#log.uncommittedBytes > this.#bytesMax) this.#set(true)
  }

  committed(): void {
    if (this.#isCongested && this.#log.uncommittedBytes < this.#bytesMax / 2) this.#set(false)
  }

  #set(isCongested: boolean): void {
    this.#isCongested = isCongested
    this.#changed(isCongested)
  }
}
