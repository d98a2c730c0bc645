/**
 * Messages that die (rejected, expired, too many) on their way to the dead-letter exchange of their queue.
 *
 * A dead letter is an ordinary publish record that also settles the entry it comes from, so it is stored exactly when
 * its source is gone: nothing is lost by a crash between. Queues of other shards, and streams, have theirs before the
 * source goes; what is sent again after a crash between they know (`outgoing-letters.ts`). A queue that refuses it (it is
 * full and refuses what is new) lets it wait in its source, held by the broker, and it is tried again.
 *
 * Rights are not asked for here: who declared the queue was asked for write on its dead-letter exchange.
 */
import type { FieldTable } from '../../amqp/field-table.ts'
import type { Clock } from '../../base/clock.ts'
import type { RunQueue } from '../../base/run-queue.ts'
import type { Route } from '../commands.ts'
import { DeadLetterWriter } from '../dead-letter/dead-letter.ts'
import { type DeathReason, isCycle } from '../dead-letter/death-history.ts'
import { propertiesOf } from '../dead-letter/message-copy.ts'
import { type Chunks, Message } from '../message.ts'
import { type LetterSource, MessageTraits, type Source } from '../message-traits.ts'
import type { Position, Queue, ShardTopology } from '../ports.ts'
import { type Dying, DyingEntries, dyingHolder, isDying } from '../queue/dying-entries.ts'
import { type EntryChunk, EntryFlag } from '../queue/entry-chunk.ts'
import { LocalQueue } from '../queue/local-queue.ts'
import { targetOf } from './dead-letter-target.ts'
import type { LargeBodies, LargeBody } from './large-bodies.ts'
import { LetterBodies } from './letter-bodies.ts'
import { type OutgoingLetter, OutgoingLetters } from './outgoing-letters.ts'
import { ReadTraits } from './record-traits.ts'
import type { Settling } from './settling.ts'
import type { StoredEntries } from './stored-entries.ts'

/** Pause before a dead letter that was refused is tried again, in milliseconds. */
export const refusedRetryMs = 1_000
/** Dying entries of one queue above which no more are taken out of it because their time is over. */
export const dyingMax = 1_000
const persistentMode = 2

export interface DeadLettersPorts {
  readonly stored: StoredEntries
  readonly bodies: LargeBodies
  readonly settling: Settling
  readonly topology: ShardTopology
  readonly clock: Clock
  readonly runQueue: RunQueue
  /** Stores a dead letter in the first `count` queues. False when one of them refuses it; nothing is stored then. */
  store(message: Message, route: Route, body: LargeBody | null, from: LetterSource | null): boolean
  /** The dying entries of a queue are fewer again. */
  drained(queue: LocalQueue): void
  /** Whether the shard's log is stored up to here. */
  isStored(position: Position): boolean
  /** Calls back when what is appended by now is stored. */
  whenStored(done: () => void): void
  isServing(): boolean
  damaged(error: Error): void
}

