import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import { decodeShortString } from '../amqp/short-string.ts'
import type { Route } from '../broker/commands.ts'
import { reservedPrefix } from '../broker/topology/names.ts'
import { directReplyPrefix } from './direct-replies.ts'
import { leaseKey } from './lease-extension.ts'

/** What one form of `basic.publish` means, and where it goes as long as `route` holds. */
export interface PublishTarget {
  readonly exchange: string
  readonly routingKey: string
  readonly isMandatory: boolean
  readonly isImmediate: boolean
  /** Keys of CC and BCC, which route as well. */
  readonly moreKeys: readonly string[]
  /** Those of its keys that are names of direct replies; empty for any exchange but the default one. */
  readonly replyNames: readonly string[]
  /** It is no message: it extends leases (`lease-extension.ts`). */
  readonly isLease: boolean
  /** Nothing but a route to queues. */
  readonly isUsual: boolean
  /** Filled by `vhost.resolve`; holds while its version is the vhost's. */
  readonly route: Route
}

/** `basic.publish` without class and method: ticket, two short strings, flags; in bytes. */
export const publishBytesMin = 2 + 1 + 1 + 1
export const publishBytesMax = 2 + 256 + 256 + 1

/** Where the two short strings begin, behind the ticket. */
export const routeOffset = 2

/**
 * Recognises `basic.publish` methods by their bytes, so that a publisher that says the same again costs a comparison
 * instead of two strings and a look-up. A few forms are remembered per channel, each at
 * the place its bytes hash to; a form that is not there takes the place. The last one used is tried first.
 */
export class RouteCache {
  readonly #slots: (Slot | null)[] = new Array<Slot | null>(slotCount).fill(null)
  #last: Slot = new Slot()

  /** The target for the arguments `buffer[start..end)`. Throws `ProtocolError` when they are malformed. */
  find(buffer: Uint8Array, start: number, end: number): PublishTarget {
    const last = this.#last
    if (last.length === end - start && isSame(last.bytes, buffer, start, end)) return last
    const index = slotIndex(buffer, start, end)
    const slot = this.#slots[index] ?? new Slot()
    this.#slots[index] = slot
    this.#last = slot
    if (slot.length !== end - start || !isSame(slot.bytes, buffer, start, end)) slot.fill(buffer, start, end)
    return slot
  }
}

const slotCount = 16

class Slot implements PublishTarget {
  exchange = ''
  routingKey = ''
  isMandatory = false
  isImmediate = false
  readonly moreKeys = none
  replyNames = none
  isLease = false
  isUsual = true
  /** The method's arguments, as they came. */
  bytes = new Uint8Array(32)
  /** -1 while it holds nothing. */
  length = -1
  readonly route = emptyRoute()

  fill(buffer: Uint8Array, start: number, end: number): void {
    this.length = -1
    this.route.version = -1
    this.route.isCacheable = false
    this.route.count = 0
    const keyAt = start + routeOffset + 1 + (buffer[start + routeOffset] ?? 0)
    const flagsAt = keyAt + 1 + (buffer[keyAt] ?? 0)
    if (end - start < publishBytesMin || keyAt >= end || flagsAt !== end - 1) {
      throw new ProtocolError(ReplyCodes.FrameError, 'basic.publish with arguments cut short', Methods.BasicPublish)
    }
    this.exchange = decodeShortString(buffer, start + routeOffset + 1, keyAt)
    this.routingKey = decodeShortString(buffer, keyAt + 1, flagsAt)
    const flags = buffer[flagsAt] as number
    this.isMandatory = (flags & 1) !== 0
    this.isImmediate = (flags & 2) !== 0
    const isSpecial = this.exchange === '' && this.routingKey.startsWith(reservedPrefix)
    this.replyNames = isSpecial ? replyNamesOf('', [this.routingKey]) : none
    this.isLease = isSpecial && this.routingKey === leaseKey
    this.isUsual = !this.isImmediate && !this.isLease && this.replyNames.length === 0
    if (this.bytes.length < end - start) this.bytes = new Uint8Array(publishBytesMax)
    this.bytes.set(buffer.subarray(start, end))
    this.length = end - start
  }
}

/** Where one message goes that has keys in CC or BCC: resolved for it alone. */
export class ManyKeysTarget implements PublishTarget {
  readonly exchange: string
  readonly routingKey: string
  readonly isMandatory: boolean
  readonly isImmediate = false
  readonly moreKeys: readonly string[]
  readonly replyNames: readonly string[]
  readonly isLease: boolean
  readonly isUsual = false
  readonly route = emptyRoute()

  constructor(first: PublishTarget, moreKeys: readonly string[]) {
    this.exchange = first.exchange
    this.routingKey = first.routingKey
    this.isMandatory = first.isMandatory
    this.moreKeys = moreKeys
    this.replyNames = replyNamesOf(first.exchange, [first.routingKey, ...moreKeys])
    this.isLease = first.isLease
  }
}

function emptyRoute(): Route {
  return { queues: [], count: 0, hasDurable: false, version: -1, isCacheable: false, exchangeCounts: null }
}

/** Each name once. */
function replyNamesOf(exchange: string, keys: readonly string[]): readonly string[] {
  if (exchange !== '' || !keys.some((key) => key.startsWith(directReplyPrefix))) return none
  return [...new Set(keys.filter((key) => key.startsWith(directReplyPrefix)))]
}

const none: readonly string[] = []

/** Compares from the end, because keys differ there. */
function isSame(bytes: Uint8Array, buffer: Uint8Array, start: number, end: number): boolean {
  for (let at = end - 1, own = end - 1 - start; at >= start; at--, own--) {
    if (bytes[own] !== buffer[at]) return false
  }
  return true
}

/** Of the length and the last bytes of the routing key. */
function slotIndex(buffer: Uint8Array, start: number, end: number): number {
  let hash = end - start
  for (let at = Math.max(start, end - 9); at < end; at++) hash = Math.imul(hash ^ (buffer[at] as number), 0x01000193)
  return (hash ^ (hash >>> 15)) & (slotCount - 1)
}
