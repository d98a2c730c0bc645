import { Histogram } from '../../base/histogram.ts'
import type { QueueType } from '../topology/queue-arguments.ts'
import type { Recent } from './recent.ts'

/**
 * What has happened to messages in one place (a queue, a channel, a vhost) since it came to be, or this node knows it.
 * Plain numbers, counted where it happens; whoever wants rates looks at them again later. Nothing of it is stored.
 */
export class MessageCounts {
  publish = 0
  confirm = 0
  /** Mandatory, and no queue was there for it: it went back. */
  returnUnroutable = 0
  /** No queue was there for it, and nobody had asked to hear of that. */
  dropUnroutable = 0
  deliver = 0
  /** To consumers that need not acknowledge. */
  deliverNoAck = 0
  get = 0
  getNoAck = 0
  getEmpty = 0
  ack = 0
  /** Of all deliveries, those that were not the first of their message. */
  redeliver = 0
  /** The sampler's. */
  recent: Recent | null = null

  delivered(isNoAck: boolean, isRedelivered: boolean): void {
    if (isNoAck) this.deliverNoAck++
    else this.deliver++
    if (isRedelivered) this.redeliver++
  }

  got(isNoAck: boolean, isRedelivered: boolean): void {
    if (isNoAck) this.getNoAck++
    else this.get++
    if (isRedelivered) this.redeliver++
  }

  add(other: MessageCounts): void {
    for (const name of messageCountNames) this[name] += other[name]
  }

  subtract(other: MessageCounts): void {
    for (const name of messageCountNames) this[name] -= other[name]
  }
}

/** Of a vhost, or of several. */
export class VhostCounts extends MessageCounts {
  /** Bodies of what was put into queues, in bytes; the bounds are RabbitMQ's. */
  readonly sizes = new Histogram([1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 5e7, 1e8])

  /** Of what was counted, the part of queues that are gone, by type; the rest is classic. */
  readonly former = { quorum: new MessageCounts(), stream: new MessageCounts() }

  /** A queue goes; what was counted for it stays. */
  queueGone(type: QueueType, counts: MessageCounts | null): void {
    if (counts !== null && type !== 'classic') this.former[type].add(counts)
  }

  addVhost(other: VhostCounts): void {
    this.add(other)
    this.former.quorum.add(other.former.quorum)
    this.former.stream.add(other.former.stream)
    this.sizes.add(other.sizes)
  }
}

export const messageCountNames = [
  'publish',
  'confirm',
  'returnUnroutable',
  'dropUnroutable',
  'deliver',
  'deliverNoAck',
  'get',
  'getNoAck',
  'getEmpty',
  'ack',
  'redeliver',
] as const satisfies readonly (keyof MessageCounts)[]
export type MessageCountName = (typeof messageCountNames)[number]

/** Of a queue: made with the first thing that happens, since most of very many queues are quiet. */
export function countsOf(place: { counts: MessageCounts | null }): MessageCounts {
  place.counts ??= new MessageCounts()
  return place.counts
}

/** Messages that were published to an exchange, and how often they were put into queues from there. */
export class ExchangeCounts {
  publishIn = 0
  publishOut = 0
  recent: Recent | null = null
}
