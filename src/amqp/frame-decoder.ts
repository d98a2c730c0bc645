import { assert } from '../base/assert.ts'
import { readUint16, readUint32 } from './byte-reader.ts'
import { ProtocolError, ReplyCodes } from './reply-codes.ts'

/**
 * Finds frames in bytes (AMQP 0-9-1 §4.2.3). It allocates nothing and copies nothing: it is a scanner over a region
 * that the caller owns.
 *
 *     0      1         3             7                 7+size
 *     +------+---------+-------------+  +------------+ +------+
 *     | type | channel |    size     |  |  payload   | | 0xCE |
 *     +------+---------+-------------+  +------------+ +------+
 *     frameStart                        payloadStart   payloadEnd
 *                                                             frameEnd
 *
 * Invariant: regionStart ≤ frameStart ≤ frameEnd ≤ regionEnd, and everything before `frameStart` has been seen.
 */

export const FrameTypes = { Method: 1, Header: 2, Body: 3, Heartbeat: 8 } as const

/** Type, channel and size before the payload, in bytes. */
export const frameHeaderBytes = 7
/** What a frame is longer than its payload, in bytes. */
export const frameOverheadBytes = 8
export const frameEndOctet = 0xce

/** No peer may be asked for smaller frames than this (AMQP 0-9-1 §4.2.3), in bytes. */
export const frameBytesMin = 4096
/** Until both sides have agreed on a size, in bytes: RabbitMQ's figure, so that large tokens fit in a login. */
export const frameBytesMaxInitial = 8192

export class FrameDecoder {
  /**
   * The largest frame in bytes, as negotiated. A payload may be as long as the whole frame should be: clients get the
   * eight bytes around it wrong, and RabbitMQ forgives them.
   */
  frameBytesMax: number

  // All below are for others to read only.
  buffer: Uint8Array = empty
  type = 0
  channel = 0
  payloadStart = 0
  payloadEnd = 0
  /** After `next` has returned false: where the unfinished frame begins; the end of the region if there is none. */
  frameStart = 0
  frameEnd = 0
  /** After `next` has returned false: the size of the whole unfinished frame, 0 while its header is not complete. */
  wholeBytes = 0
  #regionEnd = 0

  constructor(frameBytesMax: number = frameBytesMaxInitial) {
    this.frameBytesMax = frameBytesMax
  }

  /** Begins with another region: `buffer[start..end)`. A frame begins at `start`. */
  reset(buffer: Uint8Array, start: number, end: number): void {
    assert(start >= 0 && start <= end && end <= buffer.length, 'the region lies within the buffer')
    this.buffer = buffer
    this.frameStart = start
    this.frameEnd = start
    this.wholeBytes = 0
    this.#regionEnd = end
  }

  /** How many bytes of the unfinished frame are there. */
  get partialBytes(): number {
    return this.#regionEnd - this.frameStart
  }

  /**
   * Goes to the next frame; false when the region ends before the frame does. Throws `ProtocolError` as soon as the
   * header shows that the frame is too large or of no known type, and for a wrong frame end. Use nothing afterwards.
   */
  next(): boolean {
    const buffer = this.buffer
    const start = this.frameEnd
    const available = this.#regionEnd - start
    this.frameStart = start
    this.wholeBytes = 0
    if (available < frameHeaderBytes) return false
    const size = readUint32(buffer, start + 3)
    if (size > this.frameBytesMax) throw tooLarge(size, this.frameBytesMax)
    const type = buffer[start] as number
    const channel = readUint16(buffer, start + 1)
    if (type !== FrameTypes.Body && type !== FrameTypes.Header && type !== FrameTypes.Method) {
      checkHeartbeat(type, channel, size)
    }
    this.wholeBytes = size + frameOverheadBytes
    if (available < size + frameOverheadBytes) return false
    const payloadEnd = start + frameHeaderBytes + size
    if (buffer[payloadEnd] !== frameEndOctet) throw wrongEnd(buffer[payloadEnd] as number)
    this.type = type
    this.channel = channel
    this.payloadStart = start + frameHeaderBytes
    this.payloadEnd = payloadEnd
    this.frameEnd = payloadEnd + 1
    return true
  }
}

const empty = new Uint8Array(0)

/** AMQP 0-9-1 §4.2.7: no payload, channel 0. */
function checkHeartbeat(type: number, channel: number, size: number): void {
  if (type !== FrameTypes.Heartbeat) throw new ProtocolError(ReplyCodes.FrameError, `unknown frame type ${type}`)
  if (size !== 0) throw new ProtocolError(ReplyCodes.FrameError, `a heartbeat with a payload of ${size} bytes`)
  if (channel !== 0) throw new ProtocolError(ReplyCodes.UnexpectedFrame, `a heartbeat on channel ${channel}`)
}

function tooLarge(size: number, frameBytesMax: number): ProtocolError {
  const limit = frameBytesMax - frameOverheadBytes
  return new ProtocolError(ReplyCodes.FrameError, `a frame payload of ${size} bytes, at most ${limit} were agreed`)
}

function wrongEnd(octet: number): ProtocolError {
  return new ProtocolError(ReplyCodes.FrameError, `a frame ends with octet ${octet} instead of ${frameEndOctet}`)
}
