/**
 * What happens to a queue because time passes: delayed entries fall due, entries expire, leases end, and a queue that
 * nobody uses goes. In slices, like all that may concern a million entries.
 *
 * Entries with a time of their own are in heaps (`queue/aside.ts`). Those that only have the queue's time to live expire
 * in the order in which they came, so the first one is looked at, and nothing is kept for the others.
 */
import type { Clock } from '../../base/clock.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import { Message } from '../message.ts'
import type { Consumer, ShardTopology } from '../ports.ts'
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { QueueFeature } from '../queue/queue-features.ts'
import { type DeadLetters, dyingMax } from './dead-letters.ts'
import type { Deadlines } from './deadlines.ts'
import type { Delivery } from './delivery.ts'
import type { StoredEntries } from './stored-entries.ts'

/** Pause before a queue whose deliveries wait for the disk is looked at again, in milliseconds. */
const busyRetryMs = 5
/** Entries between two looks at the clock. */
const stepEntries = 64

export interface ExpiryPorts {
  readonly clock: Clock
  readonly runQueue: RunQueue
  readonly deadlines: Deadlines
  readonly delivery: Delivery
  readonly deadLetters: DeadLetters
  readonly stored: StoredEntries
  readonly topology: ShardTopology
  loadChunk(queue: LocalQueue, chunk: EntryChunk): void
  /** More may be ready than the limits allow. */
  enforce(queue: LocalQueue): void
  /** A lease has ended: the delivery has failed. */
  leaseEnded(queue: LocalQueue, sequence: number, consumer: Consumer | null): void
  isServing(): boolean
}

/** `more`: there may be more to do at once; else nothing is before `next`. */
type Step = 'more' | 'done' | 'waits'

export class Expiry {
  readonly #ports: ExpiryPorts
  readonly #message = new Message()

  constructor(ports: ExpiryPorts) {
    this.#ports = ports
  }

  /** A time has come for which the queue was entered. */
  wake(queue: LocalQueue): void {
    if (queue.isExpiring || queue.isDropped) return
    queue.isExpiring = true
    this.#ports.runQueue.add({ run: (shouldYield) => this.#run(queue, shouldYield) })
  }

  /** Enters the queue for whatever comes next; after opening and after a change of settings. */
  watch(queue: LocalQueue): void {
    const { deadlines, clock } = this.#ports
    if ((queue.features & (QueueFeature.ttl | QueueFeature.expires)) !== 0) deadlines.arm(queue, clock.now())
    const next = nextTimeOf(queue)
    if (next < Number.POSITIVE_INFINITY) deadlines.arm(queue, next)
  }

