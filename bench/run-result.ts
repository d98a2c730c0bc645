import type { CrewOutcome } from './load/crew.ts'
import type { MeterReading } from './meter.ts'
import type { Percentiles } from './stats/histogram.ts'
import type { GcPauses } from './target/gc-log.ts'
import type { LoopPauses } from './target/loop-log.ts'

/** What one run of one row against one broker gave. */
export interface RunResult {
  /** Measured time of the phase. */
  readonly seconds: number
  /** Messages a second; null when this phase has none. */
  readonly publishedPerSecond: number | null
  readonly deliveredPerSecond: number | null
  readonly deliverLatency: Percentiles | null
  readonly confirmLatency: Percentiles | null
  readonly quietLatency: Percentiles | null
  /** Null when the broker is not on this machine. */
  readonly broker: BrokerLoad | null
  /** CPU of the generator, all its threads, in cores. */
  readonly generatorCores: number
  /** Null unless the broker is our own child. */
  readonly gc: GcPauses | null
  /** Null unless the broker is our own child. */
  readonly loop: LoopPauses | null
  /** Memory in use once the queue was full; only of `held` rows. */
  readonly heldBytes: number | null
  /** From the kill until the broker listened again; only of `held` rows. */
  readonly reopenMs: number | null
  readonly blockedMs: number
  /** Anything here means that the run does not count. */
  readonly problems: readonly string[]
}

export interface BrokerLoad {
  readonly cores: number
  /** CPU time per message published and delivered. */
  readonly microsPerMessage: number
  /** The highest seen in the measured time; of a backlog, once it is filled. */
  readonly rssBytes: number
}

/** A phase with what was measured of it, and nothing yet of messages. */
export function phaseResult(reading: MeterReading): RunResult {
  return {
    ...reading,
    publishedPerSecond: null,
    deliveredPerSecond: null,
    deliverLatency: null,
    confirmLatency: null,
    quietLatency: null,
    heldBytes: null,
    reopenMs: null,
    blockedMs: 0,
    problems: [],
  }
}

/** Nothing lost, nothing repeated, nothing refused: else a sentence for each. */
export function findFaults(counts: { due: number; came: number; copies: number }, outcome: CrewOutcome): string[] {
  const faults: string[] = []
  if (outcome.nacked > 0) faults.push(`${outcome.nacked} publishes were refused`)
  if (outcome.redelivered > 0) faults.push(`${outcome.redelivered} deliveries were marked as redelivered`)
  if (counts.came !== counts.due) faults.push(`${counts.due} deliveries were due and ${counts.came} came`)
  else if (outcome.deliveredSequences !== outcome.sentSequences * counts.copies) {
    faults.push('as many messages came as were sent, but not the same ones')
  }
  return faults
}
