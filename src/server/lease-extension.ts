import type { FieldValue } from '../amqp/field-table.ts'
import { HeaderBits } from '../amqp/known-headers.ts'
import type { Task } from '../base/run-queue.ts'
import { delayMsMax } from '../broker/message-traits.ts'
import { typeName, wholeNumber } from '../broker/topology/field-values.ts'
import type { Channel } from './channel.ts'
import { invalid } from './due-time.ts'
import type { Holder } from './holders.ts'
import type { PublishRequest } from './publish-request.ts'

/** What is published to the default exchange with this key goes nowhere: it says that the publisher is still at work. */
export const leaseKey = 'amq.warren.lease'

const leaseKeyBytes = new TextEncoder().encode(leaseKey)

/**
 * Whether the arguments of a `basic.publish` are those of a lease extension: it stores nothing, so no alarm holds it up,
 * nor the acknowledgements behind it.
 */
export function isLeasePublish(buffer: Uint8Array, start: number, end: number): boolean {
  // Ticket, the default exchange (an empty short string), the key as a short string, flags.
  const keyAt = start + 4
  if (end - keyAt !== leaseKeyBytes.length + 1 || buffer[start + 2] !== 0) return false
  if (buffer[start + 3] !== leaseKeyBytes.length) return false
  return leaseKeyBytes.every((byte, index) => buffer[keyAt + index] === byte)
}

/**
 * Longer leases for deliveries of a channel, asked for by a publish that any client can make: its header
 * `x-delivery-tag` names the delivery (0: all unsettled ones of the channel), its header `x-lease` says for how long from
 * now, in milliseconds up to ten years; without it for as long as the consumer, else the queue, gives anybody.
 *
 * It needs the right to write to the default exchange, takes effect at once even in a transaction, and is confirmed like
 * any publish. A tag that is not outstanding on the channel is no error, because it may have been settled a moment ago: who
 * wants to know of it publishes with `mandatory` and gets the message returned (NO_ROUTE). A delivery whose lease has ended
 * is outstanding until the client settles it; asking for more time has no effect then, and nobody is told. 406 for headers
 * that are missing or make no sense.
 */
export class LeaseExtension implements Task {
  readonly #channel: Channel
  /** For all deliveries up to a tag, one job after the other. */
  readonly #jobs: Job[] = []

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** Whether there was anything to extend. */
  extend(request: PublishRequest): boolean {
    const tag = deliveryTagOf(request.header(HeaderBits['x-delivery-tag']))
    const ms = leaseMsOf(request.header(HeaderBits['x-lease']))
    const { unacked } = this.#channel
    if (tag === 0) return this.#extendAll({ nextTag: 1, lastTag: unacked.lastTag, ms })
    if (!unacked.has(tag)) return false
    unacked.show(tag, 1, (holder, sequence) => this.#extend(holder, sequence, ms))
    return true
  }

  close(): void {
    this.#jobs.length = 0
    this.#channel.connection.runQueue.remove(this)
  }

  /** What is little is done at once. */
  #extendAll(job: Job): boolean {
    if (job.lastTag === 0) return false
    if (this.#jobs.length >= jobsMax) return true
    this.#jobs.push(job)
    let looks = 0
    if (this.#jobs.length === 1 && this.run(() => ++looks > looksAtOnce)) this.#channel.connection.runQueue.add(this)
    return true
  }

  run(shouldYield: () => boolean): boolean {
    let hasMore = false
    this.#channel.contain(() => {
      hasMore = this.#slice(shouldYield)
    })
    return hasMore
  }

  #slice(shouldYield: () => boolean): boolean {
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const { lastTag, ms } = job
      while (job.nextTag > 0 && job.nextTag <= lastTag) {
        job.nextTag = this.#channel.unacked.show(job.nextTag, deliveriesPerLook, (holder, sequence, tag) => {
          if (tag <= lastTag) this.#extend(holder, sequence, ms)
        })
        if (shouldYield()) return true
      }
      this.#jobs.shift()
    }
    return false
  }

  #extend({ queue, consumer }: Holder, sequence: number, ms: number | null): void {
    const granted = ms ?? consumer?.timeoutMs ?? queue.definition.settings.consumerTimeoutMs
    if (granted !== null) this.#channel.vhost.extendLease(queue, consumer, sequence, granted)
  }
}

const deliveriesPerLook = 256
/** What needs no more looks than this is done at once. */
const looksAtOnce = 8
/** Requests for all deliveries that wait. A further one changes nothing: those before it are not done. */
const jobsMax = 4

interface Job {
  nextTag: number
  readonly lastTag: number
  readonly ms: number | null
}

function deliveryTagOf(field: FieldValue | null): number {
  if (field === null) throw invalid('x-delivery-tag', 'it is missing')
  return numberOf('x-delivery-tag', field, 0, Number.MAX_SAFE_INTEGER)
}

function leaseMsOf(field: FieldValue | null): number | null {
  return field === null ? null : numberOf('x-lease', field, 1, delayMsMax)
}

function numberOf(name: string, field: FieldValue, min: number, max: number): number {
  const value = wholeNumber(field)
  if (value === null) throw invalid(name, `{unacceptable_type,${typeName(field.tag)}}`)
  if (value < min || value > max) throw invalid(name, `${value}, from ${min} to ${max} is possible`)
  return Number(value)
}