  #run(queue: LocalQueue, shouldYield: () => boolean): boolean {
    const { clock, deadlines, delivery } = this.#ports
    let isReady = false
    for (let count = 0; !queue.isDropped && this.#ports.isServing(); count++) {
      const step = this.#step(queue, clock.now())
      if (step === 'waits') break
      if (step === 'done') {
        const next = nextTimeOf(queue)
        if (next < Number.POSITIVE_INFINITY) deadlines.arm(queue, next)
        break
      }
      isReady = true
      if (count % stepEntries === stepEntries - 1 && shouldYield()) {
        delivery.pump(queue)
        return true
      }
    }
    queue.isExpiring = false
    if (!isReady) return false
    delivery.pump(queue)
    this.#ports.enforce(queue)
    return false
  }

  /** One thing whose time has come. */
  #step(queue: LocalQueue, now: number): Step {
    const { aside } = queue.entries
    if (aside !== null && aside.due.firstDeadline <= now) return this.#fallDue(queue, now)
    const lease = queue.leases?.takeEnded(now) ?? null
    if (lease !== null) {
      this.#ports.leaseEnded(queue, lease.sequence, lease.consumer)
      return 'more'
    }
    if ((queue.dying?.size ?? 0) >= dyingMax) return 'waits' // `drained` wakes it again
    if (aside !== null && aside.expiries.firstDeadline <= now) return this.#expireOwn(queue, now)
    if ((queue.features & QueueFeature.ttl) !== 0) return this.#expireFirst(queue, now)
    return this.#expireQueue(queue, now)
  }

  #fallDue(queue: LocalQueue, now: number): Step {
    const { aside } = queue.entries
    if (aside === null) return 'done'
    const sequence = aside.due.firstValue
    const chunk = queue.entries.chunkOf(sequence)
    const isDue = chunk !== null && (chunk.flagsOf(sequence) & EntryFlag.waiting) !== 0 && chunk.dueOf(sequence) <= now
    if (isDue && !this.#keepsTime(queue, chunk, sequence)) return 'waits'
    aside.due.pop()
    if (!isDue) return 'more'
    queue.entries.release(chunk, sequence)
    // One that may not wait at all is offered to whoever waits for it.
    const deadline = chunk.deadlineOf(sequence)
    if (deadline > 0 && deadline <= now) this.#ports.delivery.pump(queue)
    return 'more'
  }

  /**
   * A waiting entry is watched again, as it was before it waited. One that had no time but the queue's has left its place
   * in the order of arrival, and gets its time from its record. False: that must be read first, and then this is called again.
   */
  #keepsTime(queue: LocalQueue, chunk: EntryChunk, sequence: number): boolean {
    const ttlMs = queue.settings.messageTtlMs
    const { stored } = this.#ports
    const { aside } = queue.entries
    const deadline = chunk.deadlineOf(sequence)
    if (deadline > 0) aside?.watch(deadline, sequence)
    if (deadline > 0 || ttlMs === null) return true
    if (!stored.view(this.#message, chunk, sequence, chunk.flagsOf(sequence))) {
      stored.load(queue, chunk, sequence, () => this.#wakeAgain(queue))
      return false
    }
    chunk.sideFor().setDeadline(sequence - chunk.first, stored.arrivedAt + ttlMs)
    aside?.expiresAt(stored.arrivedAt + ttlMs, sequence)
    return true
  }

  #wakeAgain(queue: LocalQueue): void {
    queue.isExpiring = false
    this.wake(queue)
  }

  /** An entry with a time of its own. One that is handed out expires when it comes back. */
  #expireOwn(queue: LocalQueue, now: number): Step {
    const { aside } = queue.entries
    if (aside === null) return 'done'
    if (isBusy(queue)) return this.#later(queue, now)
    const sequence = aside.expiries.firstValue
    aside.expiries.pop()
    const chunk = queue.entries.chunkOf(sequence)
    const flags = chunk?.flagsOf(sequence) ?? 0
    const deadline = chunk?.deadlineOf(sequence) ?? 0
    // Its time to live may have been taken away, or made longer.
    if (chunk === null || (flags & readyMask) !== EntryFlag.live || deadline === 0 || deadline > now) return 'more'
    this.#ports.deadLetters.die(queue, chunk, sequence, 'expired')
    return 'more'
  }

  /** The first of those that have no time but the queue's. */
  #expireFirst(queue: LocalQueue, now: number): Step {
    const { stored, deadlines } = this.#ports
    const ttlMs = queue.settings.messageTtlMs
    const sequence = queue.entries.firstInPlace()
    if (sequence === 0 || ttlMs === null) return this.#expireQueue(queue, now)
    if (isBusy(queue)) return this.#later(queue, now)
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk === null) return 'done'
    if (chunk.isAway) {
      queue.isLoading = true
      this.#ports.loadChunk(queue, chunk)
      return this.#later(queue, now)
    }
    if (!stored.view(this.#message, chunk, sequence, chunk.flagsOf(sequence))) {
      stored.load(queue, chunk, sequence, () => this.#wakeAgain(queue))
      return 'waits'
    }
    const deadline = stored.arrivedAt + ttlMs
    if (deadline > now) {
      deadlines.arm(queue, deadline)
      return this.#expireQueue(queue, now)
    }
    this.#ports.deadLetters.die(queue, chunk, sequence, 'expired')
    return 'more'
  }

  #later(queue: LocalQueue, now: number): Step {
    this.#ports.deadlines.arm(queue, now + busyRetryMs)
    return 'waits'
  }

  #expireQueue(queue: LocalQueue, now: number): Step {
    const { expiresMs } = queue.settings
    if (expiresMs === null || queue.turns.members.size > 0) return 'done'
    const endsAt = queue.usedAt + expiresMs
    if (endsAt > now) this.#ports.deadlines.arm(queue, endsAt)
    else this.#ports.topology.expireQueue(queue.definition)
    return 'done'
  }
}

/** Somebody could take messages, and they only wait for the disk: one that expires at once must not expire for that. */
function isBusy(queue: LocalQueue): boolean {
  return queue.isLoading || ((queue.isWaitingForMark || queue.isScheduled) && queue.turns.next() !== null)
}

function nextTimeOf(queue: LocalQueue): number {
  return Math.min(
    queue.entries.aside?.nextTime ?? Number.POSITIVE_INFINITY,
    queue.leases?.nextEnd ?? Number.POSITIVE_INFINITY,
  )
}

const readyMask = EntryFlag.live | EntryFlag.unacked | EntryFlag.waiting
