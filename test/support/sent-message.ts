/** A message that the simulation publishes: its number says what every byte of it must be. */
import assert from 'node:assert/strict'
import { ByteWriter } from '../../src/amqp/byte-writer.ts'
import { encodeContentHeader, flagsOf, messageIdOf, PropertyFlags } from '../../src/amqp/content-header.ts'
import { SeededRandom } from '../../src/base/random.ts'
import { Message } from '../../src/broker/message.ts'

const bodyBytesMax = 256 * 1024
const pattern = new SeededRandom(4711).bytes(bodyBytesMax + 4096)
const route = Buffer.from([2, 0x65, 0x78, 3, 0x6b, 0x65, 0x79])

export type Form = 'frames' | 'parts' | 'large'

export class SentMessage {
  readonly number: number
  readonly bodyBytes: number
  readonly form: Form
  readonly isPersistent: boolean

  constructor(number: number, bodyBytes: number, form: Form, isPersistent: boolean) {
    this.number = number
    this.bodyBytes = bodyBytes
    this.form = form
    this.isPersistent = isPersistent
  }

  /** The body, without a copy. */
  get body(): Uint8Array {
    return bodyOf(this.number, this.bodyBytes)
  }

  /** As the server would hand it to the shard; the body of a large one goes separately. */
  view(): Message {
    const { form } = this
    const body = form === 'large' ? pattern.subarray(0, 0) : this.body
    const header = headerOf(this.number, this.bodyBytes)
    const content = form === 'frames' ? [frame(2, header), frame(3, body)] : [uint32(header.length), header, body]
    const bytes = Buffer.concat([route, ...content])
    const message = new Message()
    message.buffer = bytes
    message.routeEnd = route.length
    message.contentStart = route.length
    message.contentEnd = bytes.length
    message.isFrames = form === 'frames'
    message.isPersistent = this.isPersistent
    message.bodyBytes = this.bodyBytes
    return message
  }

  /** Holds what was delivered against what was sent, but for the body of a large one. */
  check(message: Message): void {
    const { buffer, routeStart, routeEnd } = message
    const what = `message ${this.number} (${this.form}, ${this.bodyBytes} bytes)`
    assert.ok(route.equals(buffer.subarray(routeStart, routeEnd)), `${what} has another route`)
    const { headerStart, headerEnd, bodyStart, bodyEnd } = partsOf(message)
    // What came back before says so in its headers, and is in parts for it.
    const hasHeaders = (flagsOf(buffer, headerStart, headerEnd) & PropertyFlags.headers) !== 0
    assert.equal(message.isFrames, this.form === 'frames' && !hasHeaders, `${what} is in another form`)
    assert.equal(message.bodyBytes, this.bodyBytes, `${what} has another size`)
    assert.equal(
      message.chunks !== null,
      this.form === 'large',
      `${what} is ${message.chunks === null ? 'without' : 'with'} chunks`,
    )
    const body = this.form === 'large' ? pattern.subarray(0, 0) : this.body
    assert.ok(areEqual(buffer, bodyStart, bodyEnd, body), `${what} has another body`)
  }
}

/** The number of a message that was delivered. */
export function numberOf(message: Message): number {
  const { headerStart, headerEnd } = partsOf(message)
  const id = messageIdOf(message.buffer, headerStart, headerEnd)
  assert.match(id ?? 'none', /^feedbeef-\d+$/, 'what was delivered was never sent')
  return Number(id?.slice(9))
}

/** A content header with the number in its message id. */
function headerOf(number: number, bodyBytes: number): Uint8Array {
  const writer = new ByteWriter()
  encodeContentHeader(writer, bodyBytes, { messageId: `feedbeef-${number}` })
  return writer.buffer.subarray(0, writer.length)
}

function frame(type: number, payload: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from([type, 0, 1]), uint32(payload.length), payload, Buffer.from([0xce])])
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

interface Parts {
  readonly headerStart: number
  readonly headerEnd: number
  readonly bodyStart: number
  readonly bodyEnd: number
}

function partsOf({ buffer, contentStart, contentEnd, isFrames }: Message): Parts {
  const lengthAt = contentStart + (isFrames ? 3 : 0)
  const headerStart = lengthAt + 4
  const length = new DataView(buffer.buffer, buffer.byteOffset + lengthAt, 4).getUint32(0)
  const headerEnd = headerStart + length
  // The end octet of the header frame, then type, channel and length of the body frame.
  if (isFrames) return { headerStart, headerEnd, bodyStart: headerEnd + 8, bodyEnd: contentEnd - 1 }
  return { headerStart, headerEnd, bodyStart: headerEnd, bodyEnd: contentEnd }
}

export function bodyOf(number: number, bytes: number): Uint8Array {
  const at = (number * 37) % 4096
  return pattern.subarray(at, at + bytes)
}

export function areEqual(buffer: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  return end - start === expected.length && Buffer.compare(buffer.subarray(start, end), expected) === 0
}
