/**
 * Deliveries that failed: back to their place, tried again later, or given up, as the queue's settings say.
 *
 * Failures of queues where something depends on them (a delivery limit, retries) are counted in the log; in all others
 * the count lives with the process, for the header `x-delivery-count`.
 */
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { Log, Position } from '../../log/log.ts'
import type { Outcome } from '../ports.ts'
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { QueueFeature } from '../queue/queue-features.ts'
import type { RetrySettings } from '../queue/queue-settings.ts'
import { retryDelayMs } from '../queue/retry-delay.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { Deadlines } from './deadlines.ts'
import { failedBytes, waitsBytes, writeFailed, writeWaits } from './records.ts'

export interface FailingPorts {
  readonly log: Log
  readonly clock: Clock
  readonly random: Random
  readonly deadlines: Deadlines
  readonly deadLetters: DeadLetters
  touch(queue: LocalQueue, position: Position): void
}

export class Failing {
  readonly #ports: FailingPorts
  /** Neighbours that have failed equally often, not yet in the log. */
  #queue: LocalQueue | null = null
  #first = 0
  #last = 0
  #count = 0

  constructor(ports: FailingPorts) {
    this.#ports = ports
  }

  /** Whether a settled delivery of this queue that was no success needs more than to be put back or forgotten. */
  concerns(queue: LocalQueue, outcome: Outcome): boolean {
    if (outcome === 'ack') return false
    return outcome !== 'reject' || (queue.features & (QueueFeature.deadLetters | QueueFeature.counts)) !== 0
  }

  /** A held entry was not a success. False: it is to be forgotten like any other. */
  failed(queue: LocalQueue, chunk: EntryChunk, sequence: number, outcome: Outcome): boolean {
    const { retry, deadLetterExchange } = queue.settings
    if (outcome === 'reject') {
      if (retry?.on === 'all') this.#fail(queue, chunk, sequence, outcome)
      else if (deadLetterExchange === null) return false
      else this.#ports.deadLetters.die(queue, chunk, sequence, 'rejected')
      return true
    }
    chunk.sideFor().addReturn(sequence - chunk.first)
    if (outcome === 'fail' || retry?.on === 'all' || retry?.on === 'requeue')
      this.#fail(queue, chunk, sequence, outcome)
    else this.#giveBack(queue, chunk, sequence, outcome)
    return true
  }

  /** Whoever settles has settled all: what is open goes out. */
  flush(): void {
    const queue = this.#queue
    if (queue === null) return
    this.#queue = null
    if (queue.isDead) return
    const { log } = this.#ports
    const at = log.reserve(failedBytes)
    writeFailed(log.buffer, at, { queueId: queue.id, first: this.#first, last: this.#last, count: this.#count })
    this.#ports.touch(queue, log.appended)
  }

  #fail(queue: LocalQueue, chunk: EntryChunk, sequence: number, outcome: Outcome): void {
    const { deadLetters } = this.#ports
    const { deliveryLimit, retry } = queue.settings
    const count = this.#countFailure(queue, chunk, sequence)
    const attempts = retry?.attempts ?? null
    if (attempts !== null && count > attempts) deadLetters.park(queue, chunk, sequence)
    else if (deliveryLimit !== null && count > deliveryLimit) deadLetters.die(queue, chunk, sequence, 'delivery_limit')
    else this.#giveBack(queue, chunk, sequence, outcome)
  }

  /** At once, or when it has waited. */
  #giveBack(queue: LocalQueue, chunk: EntryChunk, sequence: number, outcome: Outcome): void {
    const { random, clock, deadlines } = this.#ports
    const { retry } = queue.settings
    if (retry === null || !mustWait(retry, outcome)) return this.#putBack(queue, chunk, sequence)
    const dueAt = clock.now() + retryDelayMs(retry, chunk.failuresOf(sequence), random)
    const isDurable = (chunk.flagsOf(sequence) & EntryFlag.transient) === 0
    queue.entries.holdBack(chunk, sequence, dueAt)
    deadlines.arm(queue, dueAt)
    if (isDurable) this.writeWait(queue, sequence, dueAt)
  }

  /** The entry is not ready before that time, also after a restart. */
  writeWait(queue: LocalQueue, sequence: number, dueAt: number): void {
    const { log } = this.#ports
    const at = log.reserve(waitsBytes)
    writeWaits(log.buffer, at, { queueId: queue.id, sequence, dueAt })
    this.#ports.touch(queue, log.appended)
  }

  #putBack(queue: LocalQueue, chunk: EntryChunk, sequence: number): void {
    queue.entries.takeBack(chunk, sequence)
    const deadline = chunk.deadlineOf(sequence)
    if (deadline > 0) {
      queue.entries.aside?.watch(deadline, sequence)
      this.#ports.deadlines.arm(queue, deadline)
    } else if ((queue.features & QueueFeature.ttl) !== 0) this.#ports.deadlines.arm(queue, this.#ports.clock.now())
  }

  #countFailure(queue: LocalQueue, chunk: EntryChunk, sequence: number): number {
    const index = sequence - chunk.first
    const count = chunk.failuresOf(sequence) + 1
    chunk.sideFor().setFailures(index, count)
    queue.hasFailures = true
    const isCounted = (queue.features & QueueFeature.counts) !== 0
    if (isCounted && (chunk.flagsOf(sequence) & EntryFlag.transient) === 0) this.#note(queue, sequence, count)
    return count
  }

  #note(queue: LocalQueue, sequence: number, count: number): void {
    if (queue === this.#queue && sequence === this.#last + 1 && count === this.#count) {
      this.#last = sequence
      return
    }
    this.flush()
    this.#queue = queue
    this.#first = sequence
    this.#last = sequence
    this.#count = count
  }
}

function mustWait({ on }: RetrySettings, outcome: Outcome): boolean {
  if (on === 'failed') return outcome === 'fail'
  return on !== 'returned' || outcome === 'requeue'
}
