import { assert } from '../base/assert.ts'
import type { ByteWriter } from './byte-writer.ts'
import { writeUint16, writeUint32 } from './byte-writer.ts'
import { FrameTypes, frameEndOctet, frameHeaderBytes, frameOverheadBytes } from './frame-decoder.ts'
import { encodeMethod, type Method } from './methods.generated.ts'

/**
 * Writes whole frames (AMQP 0-9-1 §4.2.3) into a growing writer. It knows nothing of what the peer accepts: whoever
 * calls it says how large a frame may be.
 */

/** What a client sends first (AMQP 0-9-1 §4.2.2), and what a server answers to anything else. */
export const protocolHeader: Uint8Array = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1)
/** The header of AMQP 0-9, which clients send that speak 0-9-1 as well. */
export const protocolHeader09: Uint8Array = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 1, 1, 0, 9)

/** A heartbeat, ready to send. */
export const heartbeatFrame: Uint8Array = Uint8Array.of(FrameTypes.Heartbeat, 0, 0, 0, 0, 0, 0, frameEndOctet)

export function encodeHeartbeat(writer: ByteWriter): void {
  writer.bytes(heartbeatFrame)
}

/** Begins a frame whose payload is written next; give what is returned to `endFrame`. */
export function beginFrame(writer: ByteWriter, type: number, channel: number): number {
  const start = writer.reserve(frameHeaderBytes)
  writer.buffer[start] = type
  writeUint16(writer.buffer, start + 1, channel)
  return start
}

/** Fills in the size and ends the frame. */
export function endFrame(writer: ByteWriter, start: number): void {
  writer.patchUint32(start + 3, writer.length - start - frameHeaderBytes)
  writer.uint8(frameEndOctet)
}

export function encodeMethodFrame(writer: ByteWriter, channel: number, method: Method): void {
  const start = beginFrame(writer, FrameTypes.Method, channel)
  encodeMethod(writer, method)
  endFrame(writer, start)
}

/** A content-header frame around the header payload `buffer[start..end)`. */
export function encodeHeaderFrame(
  writer: ByteWriter,
  channel: number,
  buffer: Uint8Array,
  start: number,
  end: number,
): void {
  encodeFrame(writer, FrameTypes.Header, channel, buffer, start, end)
}

/** Cuts the body `buffer[start..end)` into frames of at most `frameBytesMax`; an empty body is no frame at all. */
export function encodeBodyFrames(
  writer: ByteWriter,
  channel: number,
  frameBytesMax: number,
  buffer: Uint8Array,
  start = 0,
  end: number = buffer.length,
): void {
  const pieceBytesMax = frameBytesMax - frameOverheadBytes
  assert(pieceBytesMax > 0, 'a frame has room for a payload')
  for (let at = start; at < end; at += pieceBytesMax) {
    encodeFrame(writer, FrameTypes.Body, channel, buffer, at, Math.min(at + pieceBytesMax, end))
  }
}

function encodeFrame(
  writer: ByteWriter,
  type: number,
  channel: number,
  buffer: Uint8Array,
  start: number,
  end: number,
): void {
  const at = writer.reserve(frameHeaderBytes)
  writer.buffer[at] = type
  writeUint16(writer.buffer, at + 1, channel)
  writeUint32(writer.buffer, at + 3, end - start)
  writer.bytes(buffer, start, end)
  writer.uint8(frameEndOctet)
}
