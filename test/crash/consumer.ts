/**
 * Consumes from all queues for as long as it is told to, over as many connections as it takes: acknowledges singly and
 * in groups, gives some messages back, holds some for a while. Every delivery is in its history before it is answered.
 *
 * Markers tell what is on disk: a persistent message is published, and when it is confirmed another. Once the second is
 * confirmed too, all acks sent before the first have been stored.
 */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Address, Arrival, RawClient } from '../support/amqp/raw-client.ts'
import type { Dice } from './dice.ts'
import { type History, sharedNow } from './history.ts'
import { isFarewell, nextOrEnd, reconnect } from './reconnect.ts'
import { markerExchange, queues } from './stage.ts'
import type { Task } from './worker.ts'

const prefetchCount = 100
/** Queues are drained when they have been empty at so many looks in a row: what a lost connection held comes back in its own time. */
const emptyLooksWanted = 4
/** Between two of them, in milliseconds. */
const emptyLookMs = 500

interface Marker {
  readonly sent: number
  /** How many acks had been sent when the marker before this one was. */
  readonly acksBefore: number
}

export class Consumer {
  readonly #name: string
  readonly #history: History
  readonly #dice: Dice
  readonly #isDraining: boolean
  readonly #isTolerant: boolean
  #sessions = 0
  #session = ''
  #acks = 0
  #marker: Marker = { sent: 0, acksBefore: 0 }
  #acksAtMarker = 0
  #isMarkerDue = false
  /** Tags delivered and not yet answered. */
  #held = new Set<number>()
  #isStopping = false
  #client: RawClient | null = null

  /** A draining consumer only acknowledges, and ends when all queues are empty. */
  constructor(name: string, history: History, dice: Dice, { role, isTolerant }: Pick<Task, 'role' | 'isTolerant'>) {
    this.#name = name
    this.#history = history
    this.#dice = dice
    this.#isDraining = role === 'drain'
    this.#isTolerant = isTolerant
  }

  stop(): void {
    this.#isStopping = true
    // Nothing may come any more: end the wait. What is unanswered goes back.
    this.#client?.destroy()
  }

  async run(addresses: readonly Address[]): Promise<void> {
    while (!this.#isStopping) {
      const client = await reconnect(this.#dice.pick(addresses))
      if (client === null) continue
      this.#client = client
      this.#begin()
      const isDone = await this.#consumeOver(client)
      client.destroy()
      this.#history.sync()
      if (isDone) return
    }
  }

  #begin(): void {
    this.#sessions += 1
    this.#session = `${this.#name}.${this.#sessions}`
    this.#held = new Set()
    this.#acks = 0
    this.#acksAtMarker = 0
    this.#marker = { sent: 0, acksBefore: 0 }
    this.#history.write('session', { session: this.#session, at: sharedNow() })
  }

