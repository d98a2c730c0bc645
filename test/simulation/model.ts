/**
 * What each queue must hold, from what the clients saw alone, and the judgement of everything that is delivered.
 *
 * An entry is a message in one queue. It is `ready`, `held` by a consumer or a get, `done` (settled or purged), `gone`
 * (never stored, or lost as it may be), or `open`: a crash has left it undecided until the shard says what it knows.
 */
import assert from 'node:assert/strict'
import type { QueueDefinition } from '../../src/broker/topology/queue-definition.ts'
import type { SentMessage } from '../support/sent-message.ts'

export type EntryState = 'ready' | 'held' | 'done' | 'gone'

export class Publish {
  readonly message: SentMessage
  readonly entries: Entry[] = []
  /** What the publisher was told. */
  answer: 'none' | 'confirmed' | 'refused' = 'none'
  /** Publishes are in this order, whatever their messages' numbers. */
  readonly order: number
  /** Settlements that were on their way into the log before it: when it is confirmed they are stored as well. */
  readonly settledBefore: number

  constructor(message: SentMessage, order: number, settledBefore: number) {
    this.message = message
    this.order = order
    this.settledBefore = settledBefore
  }
}

export class Entry {
  readonly publish: Publish
  readonly queue: ModelQueue
  /** As the shard numbered it. */
  readonly sequence: number
  readonly isDurable: boolean
  state: EntryState = 'ready'
  /** It has been delivered to somebody, at some time. */
  wasSent = false
  /** It was there at an unclean stop, so it may be called redelivered without having been. */
  mayBeMarked = false
  /** A purge is under way that takes it unless somebody gets it first; `maybe` when it came back meanwhile. */
  purging: 'no' | 'yes' | 'maybe' = 'no'
  /** Number of its settlement among all; 0 while it has none. */
  settlement = 0

  constructor(publish: Publish, queue: ModelQueue, sequence: number) {
    this.publish = publish
    this.queue = queue
    this.sequence = sequence
    this.isDurable = publish.message.isPersistent && queue.definition.isDurable
  }

  get bytes(): number {
    return this.publish.message.bodyBytes
  }

  toString(): string {
    const { number, form, bodyBytes, isPersistent } = this.publish.message
    const kind = `${isPersistent ? 'persistent' : 'transient'} ${form} of ${bodyBytes}`
    return `message ${number} (${kind}, ${this.publish.answer}, ${this.state}) at ${this.sequence} of ${this.queue.definition.name}`
  }
}

/** How an entry came out of a stop, as the shard that was opened after it knows. */
export interface Known {
  isLive(sequence: number): boolean
}

export class ModelQueue {
  readonly definition: QueueDefinition
  isDropped = false
  isPurging = false
  ready = 0
  held = 0
  readyBytes = 0
  #entries: Entry[] = []
  #first = 0
  readonly #byNumber = new Map<number, Entry>()
  #lastNew = -1

  constructor(definition: QueueDefinition) {
    this.definition = definition
  }

  get size(): number {
    return this.ready + this.held
  }

  // ---- changes

  add(entry: Entry): void {
    this.#entries.push(entry)
    this.#byNumber.set(entry.publish.message.number, entry)
    this.#count(entry, 1)
  }

  set(entry: Entry, state: EntryState): void {
    this.#count(entry, -1)
    entry.state = state
    this.#count(entry, 1)
    if (state !== 'ready') entry.purging = 'no'
    else if (this.isPurging) entry.purging = 'maybe'
    if (state === 'ready') this.#first = 0
  }

