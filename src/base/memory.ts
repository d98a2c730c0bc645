/** Memory of this process as the program sees it: how much there is and how much is in use. */
import { totalmem } from 'node:os'

export interface Memory {
  /** What the process may use: the limit of its container (cgroup) or the machine's memory, in bytes. */
  readonly limitBytes: number
  /** Resident memory, with buffers outside of the JavaScript heap. Costs some microseconds. */
  usedBytes(): number
}

export class SystemMemory implements Memory {
  readonly limitBytes: number

  constructor() {
    const constrained = process.constrainedMemory()
    this.limitBytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  }

  usedBytes(): number {
    return process.memoryUsage.rss()
  }
}