export class DeadLetters {
  readonly #ports: DeadLettersPorts
  readonly #writer = new DeadLetterWriter()
  readonly #message = new Message()
  readonly #read = new ReadTraits()
  readonly #traits = new MessageTraits()
  /** Queues with dying entries, for `workOff`. */
  readonly #listed: LocalQueue[] = []
  readonly #outgoing = new OutgoingLetters()
  readonly #bodies: LetterBodies
  /** What was rewritten last led somewhere, perhaps only where it had been. */
  #isCircle = false
  /** Targets that other shards hold. */
  readonly #elsewhere: Queue[] = []
  readonly #route: Route = {
    queues: [],
    count: 0,
    hasDurable: false,
    version: -1,
    isCacheable: false,
    exchangeCounts: null,
  }

  constructor(ports: DeadLettersPorts) {
    this.#ports = ports
    const { bodies, clock, damaged } = ports
    this.#bodies = new LetterBodies({ bodies, clock, outgoing: this.#outgoing, damaged })
  }

  /** An entry that is ready, or was held, dies. Without a dead-letter exchange it is gone at once. */
  die(queue: LocalQueue, chunk: EntryChunk, sequence: number, reason: DeathReason): void {
    if (queue.settings.deadLetterExchange === null) this.#ports.settling.giveUp(queue, chunk, sequence, reason)
    else this.#add(queue, chunk, { sequence, reason, isParked: false })
  }

  /** An entry has used up its attempts: to the parking queue, or else it dies. */
  park(queue: LocalQueue, chunk: EntryChunk, sequence: number): void {
    if (typeof queue.settings.retry?.parkingQueue !== 'string') this.die(queue, chunk, sequence, 'delivery_limit')
    else this.#add(queue, chunk, { sequence, reason: 'delivery_limit', isParked: true })
  }

  /** A message that a full queue did not take goes to its dead-letter exchange instead. */
  refuse(queue: LocalQueue, message: Message, body: LargeBody | null): void {
    const exchange = queue.settings.deadLetterExchange
    if (exchange === null) return
    const target = { exchange, routingKey: queue.settings.deadLetterRoutingKey }
    const letter = this.#rewrite(queue, message, 'maxlen', target)
    if (letter === null) return
    // A large one is in this shard's logs, and the others would have to wait for it: they do without.
    if (body === null && this.#elsewhere.length > 0) {
      this.#outgoing.mark(letter, null)
      for (const other of this.#elsewhere) other.shard.publish(letter, [other], 1, null, 0)
    }
    this.#ports.store(letter, this.#route, body, null)
  }

  #add(queue: LocalQueue, chunk: EntryChunk, dying: Dying): void {
    const { sequence } = dying
    if ((chunk.flagsOf(sequence) & EntryFlag.unacked) === 0) queue.entries.handOut(chunk, sequence, dyingHolder)
    else chunk.holdersFor()[sequence - chunk.base] = dyingHolder
    queue.dying ??= new DyingEntries()
    queue.dying.add(dying, queue.residences)
    if (!queue.dying.isListed) {
      queue.dying.isListed = true
      this.#listed.push(queue)
    }
    if (queue.dying.isBusy) return
    queue.dying.isBusy = true
    this.#schedule(queue, queue.dying)
  }

  /**
   * Sends a few of those that are dying at once. Publishers do, each after its own message, so that a full queue whose
   * oldest messages die does not let more of them gather than are sent.
   */
  workOff(count: number): void {
    for (let left = count; left > 0 && this.#listed.length > 0; left--) {
      const queue = this.#listed[0] as LocalQueue
      const first = queue.dying?.first()
      if (
        queue.dying !== null &&
        first !== undefined &&
        !queue.dying.isWaiting &&
        this.#sendOne(queue, queue.dying, first)
      )
        continue
      this.#listed.shift()
      if (queue.dying !== null) queue.dying.isListed = false
    }
  }

  #schedule(queue: LocalQueue, dying: DyingEntries): void {
    this.#ports.runQueue.add({ run: (shouldYield) => this.#run(queue, dying, shouldYield) })
  }

  #run(queue: LocalQueue, dying: DyingEntries, shouldYield: () => boolean): boolean {
    for (let first = dying.first(); first !== undefined; first = dying.first()) {
      if (dying.isWaiting || !this.#sendOne(queue, dying, first)) return false
      if (shouldYield()) return true
    }
    dying.isBusy = false
    this.#ports.drained(queue)
    return false
  }

  /** False: it waits, and goes on by itself; or there is no queue any more. */
  #sendOne(queue: LocalQueue, dying: DyingEntries, first: Dying): boolean {
    if (queue.isDropped || !this.#ports.isServing()) {
      this.#bodies.end(first)
      return false
    }
    if (dying.isPaused) return false
    const again = (): void => {
      dying.isWaiting = false
      this.#schedule(queue, dying)
    }
    dying.isWaiting = true
    const result = this.#send(queue, first, again)
    if (result === 'later') return false
    dying.isWaiting = false
    // Of one that was sent the answer may be there already, and it says what is left to do.
    if (result === 'done') this.#bodies.end(first)
    dying.drop(first)
    return true
  }

  /** `later`: `again` is called when it can be tried again. `sent`: other shards will answer. */
  #send(queue: LocalQueue, dying: Dying, again: () => void): 'done' | 'sent' | 'later' {
    const { sequence } = dying
    const { stored, settling } = this.#ports
    const chunk = queue.entries.chunkOf(sequence)
    if (chunk === null || !isDying(chunk, sequence)) return 'done'
    const flags = chunk.flagsOf(sequence)
    if (!stored.view(this.#message, chunk, sequence, flags)) {
      stored.load(queue, chunk, sequence, again)
      return 'later'
    }
    this.#message.traits = this.#traitsOfRecord()
    this.#message.isPersistent =
      (flags & EntryFlag.transient) === 0 || propertiesOf(this.#message).deliveryMode === persistentMode
    const body = stored.bodyOf(chunk, sequence, flags)
    if (body !== null) this.#message.chunks = bodyInChunks
    const letter = this.#letterOf(queue, dying)
    if (letter === 'waits') return this.#tryLater(dying, again)
    if (letter === 'nowhere') {
      settling.settleOne(queue, chunk, sequence)
      return 'done'
    }
    const source = (flags & EntryFlag.transient) === 0 ? { queueId: queue.id, sequence } : null
    if (this.#elsewhere.length > 0 && !this.#bodies.has(dying)) {
      if (this.#mustWait(source, chunk.positions[sequence - chunk.base] as number, again)) return 'later'
    }
    const queues = [...this.#elsewhere]
    if (body !== null && this.#bodies.needsCopies(dying, letter, body, queues)) {
      this.#bodies.copy(dying, letter, body, queues, again)
      return 'later'
    }
    if (queues.length > 0 && !this.#bodies.isElsewhere(dying)) {
      const bodies = this.#bodies.writersOf(dying)
      return this.#sendAhead(queue, dying, { letter, source, queues, bodies }, this.#route.count > 0)
    }
    const written = this.#bodies.writtenHere(dying, body)
    if (this.#ports.store(letter, this.#route, written, { queueId: queue.id, sequence, isStored: source !== null })) {
      settling.forget(queue, chunk, sequence)
      return 'done'
    }
    return this.#tryLater(dying, again)
  }

  #tryLater(dying: Dying, again: () => void): 'later' {
    this.#bodies.postpone(dying)
    this.#ports.clock.after(refusedRetryMs, again)
    return 'later'
  }

  // ---------------------------------------------------------------- what takes time

  /** Before it is stored another one may have its sequence after a crash, and would be taken for a repeat of it. */
  #mustWait(source: Source | null, position: Position, again: () => void): boolean {
    if (source !== null && !this.#ports.isStored(position)) this.#ports.whenStored(again)
    else if (!this.#outgoing.hasRoom) this.#outgoing.whenRoom(again)
    else return false
    return true
  }

  /** The next ones need not wait for the answer. `isAlsoHere`: queues of this shard are to have it as well, after the others. */
  #sendAhead(queue: LocalQueue, entry: Dying, letter: OutgoingLetter, isAlsoHere: boolean): 'sent' {
    const { settling, isServing, drained } = this.#ports
    const dying = queue.dying as DyingEntries
    dying.underWay++
    this.#outgoing.send(letter, (isStored) => {
      dying.underWay--
      if (isStored && isAlsoHere && !queue.isDropped && isServing()) return this.#storeHere(queue, dying, entry)
      this.#bodies.end(entry)
      if (queue.isDropped || !isServing()) return
      if (!isStored) return this.#pause(queue, dying, entry)
      const chunk = queue.entries.chunkOf(entry.sequence)
      if (chunk !== null && isDying(chunk, entry.sequence)) settling.settleOne(queue, chunk, entry.sequence)
      if (dying.underWay + dying.size === 0) drained(queue)
    })
    return 'sent'
  }

  #storeHere(queue: LocalQueue, dying: DyingEntries, entry: Dying): void {
    this.#bodies.storedElsewhere(entry)
    dying.answer(entry)
    if (dying.isBusy) return
    dying.isBusy = true
    this.#schedule(queue, dying)
  }

  /** One was refused: it is tried again, and the others behind it. */
  #pause(queue: LocalQueue, dying: DyingEntries, entry: Dying): void {
    dying.refuse(entry)
    if (dying.isPaused) return
    dying.isPaused = true
    // The refused ones come before it again, and may need the room that it takes.
    if (dying.unsent !== undefined) this.#bodies.postpone(dying.unsent)
    this.#ports.clock.after(refusedRetryMs, () => {
      dying.isPaused = false
      dying.takeRefused()
      dying.isBusy = true
      this.#schedule(queue, dying)
    })
  }

  // ---------------------------------------------------------------- the letter

  /**
   * The dead letter of the message at hand, routed. `nowhere`: no queue is to have it, and it is gone; `waits`: none can have
   * it yet. A parking queue that is not there is replaced by the dead-letter exchange, and without one waited for.
   */
  #letterOf(queue: LocalQueue, { reason, isParked }: Dying): Message | 'nowhere' | 'waits' {
    const target = targetOf(queue, isParked)
    if (target === null) return 'nowhere'
    const letter = this.#rewrite(queue, this.#message, reason, target)
    if (letter !== null) return letter
    if (this.#isCircle) return 'nowhere'
    const other = isParked ? targetOf(queue, false) : null
    const instead = other === null ? null : this.#rewrite(queue, this.#message, reason, other)
    if (instead !== null) return instead
    const mayWait = queue.settings.keepsUnroutable || (isParked && other === null)
    return mayWait && !this.#isCircle ? 'waits' : 'nowhere'
  }

  /** The dead letter, routed; null when it leads nowhere. */
  #rewrite(
    queue: LocalQueue,
    message: Message,
    reason: DeathReason,
    to: { exchange: string; routingKey: string | null },
  ): Message | null {
    const { topology, clock } = this.#ports
    const { vhost, name } = queue.definition
    const death = { ...to, queue: name, reason, timeMs: clock.now() }
    const letter = this.#writer.rewrite(message, death)
    letter.message.chunks = null
    const blindKeys = to.routingKey === null ? (message.traits?.blindKeys ?? []) : []
    const keys = blindKeys.length === 0 ? letter.keys : [...letter.keys, ...blindKeys]
    this.#isCircle = false
    if (!topology.reroute(vhost, to.exchange, keys, letter.message, this.#route)) return null
    const found = this.#route.count
    this.#dropCycles(letter.headers, reason)
    this.#isCircle = found > 0
    return this.#route.count + this.#elsewhere.length === 0 ? null : letter.message
  }

  /** What goes round by itself goes round once. Targets of other shards are set apart. */
  #dropCycles(headers: FieldTable, reason: DeathReason): void {
    const { queues } = this.#route
    let count = 0
    this.#elsewhere.length = 0
    for (let index = 0; index < this.#route.count; index++) {
      const queue = queues[index]
      if (queue === undefined || isCycle(headers, queue.definition.name, reason)) continue
      if (queue instanceof LocalQueue) queues[count++] = queue
      else this.#elsewhere.push(queue)
    }
    this.#route.count = count
  }

  #traitsOfRecord(): MessageTraits | null {
    this.#ports.stored.readTraits(this.#read)
    const { priority, group, blindKeys } = this.#read
    if (priority === 0 && group === '' && blindKeys.length === 0) return null
    this.#traits.clear()
    this.#traits.priority = priority
    this.#traits.group = group
    this.#traits.blindKeys = blindKeys
    return this.#traits
  }
}

/** Stands for a body that is in chunks, which need not be read to be given another name. */
const bodyInChunks: Chunks = {
  count: 0,
  bodyBytes: 0,
  read: () => {},
  release: () => {},
}
