/**
 * What a few queues hold and do, as plainly as possible: lists, and a clock that is an argument.
 *
 * The model does not guess what is free (which of several consumers gets a message): it is told what happened, in order,
 * and says what of it may not be. After each command it says what should have happened and did not.
 */
import assert from 'node:assert/strict'
import type { DeathReason } from '../../src/broker/dead-letter/death-history.ts'
import { plainSettings, type QueueSettings, type RetrySettings } from '../../src/broker/queue/queue-settings.ts'
import { refusedRetryMs } from '../../src/broker/shard/dead-letters.ts'
import { ModelMessage, type Publication } from './model-message.ts'
import { type ModelConsumer, ModelQueue } from './model-queue.ts'
import type { Died, SeenMessage } from './seen-events.ts'

export interface QueuePlan {
  readonly name: string
  readonly isDurable: boolean
  readonly settings: Partial<QueueSettings>
}

/** Times that a message came back are counted so far and no further. */
const returnsMax = 255

/** What became of the entries of a queue, by sequence. */
export type States = (name: string) => ReadonlyMap<number, ModelMessage['state']>

/** `consumer` null: an answer to a `get`. */
export interface Taker {
  readonly consumer: ModelConsumer | null
  readonly isNoAck: boolean
}

export interface DeathSeen {
  readonly died: Died
  /** The queues to which its exchange leads, with the sequence it gets there. */
  readonly routed: ReadonlyMap<string, number>
  /** What was delivered at about the same time. */
  readonly delivered: ReadonlySet<string>
}

export class QueueModel {
  readonly queues = new Map<string, ModelQueue>()
  readonly consumers = new Map<number, ModelConsumer>()
  /** Messages that a full queue did not take and that go to its dead-letter exchange instead. */
  #refused: { message: ModelMessage; queue: ModelQueue }[] = []
  now: number
  /** A full queue gives nothing up for a new message as long as a consumer could take one. */
  publishingTo = ''

  constructor(plans: readonly QueuePlan[], now: number) {
    this.now = now
    for (const { name, isDurable, settings } of plans) {
      this.queues.set(name, new ModelQueue(name, isDurable, { ...plainSettings, ...settings }))
    }
  }

  queue(name: string): ModelQueue {
    const queue = this.queues.get(name)
    assert.ok(queue !== undefined, `there is no queue '${name}'`)
    return queue
  }

  /** The next time at which something happens by itself; Infinity: never. */
  get nextTime(): number {
    let next = Number.POSITIVE_INFINITY
    for (const queue of this.queues.values()) {
      if (queue.blockedUntil > this.now) next = Math.min(next, queue.blockedUntil)
      for (const one of queue.messages) {
        if (one.state === 'waiting') next = Math.min(next, one.dueAt)
        if (one.state === 'unacked') next = Math.min(next, one.leaseEndsAt)
        if (one.state === 'ready') next = Math.min(next, one.deadlineIn(queue))
      }
    }
    return next
  }

  // ---------------------------------------------------------------- what is done to it

  /** Returns whether the publish is confirmed; null: it may be. `sequence` is what it gets in the queue if it is taken. */
  publish(publication: Publication, name: string, sequence: number, isStored: boolean): boolean | null {
    const queue = this.queue(name)
    const message = new ModelMessage(publication)
    const { messageId } = publication
    const isDuplicate = queue.isDuplicate(messageId, this.now)
    const isRefused = queue.wouldRefuse(publication.bytes)
    if (isDuplicate === 'yes') return true
    if (isDuplicate === 'maybe' && !isStored) return isRefused ? null : true
    if (!isRefused) {
      queue.remember(messageId, this.now, message.isPersistent)
      queue.add(message, sequence, this.now, publication.delayMs)
      return true
    }
    if (queue.settings.overflow === 'reject-publish-dlx' && queue.settings.deadLetterExchange !== null) {
      this.#refused.push({ message, queue })
    }
    return false
  }

  consume(name: string, consumer: ModelConsumer): void {
    this.consumers.set(consumer.id, consumer)
    this.queue(name).join(consumer)
  }

  cancel(name: string, consumer: ModelConsumer): void {
    this.queue(name).leave(consumer)
  }

  settle(name: string, message: ModelMessage, outcome: 'ack' | 'requeue' | 'fail' | 'reject'): void {
    const queue = this.queue(name)
    assert.equal(message.state, 'unacked')
    if (message.holder !== null) message.holder.unacked--
    message.holder = null
    const { retry } = queue.settings
    if (outcome === 'ack') queue.remove(message)
    else if (outcome === 'reject') {
      if (retry !== null && retry.on === 'all') this.#tryLater(queue, message, retry)
      else this.#die(queue, message, 'rejected')
    } else {
      message.returns++
      message.redelivered = 'yes'
      if (retry !== null) this.#tryLater(queue, message, retry)
      else this.#comeBack(queue, message, outcome)
    }
  }

