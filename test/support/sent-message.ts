/** A message that the simulation publishes: its number says what every byte of it must be. */
import assert from 'node:assert/strict'
import { SeededRandom } from '../../src/base/random.ts'
import { Message } from '../../src/broker/message.ts'

const bodyBytesMax = 256 * 1024
const pattern = new SeededRandom(4711).bytes(bodyBytesMax + 4096)
const route = Buffer.from([2, 0x65, 0x78, 3, 0x6b, 0x65, 0x79])
const headerBytes = 12
/** Bytes before the header payload of a message in parts: its length, in network order. */
const lengthBytes = 4

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
    const before = form === 'frames' ? 0 : lengthBytes
    const bytes = Buffer.alloc(route.length + before + headerBytes + body.length)
    bytes.set(route)
    if (before > 0) bytes.writeUInt32BE(headerBytes, route.length)
    const headerAt = route.length + before
    bytes.writeUInt32LE(this.number, headerAt)
    bytes.writeUInt32LE(this.bodyBytes, headerAt + 4)
    bytes.writeUInt32LE(0xfeedbeef, headerAt + 8)
    bytes.set(body, headerAt + headerBytes)
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
    const { buffer, routeStart, routeEnd, contentStart, contentEnd } = message
    const what = `message ${this.number} (${this.form}, ${this.bodyBytes} bytes)`
    assert.ok(route.equals(buffer.subarray(routeStart, routeEnd)), `${what} has another route`)
    assert.equal(message.isFrames, this.form === 'frames', `${what} is in another form`)
    assert.equal(message.bodyBytes, this.bodyBytes, `${what} has another size`)
    assert.equal(
      message.chunks !== null,
      this.form === 'large',
      `${what} is ${message.chunks === null ? 'without' : 'with'} chunks`,
    )
    const headerEnd = contentStart + (this.form === 'frames' ? 0 : lengthBytes) + headerBytes
    const body = this.form === 'large' ? pattern.subarray(0, 0) : this.body
    assert.ok(areEqual(buffer, headerEnd, contentEnd, body), `${what} has another body`)
  }
}

/** The number of a message that was delivered. */
export function numberOf(message: Message): number {
  const { buffer, contentStart, contentEnd, isFrames } = message
  const at = contentStart + (isFrames ? 0 : lengthBytes)
  const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  assert.ok(
    at + headerBytes <= contentEnd && bytes.readUInt32LE(at + 8) === 0xfeedbeef,
    'what was delivered was never sent',
  )
  return bytes.readUInt32LE(at)
}

export function bodyOf(number: number, bytes: number): Uint8Array {
  const at = (number * 37) % 4096
  return pattern.subarray(at, at + bytes)
}

export function areEqual(buffer: Uint8Array, start: number, end: number, expected: Uint8Array): boolean {
  return end - start === expected.length && Buffer.compare(buffer.subarray(start, end), expected) === 0
}
