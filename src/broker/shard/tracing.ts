import { flagsOf, headersStart, PropertyFlags } from '../../amqp/content-header.ts'
import { decodeFieldValue } from '../../amqp/field-table.ts'
import { findHeader } from '../../amqp/known-headers.ts'
import { decodeShortString } from '../../amqp/short-string.ts'
import type { Message } from '../message.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { type Residence, type ResidenceListener, Residences } from '../queue/residences.ts'

const traceParent = new TextEncoder().encode('traceparent')

/** Follows messages whose publisher traces them through the queues. There is one only where that is asked for. */
export class Tracing {
  readonly #listener: ResidenceListener

  constructor(listener: ResidenceListener) {
    this.#listener = listener
  }

  /** Before the entry is there: it may be delivered as soon as it is. */
  enters(queue: LocalQueue, sequence: number, message: Message): void {
    const parent = sampledParentOf(message)
    if (parent === null || !this.#listener.began()) return
    queue.residences ??= new Residences(this.#listener)
    queue.residences.add(sequence, this.#residence(queue, message, parent))
  }

  /** It went straight to a consumer that need not acknowledge. */
  passed(queue: LocalQueue, message: Message): void {
    const parent = sampledParentOf(message)
    if (parent === null || !this.#listener.began()) return
    const residence = this.#residence(queue, message, parent)
    residence.deliveries = 1
    residence.deliveredAt = residence.enteredAt
    this.#listener.ended(residence, 'acknowledged')
  }

  #residence({ definition }: LocalQueue, message: Message, parent: TraceParent): Residence {
    return {
      ...parent,
      queue: definition.name,
      vhost: definition.vhost,
      routingKey: routingKeyOf(message),
      bodyBytes: message.bodyBytes,
      enteredAt: this.#listener.now(),
      deliveredAt: 0,
      deliveries: 0,
      death: null,
      isDeadLetter: false,
    }
  }
}

type TraceParent = Pick<Residence, 'traceId' | 'parentId'>

/** W3C Trace Context, whose last bit says that the trace is recorded. Null when it is not, or there is none. */
function sampledParentOf(message: Message): TraceParent | null {
  const { buffer, contentStart, isFrames } = message
  // Frame: type, channel, length. Parts: length. Then the header payload in both.
  const lengthAt = isFrames ? contentStart + 3 : contentStart
  const start = lengthAt + 4
  const end = start + uint32At(buffer, lengthAt)
  if ((flagsOf(buffer, start, end) & PropertyFlags.headers) === 0) return null
  const tableStart = headersStart(buffer, start, end)
  const table = { start: tableStart, end: tableStart + uint32At(buffer, tableStart - 4) }
  const at = findHeader(buffer, table, traceParent)
  const field = at < 0 ? null : decodeFieldValue(buffer, at)
  return field?.tag === 'S' ? readTraceParent(field.value) : null
}

/** Null when it is malformed, or says that the trace is not recorded. */
export function readTraceParent(text: string): TraceParent | null {
  const [, version, traceId = '', parentId = '', flags = ''] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/.exec(text) ?? []
  const isValid = version !== undefined && version !== 'ff' && !/^0+$/.test(traceId) && !/^0+$/.test(parentId)
  return isValid && (Number.parseInt(flags, 16) & 1) === 1 ? { traceId, parentId } : null
}

/** `[exchange][routing key]`, both short strings. */
function routingKeyOf({ buffer, routeStart }: Message): string {
  const keyAt = routeStart + 1 + (buffer[routeStart] as number)
  return decodeShortString(buffer, keyAt + 1, keyAt + 1 + (buffer[keyAt] as number))
}

function uint32At(buffer: Uint8Array, at: number): number {
  return new DataView(buffer.buffer, buffer.byteOffset + at, 4).getUint32(0)
}