  #comeBack(queue: ModelQueue, message: ModelMessage, outcome: 'requeue' | 'fail'): void {
    if (outcome === 'fail') message.failures++
    const { deliveryLimit } = queue.settings
    if (outcome === 'fail' && deliveryLimit !== null && message.failures > deliveryLimit) {
      this.#die(queue, message, 'delivery_limit')
    } else message.state = 'ready'
  }

  #tryLater(queue: ModelQueue, message: ModelMessage, retry: RetrySettings): void {
    message.redelivered = 'yes'
    const attempt = ++message.failures
    const { deliveryLimit } = queue.settings
    if (retry.attempts !== null && attempt > retry.attempts) {
      message.isParked = retry.parkingQueue !== null
      return this.#die(queue, message, 'delivery_limit')
    }
    if (deliveryLimit !== null && attempt > deliveryLimit) return this.#die(queue, message, 'delivery_limit')
    let delayMs = retry.delayMs
    for (let count = 1; count < attempt; count++) {
      delayMs = retry.backoff === 'linear' ? delayMs + retry.delayMs : delayMs * retry.backoff
    }
    message.state = 'waiting'
    message.dueAt = this.now + Math.min(delayMs, retry.maxDelayMs)
    message.hasWaited = true
  }

  #die(queue: ModelQueue, message: ModelMessage, reason: DeathReason): void {
    if (queue.settings.deadLetterExchange === null && !message.isParked) return queue.remove(message)
    message.state = 'dying'
    message.dyingOf = reason
  }

  purge(name: string): number {
    const queue = this.queue(name)
    const before = queue.messages
    queue.messages = before.filter((one) => one.state !== 'ready' && one.state !== 'waiting')
    return before.length - queue.messages.length
  }

  changeSettings(name: string, settings: Partial<QueueSettings>): void {
    const queue = this.queue(name)
    queue.settings = { ...queue.settings, ...settings }
  }

  /** The broker starts again: consumers are gone, and with them what was not persistent. */
  restart(isClean: boolean): void {
    this.consumers.clear()
    for (const queue of this.queues.values()) {
      queue.consumers = []
      queue.active = null
      queue.blockedUntil = 0
      for (const one of queue.seen) one.isCertain = one.isCertain && one.isStored
      queue.messages = queue.messages.filter((one) => one.isPersistent && queue.isDurable)
      for (const one of queue.messages) {
        if (one.state === 'unacked') one.redelivered = 'yes'
        if (one.state === 'dying' && one.redelivered === 'no') one.redelivered = 'maybe'
        // What had to wait waits again for a moment, and is then at no certain place.
        one.state = one.hasWaited ? 'waiting' : 'ready'
        one.isParked = false
        one.isAnywhere = one.hasWaited
        one.holder = null
        one.returns = 0
        const isCounted = queue.settings.retry !== null || queue.settings.deliveryLimit !== null
        if (one.isCountCertain && (isClean || isCounted)) one.storedFailures = one.failures
        one.isCountCertain = one.failures === one.storedFailures
        if (!isClean && one.redelivered === 'no') one.redelivered = 'maybe'
      }
    }
  }

  /** Time goes on. Whatever is due is ready; what is too old is seen to by `finish`. */
  advanceTo(now: number): void {
    this.now = now
    for (const queue of this.queues.values()) {
      this.#release(queue, now)
      for (const one of queue.messages) {
        if (one.state === 'unacked' && one.leaseEndsAt <= now) this.settle(queue.name, one, 'fail')
      }
    }
  }

  /** The holder of a delivery needs so much more time from now. */
  extendLease(name: string, message: ModelMessage, ms: number): void {
    const { consumerTimeoutMs } = this.queue(name).settings
    if (message.leaseEndsAt === Number.POSITIVE_INFINITY) return
    message.leaseEndsAt = this.now + (ms > 0 ? ms : (consumerTimeoutMs ?? 0))
  }

  #release(queue: ModelQueue, upTo: number): void {
    const due = queue.messages.filter((one) => one.state === 'waiting' && one.dueAt <= upTo)
    let last: ModelMessage | null = null
    for (const one of due.sort((a, b) => a.dueAt - b.dueAt)) {
      one.state = 'ready'
      one.place = last?.dueAt === one.dueAt ? last.place : queue.nextPlace()
      last = one
    }
  }

  /** What is due just now, or was due before a restart, is ready at once or in a moment: the model learns it. */
  #findReleased(queue: ModelQueue, states: States): void {
    for (const one of queue.messages) {
      const isDue = one.state === 'waiting' && one.dueAt <= this.now
      if (isDue && states(queue.name).get(one.sequence) !== 'waiting') this.#release(queue, one.dueAt)
    }
  }

  // ---------------------------------------------------------------- what was seen to happen

  /** `consumer` null: an answer to a `get`. Returns the message, which is unacked from now on or, with `isNoAck`, gone. */
  delivered(name: string, seen: SeenMessage, to: Taker, states: States): ModelMessage {
    const { consumer, isNoAck } = to
    const queue = this.queue(name)
    const what = `'${seen.id}' delivered from '${name}'`
    if (!queue.firsts(this.now).some((one) => one.id === seen.id)) this.#findReleased(queue, states)
    const firsts = queue.firsts(this.now)
    const message = firsts.find((one) => one.id === seen.id)
    assert.ok(message !== undefined, `${what}, which is not the first: ${listed(firsts)} of ${listed(queue.ready)}`)
    if (consumer !== null) {
      const ids = queue.takers().map((one) => one.id)
      assert.ok(ids.includes(consumer.id), `${what} to consumer ${consumer.id}; those who may get it are ${ids}`)
    }
    if (message.redelivered !== 'maybe') {
      assert.equal(seen.isRedelivered, message.redelivered === 'yes', `${what}: redelivered`)
    }
    checkContent(seen, message, what)
    if (!message.isCountCertain && seen.deliveryCount <= message.failures) {
      assert.ok(seen.deliveryCount >= message.storedFailures, `${what}: delivery count ${seen.deliveryCount}`)
      message.failures = seen.deliveryCount
      message.isCountCertain = true
    }
    const counts = [message.failures, Math.min(message.returns, returnsMax)]
    assert.deepEqual([seen.deliveryCount, seen.acquiredCount], counts, `${what}: counts`)
    message.redelivered = 'yes'
    if (isNoAck) {
      queue.remove(message)
      return message
    }
    message.state = 'unacked'
    message.holder = consumer
    message.leaseEndsAt = this.now + (queue.settings.consumerTimeoutMs ?? Number.POSITIVE_INFINITY)
    if (consumer !== null) consumer.unacked++
    return message
  }

  /**
   * What a full queue has given up, which it does as soon as it holds too much: of entries that are dying, or are not there
   * any more and not among those delivered, the ones whose turn it is.
   */
  findDropped(name: string, states: States, delivered: ReadonlySet<string>): void {
    const queue = this.queue(name)
    while (queue.isOverfull) {
      const isGone = (one: ModelMessage): boolean => {
        const state = states(name).get(one.sequence)
        return !delivered.has(one.id) && (state === undefined || state === 'dying')
      }
      const victim = queue.firstsToDrop().find(isGone)
      if (victim === undefined) return
      const isWanted = this.publishingTo === name && this.#couldBeTaken(queue, victim)
      assert.ok(!isWanted, `${victim.id} was dropped from '${name}' although a consumer could take it`)
      const isOld = queue.isExpired(victim, this.now)
      this.#die(queue, victim, 'maxlen')
      if (isOld) victim.dyingOf = null
    }
  }

  #couldBeTaken(queue: ModelQueue, message: ModelMessage): boolean {
    return !message.hasWaited && queue.takers().length > 0 && queue.firsts(this.now).includes(message)
  }

  /** A dead letter went to an exchange. */
  died({ died: event, routed, delivered }: DeathSeen, states: States): void {
    const { queue, message, reason } = this.#theDying(event, states)
    const letter = message.died(queue, reason, this.now)
    const what = `'${letter.id}', ${reason} in '${queue.name}'`
    assert.equal(event.exchange, letter.exchange, `${what}: dead-letter exchange`)
    assert.deepEqual(event.keys, [letter.key, ...letter.cc], `${what}: dead-letter keys`)
    checkContent(event.seen, letter, what)
    const names = [...routed.keys()].filter((target) => !letter.goesRound(target, reason))
    const refusals = names.map((name) => this.queue(name).mayHaveRefused(letter.bytes, this.now))
    const isStillThere = states(queue.name).get(message.sequence) === 'dying'
    const isRefused = refusals.includes('yes') || (refusals.includes('maybe') && isStillThere)
    if (!isRefused) {
      queue.remove(message)
      for (const name of names) this.queue(name).add(new ModelMessage(letter), routed.get(name) ?? 0, this.now)
      for (const name of names) this.findDropped(name, states, delivered)
    } else if (queue.messages.includes(message)) {
      message.state = 'dying'
      message.dyingOf = reason
      queue.blockedUntil = this.now + refusedRetryMs
    }
  }

  #theDying(
    { seen, queue: name, reason }: Died,
    states: States,
  ): { queue: ModelQueue; message: ModelMessage; reason: DeathReason } {
    const queue = this.queue(name)
    const refused = this.#refused.find((one) => one.message.id === seen.id && one.queue === queue)
    if (reason === 'maxlen' && refused !== undefined) {
      this.#refused = this.#refused.filter((one) => one !== refused)
      return { queue, message: refused.message, reason }
    }
    const what = `'${seen.id}' died in '${name}', ${reason}`
    const isIt = (one: ModelMessage): boolean => one.id === seen.id && this.#mayDie(queue, one, reason)
    if (!queue.messages.some(isIt)) this.#findReleased(queue, states)
    const message = queue.messages.find(isIt)
    assert.ok(message !== undefined, `${what}, which it may not at ${this.now}: ${listed(queue.messages)}`)
    assert.ok(queue.blockedUntil <= this.now, `${what} before one that was refused is tried again`)
    return { queue, message, reason }
  }

  #mayDie(queue: ModelQueue, message: ModelMessage, reason: DeathReason): boolean {
    if (message.state === 'dying' && message.dyingOf !== null) return message.dyingOf === reason
    if (message.state === 'dying') return reason === 'expired' || reason === 'maxlen'
    if (reason === 'expired') return queue.isExpired(message, this.now)
    if (reason !== 'maxlen') return false
    if (queue.isOverfull && queue.firstsToDrop().includes(message)) return true
    // Of several that might be given up the model may have taken another first.
    const dying = queue.messages.filter((one) => one.state === 'dying')
    return queue.mayHaveDropped(message, [message, ...dying])
  }

  // ---------------------------------------------------------------- what must have happened

  /**
   * Everything has come to rest: nothing may be left undone. `states` says of each queue what became of its entries, by
   * sequence, so that the model learns what went without a trace, and whether it may.
   */
  finish(states: States): void {
    assert.deepEqual(this.#refused, [], 'refused messages that were not dead-lettered')
    for (const queue of this.queues.values()) {
      this.#findGone(queue, states(queue.name))
      this.#finishQueue(queue)
      const expected = new Map(queue.messages.map((one) => [one.sequence, one.state]))
      assert.deepEqual(sorted(states(queue.name)), sorted(expected), `what is in '${queue.name}'`)
    }
  }

  #findGone(queue: ModelQueue, states: ReadonlyMap<number, ModelMessage['state']>): void {
    const isBlocked = queue.blockedUntil > this.now
    if (!isBlocked && queue.settings.deadLetterExchange !== null) return
    const gone = queue.ready.filter((one) => states.get(one.sequence) === (isBlocked ? 'dying' : undefined))
    for (const one of gone) {
      const mayBe = queue.isExpired(one, this.now) || queue.mayHaveDropped(one, gone)
      assert.ok(mayBe, `${listed([one])} is gone from '${queue.name}' at ${this.now}: ${listed(queue.ready)}`)
    }
    for (const one of gone) {
      if (!isBlocked) queue.remove(one)
      one.state = 'dying'
      one.dyingOf = null
    }
  }

  #finishQueue(queue: ModelQueue): void {
    const isBlocked = queue.blockedUntil > this.now
    const expired = queue.messages.filter((one) => queue.isExpired(one, this.now))
    assert.deepEqual(listed(expired), [], `expired in '${queue.name}' at ${this.now} and still there`)
    const dying = queue.messages.filter((one) => one.state === 'dying')
    if (!isBlocked) assert.deepEqual(listed(dying), [], `dead in '${queue.name}' and not dead-lettered`)
    assert.ok(!queue.isOverfull, `'${queue.name}' holds more than it may: ${listed(queue.ready)}`)
    const takers = queue.takers().map((one) => one.id)
    const firsts = takers.length === 0 ? [] : queue.firsts(this.now)
    assert.deepEqual(listed(firsts), [], `not delivered from '${queue.name}', to consumers ${takers}`)
  }
}

function sorted<T>(map: ReadonlyMap<number, T>): [number, T][] {
  return [...map].sort(([a], [b]) => a - b)
}

function listed(messages: readonly ModelMessage[]): string[] {
  return messages.map((one) => {
    const state = one.state === 'ready' ? '' : ` ${one.state}`
    return `${one.id}${state}`
  })
}

function checkContent(seen: SeenMessage, message: ModelMessage, what: string): void {
  const expected = {
    exchange: message.exchange,
    key: message.key,
    cc: message.cc,
    expiration: message.expirationMs === null ? null : String(message.expirationMs),
    deaths: message.deaths,
    bytes: message.bytes,
    isPersistent: message.isPersistent,
  }
  const { exchange, key, cc, expiration, deaths, bytes, isPersistent } = seen
  assert.deepEqual({ exchange, key, cc, expiration, deaths, bytes, isPersistent }, expected, what)
  const first = message.deaths.length === 0 ? null : seen.firstDeath
  assert.equal(first === null, message.deaths.length === 0, `${what}: x-first-death`)
}
