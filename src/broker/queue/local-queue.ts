/**
 * One queue on the node that owns its shard: its definition, what it holds, who consumes from it, and how far
 * deliveries may go. State only: the shard decides and writes records.
 */
import type { Consumer, GetSink, Queue, ShardCommands } from '../ports.ts'
import type { QueueDefinition } from '../topology/queue-definition.ts'
import type { DeduplicationWindow } from './deduplication-window.ts'
import type { DyingEntries } from './dying-entries.ts'
import { Entries } from './entries.ts'
import type { LateWords } from './late-words.ts'
import type { Leases } from './leases.ts'
import { featuresOf } from './queue-features.ts'
import type { QueueSettings } from './queue-settings.ts'
import type { Residences } from './residences.ts'
import { Turns } from './turns.ts'

/** A run of this queue's entries in the digest of one sealed segment: where entries that are away can be read. */
export interface EntryRun {
  readonly segmentId: number
  readonly first: number
  readonly last: number
  readonly count: number
  /** Offset of its rows in the digest. */
  readonly offset: number
}

/** Sequences are reserved ahead in steps that begin at this size and double whenever a delivery has to wait. */
export const sentStepMin = 1_000
export const sentStepMax = 131_072

export class LocalQueue implements Queue {
  readonly definition: QueueDefinition
  readonly shard: ShardCommands
  readonly id: number
  readonly isDurable: boolean
  readonly entries = new Entries()
  readonly turns = new Turns()
  /** `basic.get`s that wait for a body or a mark; served before consumers. At most one per channel. */
  gets: { sink: GetSink; isNoAck: boolean }[] = []

  /** Entries below this sequence may have been sent before the last unclean stop: they go out as redelivered. */
  maybeSentBelow = 0
  /** Entries below this sequence were there when the shard was opened: nobody has followed them. */
  foundBelow = 0
  /** The highest sequence that a stop in good order named as sent, plus 1: what is written down later must cover it. */
  flaggedBelow = 0
  /** The sent mark as appended, and as committed: a first delivery of a durable entry needs a sequence below it. */
  sentReserved = 0
  sentCommitted = 0
  sentStep = sentStepMin
  isWaitingForMark = false

  /** A chunk or a body is being read for the entry at the head. */
  isLoading = false
  /** Entries aside that were looked at since the last ones were gathered: how far it pays to look ahead. */
  asideViews = 0
  /** Its delivery task stands in the run queue. */
  isScheduled = false
  /** What of its settings concerns messages on their way in and out, as `QueueFeature` bits; 0 for a plain queue. */
  features: number
  /** The wall time for which it is entered with `deadlines.ts`; Infinity: not at all. */
  armedAt = Number.POSITIVE_INFINITY
  /** Its expiry task stands in the run queue, or waits for a record to be read. */
  isExpiring = false
  /** The task that gives up what is above its limits stands in the run queue. */
  isShedding = false
  /** Wall time of its last use, for `x-expires`. */
  usedAt = 0
  /** Messages that die one after the other; null while none does. */
  dying: DyingEntries | null = null
  /** An entry of it has failed: what is known of that must be written down with its state. */
  hasFailures = false
  /** Leases of deliveries; null as long as there was none. */
  leases: Leases | null = null
  /** Words of those whose lease has ended; null as long as none has. */
  lateWords: LateWords | null = null
  /** Messages in it that are traced; null as long as there was none. */
  residences: Residences | null = null
  /** The ids it has seen; null without deduplication. */
  window: DeduplicationWindow | null = null

  /** It is deleted: nobody reaches it any more. */
  isDropped = false
  /** Its deletion is stored: its records are dead. */
  isDead = false

  /** Position of the last record that names this queue. */
  lastPosition = 0
  /** It has records in segments whose digest is not written. */
  isTouched = false
  /** No durable entry from this sequence on stands in a digest. */
  undigestedFrom = 1
  /** A complete state of it was appended as a record at this position, since the shard was opened; 0: none. */
  restatedAt = 0
  /** In the order of the segments. */
  runs: EntryRun[] = []
  /** Chunks that begin below this sequence cannot go away: their runs were too short to be noted. */
  unpagedBelow = 0

  constructor(definition: QueueDefinition, shard: ShardCommands) {
    this.definition = definition
    this.shard = shard
    this.id = definition.id
    this.isDurable = definition.isDurable
    this.features = featuresOf(definition.settings)
    this.turns.isSingleActive = definition.settings.isSingleActive
  }

  get settings(): QueueSettings {
    return this.definition.settings
  }

  /** Its settings are others now. */
  settingsChanged(): void {
    this.features = featuresOf(this.settings)
    this.entries.aside?.groups.changeLimit(this.settings.groupLimit)
  }

  get consumers(): ReadonlySet<Consumer> {
    return this.turns.members
  }
}
