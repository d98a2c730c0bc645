/** Memory of this process as the program sees it: how much there is and how much is in use. */
import { totalmem } from 'node:os'

export interface Memory {
  /** What the process may use: the limit of its container (cgroup) or the machine's memory, in bytes. */
  readonly limitBytes: number
  /** Resident memory, with buffers outside of the JavaScript heap. Costs some microseconds. */
  usedBytes(): number
  /**
   * An estimate of what would be resident if freed memory were given back: the heap, buffers outside of it, and what the
   * program itself took at its start. Less than `usedBytes` when the allocator keeps freed memory for what comes next.
   */
  inUseBytes(): number
}

export class SystemMemory implements Memory {
  readonly limitBytes: number
  /** Of the program and the runtime themselves. */
  readonly #programBytes: number

  constructor() {
    this.#programBytes = Math.max(0, process.memoryUsage.rss() - objectBytes())
    const constrained = process.constrainedMemory()
    this.limitBytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  }

  usedBytes(): number {
    return process.memoryUsage.rss()
  }

  inUseBytes(): number {
    return this.#programBytes + objectBytes()
  }
}

function objectBytes(): number {
  const { heapTotal, external } = process.memoryUsage()
  return heapTotal + external
}
