import type { FileIo } from '../../base/file-io.ts'
import type { ProcessFacts, ProcessReading } from '../../base/process-facts.ts'

/** What a scrape reads of process and disk besides what is counted. */
export interface NodeReadings {
  readonly process: ProcessReading
  readonly descriptors: Awaited<ReturnType<ProcessFacts['descriptors']>>
  /** 0 where nobody knows. */
  readonly diskFreeBytes: number
  /** Null where nobody counts. */
  readonly io: FileIo | null
}

/** Of the machine, as metrics need it. */
export interface MachineFacts {
  readonly process: ProcessFacts
  readonly io: FileIo | null
  diskFreeBytes(): Promise<number>
}

export async function readMachine({ process, io, diskFreeBytes }: MachineFacts): Promise<NodeReadings> {
  const [descriptors, free] = await Promise.all([process.descriptors(), diskFreeBytes().catch(() => 0)])
  return { process: process.now(), descriptors, diskFreeBytes: Number.isFinite(free) ? free : 0, io }
}
