/**
 * How an entry comes into a queue that is not plain, or with a message that asks for more: at the place its priority,
 * its group and its delay give it, with the time at which it expires, and under the queue's limits.
 */
import type { RunQueue } from '../../base/run-queue.ts'
import type { Position } from '../../log/log.ts'
import type { Message } from '../message.ts'
import type { MessageTraits } from '../message-traits.ts'
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { isOverfull, QueueFeature } from '../queue/queue-features.ts'
import { type DeadLetters, dyingMax } from './dead-letters.ts'
import type { Deadlines } from './deadlines.ts'
import type { Delivery } from './delivery.ts'

/** Entries a full queue gives up at once. A limit that is new may concern a million: the others go in slices. */
const droppedAtOnce = 256
/** Entries given up between two looks at the clock. */
const stepEntries = 64

export interface EnteringPorts {
  readonly runQueue: RunQueue
  readonly deadlines: Deadlines
  readonly delivery: Delivery
  readonly deadLetters: DeadLetters
  isServing(): boolean
  /** Loads the columns of a chunk that is away, then goes on with deliveries. */
  loadChunk(queue: LocalQueue, chunk: EntryChunk): void
}

/** What an entry needs besides position and size. Also read from records when a shard is opened. */
export interface EntryTraits {
  readonly priority: number
  readonly group: string
  /** 0: at once. */
  readonly dueAt: number
  readonly expirationMs: number | null
}

export class Entering {
  readonly #ports: EnteringPorts

  constructor(ports: EnteringPorts) {
    this.#ports = ports
  }

  enter(queue: LocalQueue, message: Message, position: Position, flags: number, arrivedAt: number): void {
    const { traits } = message
    const { deadlines, delivery } = this.#ports
    if (isInPlace(queue, traits)) {
      const sequence = queue.entries.push(position, message.bodyBytes, flags)
      delivery.arrived(queue, sequence, flags, message)
      if ((queue.features & QueueFeature.ttl) !== 0 && queue.entries.ready > 0)
        deadlines.arm(queue, arrivedAt + (queue.settings.messageTtlMs ?? 0))
    } else {
      const sequence = queue.entries.next
      putAside(queue, { sequence, position, size: message.bodyBytes, flags, arrivedAt }, traits ?? plain)
      deadlines.arm(queue, queue.entries.aside?.nextTime ?? Number.POSITIVE_INFINITY)
      delivery.pump(queue)
    }
    if ((queue.features & QueueFeature.limits) !== 0) this.enforce(queue)
  }

  /** Gives up what is above the limits: the oldest of the lowest priority first. O(1) for each that goes. */
  enforce(queue: LocalQueue): void {
    if ((queue.features & QueueFeature.limits) === 0) return
    const { entries, settings } = queue
    // What was put back may stand above the limits of a queue that refuses what is new.
    if (settings.overflow !== 'drop-head' || isAboutToGive(queue)) return
    for (let dropped = 0; isOverfull(settings, entries.ready, entries.readyBytes); dropped++) {
      if (dropped === droppedAtOnce) return this.#shedLater(queue)
      if (!this.#dropFirst(queue)) return
    }
  }

  /** False: there is nothing to give up, or it must be loaded first. */
  #dropFirst(queue: LocalQueue): boolean {
    const sequence = queue.entries.firstToDrop()
    const chunk = queue.entries.chunkOf(sequence)
    if (sequence === 0 || chunk === null) return false
    if (!chunk.isAway) {
      this.#ports.deadLetters.die(queue, chunk, sequence, 'maxlen')
      return true
    }
    // The limits hold again when it is there, with the next message.
    if (!queue.isLoading) {
      queue.isLoading = true
      this.#ports.loadChunk(queue, chunk)
    }
    return false
  }

  #shedLater(queue: LocalQueue): void {
    if (queue.isShedding) return
    queue.isShedding = true
    this.#ports.runQueue.add({ run: (shouldYield) => this.#shed(queue, shouldYield) })
  }

  /** The limit may be another one meanwhile, or none, and the queue may be gone. */
  #shed(queue: LocalQueue, shouldYield: () => boolean): boolean {
    for (let dropped = 1; this.#isAbove(queue) && this.#dropFirst(queue); dropped++) {
      if (dropped % stepEntries === 0 && shouldYield()) return true
    }
    queue.isShedding = false
    return false
  }

  #isAbove(queue: LocalQueue): boolean {
    const { entries, settings } = queue
    if (queue.isDropped || !this.#ports.isServing() || settings.overflow !== 'drop-head') return false
    if ((queue.dying?.size ?? 0) >= dyingMax) return false // when they are gone, `enforce` is called again
    return isOverfull(settings, entries.ready, entries.readyBytes)
  }
}

/** Somebody waits for messages, and they only wait for the disk: `delivery` has the limits looked at again. */
function isAboutToGive(queue: LocalQueue): boolean {
  if (!queue.isWaitingForMark && !queue.isLoading && !queue.isScheduled) return false
  return queue.gets.length > 0 || queue.turns.next() !== null
}

export interface PlacedEntry {
  readonly sequence: number
  readonly position: Position
  readonly size: number
  readonly flags: number
  readonly arrivedAt: number
}

const plain: EntryTraits = { priority: 0, group: '', dueAt: 0, expirationMs: null }

/** Whether the order of sequences is all there is to say of its place, and the queue's time to live of its time. */
function isInPlace(queue: LocalQueue, traits: MessageTraits | null): boolean {
  if ((queue.features & QueueFeature.priority) !== 0) return false
  return traits === null || (traits.dueAt === 0 && traits.group === '' && traits.expirationMs === null)
}

/**
 * Enters an entry that is aside, or has a time of its own. The same for a new one and for one from a record; a delay that
 * is over is none.
 */
export function putAside(queue: LocalQueue, entry: PlacedEntry, traits: EntryTraits): void {
  const { entries, settings } = queue
  const { sequence, arrivedAt } = entry
  const hasPriority = settings.maxPriority !== null
  const isWaiting = traits.dueAt > arrivedAt
  const isAside = hasPriority || isWaiting || traits.group !== ''
  const flags = entry.flags | (isAside ? EntryFlag.aside : 0) | (isWaiting ? EntryFlag.waiting : 0)
  entries.put(sequence, entry.position, entry.size, flags)
  const chunk = entries.chunkOf(sequence)
  if (chunk === null) return
  const aside = entries.asideFor(settings.groupLimit)
  const side = chunk.sideFor()
  const index = sequence - chunk.first
  if (settings.maxPriority !== null) side.setPriority(index, Math.min(traits.priority, settings.maxPriority))
  if (traits.group !== '') side.setGroup(index, aside.groups.join(traits.group))
  const deadline = deadlineOf(queue, traits, isWaiting ? traits.dueAt : arrivedAt, isAside)
  if (deadline > 0) {
    side.setDeadline(index, deadline)
    aside.expiresAt(deadline, sequence)
  }
  if (isWaiting) {
    side.setDue(index, traits.dueAt)
    aside.waitUntil(traits.dueAt, sequence)
  } else if (isAside) aside.ready(chunk, sequence, false)
}

/** Wall time at which an entry expires by itself; 0 when only the queue's time to live holds, or nothing. */
export function deadlineOf(queue: LocalQueue, traits: EntryTraits, from: number, isAside: boolean): number {
  const { messageTtlMs } = queue.settings
  const own = traits.expirationMs
  if (own === null && (messageTtlMs === null || !isAside)) return 0
  return from + Math.min(own ?? Number.POSITIVE_INFINITY, messageTtlMs ?? Number.POSITIVE_INFINITY)
}