  /** True when a drain is over, false when the connection has ended. */
  async #consumeOver(client: RawClient): Promise<boolean> {
    client.send(1, 'confirm.select')
    client.send(1, 'basic.qos', { prefetchCount })
    for (const queue of queues) client.send(1, 'basic.consume', { queue, consumerTag: queue })
    if (this.#isDraining) client.send(2, 'channel.open')
    this.#sendMarker(client)
    const endsAfter = this.#dice.chance(0.3) ? this.#dice.between(1, 200) : Number.POSITIVE_INFINITY
    let emptyLooks = 0
    for (let batch = 0; batch < endsAfter || this.#isDraining; batch += 1) {
      const first = await nextOrEnd(client, this.#isTolerant)
      const arrived = [first, ...client.takeWaiting(1)]
      if (this.#take(client, arrived)) return false
      if (!this.#isDraining) continue
      emptyLooks = (await isEmpty(client, this.#held.size, arrived)) ? emptyLooks + 1 : 0
      if (emptyLooks === emptyLooksWanted) return true
      // The answer to the next marker brings the next look.
      if (emptyLooks > 0) await pause(emptyLookMs)
    }
    return false
  }

  /** True when the connection has ended. What arrived before is noted all the same. */
  #take(client: RawClient, arrived: readonly Arrival[]): boolean {
    const fresh: number[] = []
    for (const one of arrived) {
      if (one.name === 'basic.deliver') fresh.push(this.#delivered(one))
      else if (one.name === 'basic.ack') this.#marked()
      else if (one.name === 'basic.nack' && this.#isTolerant) this.#notMarked()
      else if (one.name === 'end' || (this.#isTolerant && isFarewell(one))) return true
      else if (!one.name.endsWith('-ok')) throw new Error(`${this.#name} got ${one.name} ${JSON.stringify(one.args)}`)
    }
    this.#history.sync()
    this.#answer(client, fresh)
    if (this.#isMarkerDue && (this.#isDraining || this.#acks > this.#acksAtMarker)) this.#sendMarker(client)
    return false
  }

  #delivered(one: Arrival): number {
    const [publisher = '', seq, attempt] = String(one.properties['messageId']).split('/')
    const tag = Number(one.args['deliveryTag'])
    this.#history.write('delivered', {
      session: this.#session,
      queue: one.args['consumerTag'],
      publisher,
      seq: Number(seq),
      attempt: Number(attempt),
      sha256: createHash('sha256').update(one.body).digest('base64'),
      redelivered: one.args['redelivered'],
      tag,
      at: sharedNow(),
    })
    this.#held.add(tag)
    return tag
  }

  #answer(client: RawClient, fresh: readonly number[]): void {
    const last = fresh.at(-1)
    if (last === undefined) return
    if (this.#isDraining || this.#dice.chance(0.3)) {
      client.send(1, 'basic.ack', { deliveryTag: last, multiple: true })
      for (const tag of [...this.#held].sort((a, b) => a - b)) this.#acked(tag)
      return
    }
    for (const tag of this.#held) {
      if (tag !== last && this.#dice.chance(0.1)) continue
      if (this.#dice.chance(0.04)) {
        client.send(1, 'basic.nack', { deliveryTag: tag, requeue: true })
        this.#history.write('requeued', { session: this.#session, tag })
        this.#held.delete(tag)
      } else {
        client.send(1, 'basic.ack', { deliveryTag: tag })
        this.#acked(tag)
      }
    }
  }

  #acked(tag: number): void {
    this.#history.write('acked', { session: this.#session, tag })
    this.#held.delete(tag)
    this.#acks += 1
  }

  #sendMarker(client: RawClient): void {
    this.#isMarkerDue = false
    this.#marker = { sent: sharedNow(), acksBefore: this.#acksAtMarker }
    this.#acksAtMarker = this.#acks
    client.publish(1, { exchange: markerExchange, routingKey: '', body: 'marker', properties: { deliveryMode: 2 } })
  }

  #marked(): void {
    const { sent, acksBefore } = this.#marker
    this.#history.write('synced', { session: this.#session, sent, acks: acksBefore, at: sharedNow() })
    this.#isMarkerDue = true
  }

  /** A shard of the marker's queues has failed: what was acked before it is on disk when two later ones are. */
  #notMarked(): void {
    this.#acksAtMarker = this.#marker.acksBefore
    this.#isMarkerDue = true
  }
}

/** Whether a drain is over: nothing held, nothing ready, and no delivery in what has just come. */
async function isEmpty(client: RawClient, held: number, arrived: readonly Arrival[]): Promise<boolean> {
  if (held > 0 || arrived.some((one) => one.name === 'basic.deliver')) return false
  for (const queue of queues) {
    client.send(2, 'queue.declare', { queue, passive: true })
    let answer = await client.next(2)
    if (answer.name === 'channel.open-ok') answer = await client.next(2)
    if (answer.args['messageCount'] !== 0) return false
  }
  return client.waiting(1).every((name) => name !== 'basic.deliver')
}
