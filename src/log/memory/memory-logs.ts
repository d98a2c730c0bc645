import type { Clock } from '../../base/clock.ts'
import { MemoryLog } from './memory-log.ts'

/**
 * Memory logs by number. What is in one stays while its users close it and open it again, as if it were a file, until
 * it is removed.
 */
export class MemoryLogs {
  readonly #clock: Clock
  readonly #logs = new Map<number, MemoryLog>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  open(id: number): Promise<MemoryLog> {
    const log = this.#logs.get(id) ?? new MemoryLog(this.#clock, null, { keepsContent: true })
    this.#logs.set(id, log)
    return Promise.resolve(log)
  }

  /** Numbers of the logs that are there. */
  list(): Promise<number[]> {
    return Promise.resolve([...this.#logs.keys()])
  }

  /** Forgets a log that nobody has open. */
  remove(id: number): Promise<void> {
    this.#logs.delete(id)
    return Promise.resolve()
  }
}
