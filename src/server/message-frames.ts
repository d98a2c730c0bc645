import { readUint32 } from '../amqp/byte-reader.ts'
import { writeUint16, writeUint32, writeUint64 } from '../amqp/byte-writer.ts'
import { FrameTypes, frameEndOctet, frameHeaderBytes, frameOverheadBytes } from '../amqp/frame-decoder.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { copyBytes } from '../base/arena.ts'
import type { Message } from '../broker/message.ts'
import type { Output } from './output.ts'

/**
 * Messages as frames on their way out: `basic.get-ok` and `basic.return` with their content, and the content of
 * deliveries. The method of a delivery is `consumer-sink.ts`'s.
 */

/** Writes header and body of a message: the frames it came in with another channel number, or new ones. */
export function writeContent(output: Output, channelId: number, message: Message): void {
  if (message.isFrames) {
    const bytes = message.contentEnd - message.contentStart
    const at = output.reserve(bytes)
    copyFrames(message, output.buffer, at, channelId)
    return
  }
  const { buffer, contentStart, contentEnd, chunks } = message
  const headerBytes = readUint32(buffer, contentStart)
  const bodyStart = contentStart + 4 + headerBytes
  const at = output.reserve(headerBytes + frameOverheadBytes)
  const to = output.buffer
  to[at] = FrameTypes.Header
  writeUint16(to, at + 1, channelId)
  writeUint32(to, at + 3, headerBytes)
  copyBytes(buffer, contentStart + 4, bodyStart, to, at + frameHeaderBytes)
  to[at + frameHeaderBytes + headerBytes] = frameEndOctet
  if (chunks === null) output.body(channelId, buffer, bodyStart, contentEnd)
  else output.largeBody(channelId, chunks)
}

/** Copies `[header frame][body frame]` as a whole and puts the channel into both. */
export function copyFrames(message: Message, to: Uint8Array, at: number, channelId: number): void {
  const { buffer, contentStart, contentEnd } = message
  copyBytes(buffer, contentStart, contentEnd, to, at)
  to[at + 1] = channelId >>> 8
  to[at + 2] = channelId
  const bodyAt = at + readUint32(buffer, contentStart + 3) + frameOverheadBytes
  if (bodyAt - at >= contentEnd - contentStart) return
  to[bodyAt + 1] = channelId >>> 8
  to[bodyAt + 2] = channelId
}

/** `basic.get-ok` with its message. */
export function writeGetOk(
  output: Output,
  channelId: number,
  message: Message,
  fields: { deliveryTag: number; isRedelivered: boolean; readyLeft: number },
): void {
  const routeBytes = message.routeEnd - message.routeStart
  const at = beginMethod(output, channelId, Methods.BasicGetOk, 8 + 1 + routeBytes + 4)
  const to = output.buffer
  writeUint64(to, at, fields.deliveryTag)
  to[at + 8] = fields.isRedelivered ? 1 : 0
  copyBytes(message.buffer, message.routeStart, message.routeEnd, to, at + 9)
  writeUint32(to, at + 9 + routeBytes, Math.min(fields.readyLeft, 0xffff_ffff))
  writeContent(output, channelId, message)
}

const noRouteText = Uint8Array.of(8, ...new TextEncoder().encode('NO_ROUTE'))
const noRouteCode = 312

/** `basic.return` of an unroutable message. */
export function writeReturn(output: Output, channelId: number, message: Message): void {
  const routeBytes = message.routeEnd - message.routeStart
  const at = beginMethod(output, channelId, Methods.BasicReturn, 2 + noRouteText.length + routeBytes)
  const to = output.buffer
  writeUint16(to, at, noRouteCode)
  copyBytes(noRouteText, 0, noRouteText.length, to, at + 2)
  copyBytes(message.buffer, message.routeStart, message.routeEnd, to, at + 2 + noRouteText.length)
  writeContent(output, channelId, message)
}

/** `basic.ack` or `basic.nack` to a publisher. */
export function writeConfirm(
  output: Output,
  channelId: number,
  method: typeof Methods.BasicAck | typeof Methods.BasicNack,
  confirm: { sequence: number; multiple: boolean },
): void {
  const at = beginMethod(output, channelId, method, 8 + 1)
  writeUint64(output.buffer, at, confirm.sequence)
  output.buffer[at + 8] = confirm.multiple ? 1 : 0
}

/** Reserves a method frame with everything around its arguments written; returns where those begin. */
function beginMethod(output: Output, channelId: number, method: number, argumentBytes: number): number {
  const at = output.reserve(argumentBytes + 4 + frameOverheadBytes)
  const to = output.buffer
  to[at] = FrameTypes.Method
  writeUint16(to, at + 1, channelId)
  writeUint32(to, at + 3, argumentBytes + 4)
  writeUint32(to, at + frameHeaderBytes, method)
  to[at + frameHeaderBytes + 4 + argumentBytes] = frameEndOctet
  return at + frameHeaderBytes + 4
}