  #count(entry: Entry, by: number): void {
    if (entry.state === 'held') this.held += by
    if (entry.state !== 'ready') return
    this.ready += by
    this.readyBytes += by * entry.bytes
  }

  // ---- judgement

  /** Somebody gets a message: it must be the one whose turn it is, and be called new only if it is. */
  deliver(number: number, sequence: number, isRedelivered: boolean): Entry {
    const entry = this.#byNumber.get(number)
    const { name } = this.definition
    assert.ok(entry !== undefined, `queue ${name} delivered message ${number}, which it was never given`)
    assert.equal(entry.state, 'ready', `delivered a second time or from nowhere: ${entry}`)
    assert.equal(sequence, entry.sequence, `delivered under the sequence ${sequence}: ${entry}`)
    assert.ok(isRedelivered || !entry.wasSent, `was sent before and is called new: ${entry}`)
    assert.ok(
      !isRedelivered || entry.wasSent || entry.mayBeMarked,
      `was never sent and is called redelivered: ${entry}`,
    )
    const before = this.#firstReady()
    assert.ok(
      before === null || before === entry || before.sequence > sequence,
      `${before} was passed over for ${entry}`,
    )
    if (!entry.wasSent) {
      assert.ok(entry.publish.order > this.#lastNew, `out of order: ${entry}`)
      this.#lastNew = entry.publish.order
    }
    entry.wasSent = true
    this.set(entry, 'held')
    return entry
  }

  assertEmptyForGet(): void {
    const before = this.#firstReady()
    assert.ok(before === null, `a get found nothing although there is ${before}`)
  }

  /** The first entry that is certainly ready. */
  #firstReady(): Entry | null {
    const entries = this.#entries
    while (this.#first < entries.length && entries[this.#first]?.state !== 'ready') this.#first++
    for (let at = this.#first; at < entries.length; at++) {
      const entry = entries[at] as Entry
      if (entry.state === 'ready' && entry.purging === 'no') return entry
    }
    return null
  }

  // ---- purge

  beginPurge(): void {
    this.isPurging = true
    for (const entry of this.#entries) if (entry.state === 'ready') entry.purging = 'yes'
  }

  /** Returns the entries that the purge took. */
  endPurge(count: number, known: Known): Entry[] {
    this.isPurging = false
    const taken: Entry[] = []
    for (const entry of this.#entries) {
      if (entry.purging === 'no') continue
      const isLive = known.isLive(entry.sequence)
      assert.ok(entry.purging === 'maybe' || !isLive, `a purge has left ${entry}`)
      entry.purging = 'no'
      if (!isLive) taken.push(entry)
    }
    for (const entry of taken) this.set(entry, 'done')
    assert.equal(count, taken.length, `purged messages of queue ${this.definition.name}`)
    return taken
  }

  // ---- stops

  /**
   * The queue after a stop: what was certain must be there, what was certainly done must not, and for the rest the shard
   * decides. `settledFor` is the number of settlements that are known to be stored.
   */
  reconcile(known: Known, isClean: boolean, settledFor: number): void {
    for (const entry of this.#entries) {
      if (entry.state === 'gone') continue
      if (entry.state === 'done' && !entry.isDurable) continue
      const isLive = entry.isDurable && known.isLive(entry.sequence)
      if (entry.state === 'done') this.#reconcileDone(entry, isLive, isClean || entry.settlement <= settledFor)
      else this.#reconcileHeldOrReady(entry, isLive, isClean)
      if (isLive && !isClean) entry.mayBeMarked = true
      entry.purging = 'no'
    }
    this.#entries = this.#entries.filter((entry) => entry.state !== 'gone')
    this.#first = 0
    this.isPurging = false
  }

  #reconcileDone(entry: Entry, isLive: boolean, isKnown: boolean): void {
    assert.ok(!isLive || !isKnown, `came back although its settlement was stored: ${entry}`)
    if (isLive) this.set(entry, 'ready')
    else this.#entryEnds(entry)
  }

  #reconcileHeldOrReady(entry: Entry, isLive: boolean, isClean: boolean): void {
    const isCertain =
      entry.isDurable && (isClean ? entry.publish.answer !== 'refused' : entry.publish.answer === 'confirmed')
    const mayBePurged = entry.purging !== 'no'
    assert.ok(isLive || !isCertain || mayBePurged, `lost: ${entry}`)
    if (isLive) this.set(entry, 'ready')
    else this.#entryEnds(entry)
  }

  #entryEnds(entry: Entry): void {
    this.set(entry, 'gone')
    this.#byNumber.delete(entry.publish.message.number)
  }

  /** No two entries that are there have one sequence. */
  assertSequences(): void {
    const seen = new Map<number, Entry>()
    for (const entry of this.#entries) {
      if (entry.state === 'gone' || entry.state === 'done') continue
      const other = seen.get(entry.sequence)
      assert.ok(other === undefined, `${entry} and ${other} have the same sequence`)
      seen.set(entry.sequence, entry)
    }
  }

  get waiting(): Entry[] {
    return this.#entries.filter((entry) => entry.state === 'ready')
  }
}
