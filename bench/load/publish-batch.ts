import { FrameType, frameEndOctet, frameOverheadBytes, MethodId } from '../wire/method-ids.ts'
import { bodyBytesMin, fillerOffset, headBytes, headCheck, makePattern, timedBodyBytesMin } from './body.ts'
import { type MessageProperty, type PropertyPlace, placeOf, propertyValue, writeValue } from './message-property.ts'

export interface PublishBatchOptions {
  readonly channel: number
  readonly exchange: string
  readonly routingKey: string
  readonly isPersistent: boolean
  readonly bodyBytes: number
  readonly frameBytesMax: number
  /** Messages in the batch. */
  readonly count: number
  readonly source: number
  /** Slot of the first message; the others follow. */
  readonly firstSlot: number
  /** What each message carries besides; null: nothing. */
  readonly property: MessageProperty | null
}

/**
 * A row of publishes as the bytes that go on the socket, built once. Before each send only sequence, time and check
 * value are stamped into the bodies, and a property's value into the headers. All messages have the same length, so the first n of them are one view.
 */
export class PublishBatch {
  readonly messageBytes: number
  readonly count: number
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #bodyAt: number
  readonly #isTimed: boolean
  readonly #property: MessageProperty | null
  readonly #place: PropertyPlace | null
  readonly #valueAt: number

  constructor(options: PublishBatchOptions) {
    if (options.bodyBytes < bodyBytesMin) throw new Error(`a body has at least ${bodyBytesMin} bytes`)
    const pattern = makePattern(options.bodyBytes)
    this.#property = options.property
    this.#place = options.property === null ? null : placeOf(options.property)
    const publish = publishFrame(options)
    const envelope = Buffer.concat([publish, headerFrame(options, this.#place)])
    this.#valueAt = publish.length + (this.#place === null ? 0 : offsetInHeader(this.#place))
    const template = Buffer.concat([envelope, ...bodyFrames(options)])
    this.count = options.count
    this.messageBytes = template.length
    this.#bodyAt = envelope.length + frameOverheadBytes - 1
    this.#isTimed = options.bodyBytes >= timedBodyBytesMin
    this.#bytes = Buffer.alloc(template.length * options.count)
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length)
    for (let index = 0; index < options.count; index++) {
      const at = index * template.length
      template.copy(this.#bytes, at)
      this.#fill(at + this.#bodyAt, options, options.firstSlot + index, pattern)
    }
  }

  /** Makes message `index` the one with this sequence, sent at this time. */
  stamp(index: number, sequence: number, sentAt: number): void {
    const at = index * this.messageBytes + this.#bodyAt
    this.#view.setUint32(at, sequence)
    if (this.#isTimed) this.#view.setFloat64(at + 16, sentAt)
    this.#view.setUint32(at + 12, headCheck(this.#view, at, this.#isTimed))
    if (this.#property === null || this.#place === null) return
    const valueAt = index * this.messageBytes + this.#valueAt
    writeValue(this.#bytes, valueAt, this.#place, propertyValue(this.#property, sequence))
  }

  /** The first `count` messages. Belongs to the socket until it has taken all of it. */
  first(count: number): Uint8Array {
    return count === this.count ? this.#bytes : this.#bytes.subarray(0, count * this.messageBytes)
  }

  #fill(at: number, options: PublishBatchOptions, slot: number, pattern: Buffer): void {
    this.#view.setUint32(at + 4, options.source)
    this.#view.setUint32(at + 8, slot)
    const filler = pattern.subarray(fillerOffset(slot))
    const pieceBytes = options.frameBytesMax - frameOverheadBytes
    let offset = headBytes(options.bodyBytes)
    while (offset < options.bodyBytes) {
      const piece = Math.floor(offset / pieceBytes)
      const end = Math.min((piece + 1) * pieceBytes, options.bodyBytes)
      filler.copy(this.#bytes, at + offset + piece * frameOverheadBytes, offset, end)
      offset = end
    }
  }
}

function publishFrame(options: PublishBatchOptions): Buffer {
  const exchange = Buffer.from(options.exchange)
  const routingKey = Buffer.from(options.routingKey)
  const payload = Buffer.concat([
    u32(MethodId.BasicPublish),
    Buffer.of(0, 0, exchange.length),
    exchange,
    Buffer.of(routingKey.length),
    routingKey,
    Buffer.of(0),
  ])
  return frame(FrameType.Method, options.channel, payload)
}

const deliveryModeFlag = 0x1000

/** Class, weight, body size, flags, then the delivery mode and at most one more property (AMQP 0-9-1 §4.2.6.1). */
function headerFrame(options: PublishBatchOptions, place: PropertyPlace | null): Buffer {
  const flags = deliveryModeFlag | (place?.flags ?? 0)
  const payload = Buffer.concat([
    Buffer.of(0, 60, 0, 0),
    u32(0),
    u32(options.bodyBytes),
    Buffer.of(flags >>> 8, flags & 0xff),
    ...(place?.isHeaders === true ? [place.bytes] : []),
    Buffer.of(options.isPersistent ? 2 : 1),
    ...(place?.isHeaders === false ? [place.bytes] : []),
  ])
  return frame(FrameType.Header, options.channel, payload)
}

/** Where the value stands, from the start of the header frame: behind frame header, fixed part and perhaps delivery mode. */
function offsetInHeader({ isHeaders, valueAt }: PropertyPlace): number {
  return 7 + 14 + (isHeaders ? 0 : 1) + valueAt
}

function bodyFrames(options: PublishBatchOptions): Buffer[] {
  const frames: Buffer[] = []
  const pieceBytes = options.frameBytesMax - frameOverheadBytes
  for (let offset = 0; offset < options.bodyBytes; offset += pieceBytes) {
    const length = Math.min(pieceBytes, options.bodyBytes - offset)
    frames.push(frame(FrameType.Body, options.channel, Buffer.alloc(length)))
  }
  return frames
}

function frame(type: number, channel: number, payload: Buffer): Buffer {
  const head = Buffer.concat([Buffer.of(type, channel >>> 8, channel & 0xff), u32(payload.length)])
  return Buffer.concat([head, payload, Buffer.of(frameEndOctet)])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
