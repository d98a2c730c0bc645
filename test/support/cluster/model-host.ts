import type { Clock } from '../../../src/base/clock.ts'
import { LeaseBehind, type ShardHost } from '../../../src/cluster/membership/shard-host.ts'

/** The log of a shard, as far as it decides who writes. */
export class ModelLog {
  /** Of the last epoch record. */
  epoch = 0

  /** Gives the epoch of the record, which is above all before it. */
  appendEpoch(epochMin: number): number {
    this.epoch = Math.max(epochMin, this.epoch + 1)
    return this.epoch
  }
}

/** A shard host over a `ModelLog`. Opening and closing take as long as they are told to. */
export class ModelHost implements ShardHost {
  readonly shard: string
  readonly #log: ModelLog
  readonly #clock: Clock
  readonly #takesMs: () => number
  /** What is told of it, in order: `follow`, `open 3`, … */
  readonly calls: string[] = []
  epoch = 0
  isOpen = false
  isHeld = false
  isFollowing = false
  /** Makes the next openings fail. */
  failsToOpen = 0

  constructor(shard: string, log: ModelLog, clock: Clock, takesMs: () => number = () => 0) {
    this.shard = shard
    this.#log = log
    this.#clock = clock
    this.#takesMs = takesMs
  }

  follow(): void {
    this.calls.push('follow')
    this.isFollowing = true
  }

  unfollow(): void {
    this.calls.push('unfollow')
    this.isFollowing = false
  }

  async open(epoch: number, signal: AbortSignal): Promise<void> {
    this.calls.push(`open ${epoch}`)
    await this.#wait()
    signal.throwIfAborted()
    if (this.failsToOpen > 0) {
      this.failsToOpen--
      throw new Error('the log is damaged')
    }
    const inLog = this.#log.appendEpoch(epoch)
    if (inLog > epoch) throw new LeaseBehind(this.shard, epoch, inLog)
    this.epoch = epoch
    await this.#wait()
    signal.throwIfAborted()
    if (this.#log.epoch !== epoch) throw new Error(`epoch ${epoch} was overtaken`)
    this.isOpen = true
  }

  async close(): Promise<void> {
    this.calls.push('close')
    await this.#wait()
    this.isOpen = false
  }

  abandon(): void {
    this.calls.push('abandon')
    this.isOpen = false
  }

  hold(): void {
    this.isHeld = true
  }

  resume(): void {
    this.isHeld = false
  }

  /** False when the log has a higher epoch than the one it was opened with. */
  get isValid(): boolean {
    return this.#log.epoch === this.epoch
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#clock.after(this.#takesMs(), resolve))
  }
}
