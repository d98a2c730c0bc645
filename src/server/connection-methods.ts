import { readUint32 } from '../amqp/byte-reader.ts'
import { type FrameDecoder, FrameTypes } from '../amqp/frame-decoder.ts'
import { decodeMethod, Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Connection } from './connection.ts'

/** The frames of channel 0 once the connection is open. False when the frame must wait. */
export function connectionMethod(connection: Connection, decoder: FrameDecoder): boolean {
  if (decoder.type !== FrameTypes.Method) {
    throw new ProtocolError(ReplyCodes.UnexpectedFrame, `a frame of type ${decoder.type} on channel 0`)
  }
  const method = decodeMethod(decoder.buffer, decoder.payloadStart, decoder.payloadEnd)
  const { session } = connection
  switch (method.id) {
    // What was sent before a close is done before it; a channel that waits for a result has not come to that.
    case Methods.ConnectionClose:
      if (connection.channels.hasParked) return connection.router.holdClose()
      connection.closeByPeer()
      break
    case Methods.ConnectionUpdateSecret:
      return session !== null && connection.login.renew(session, Buffer.from(method.newSecret).toString())
    case Methods.ConnectionCloseOk:
      break
    default:
      throw new ProtocolError(ReplyCodes.ChannelError, 'unexpected method in connection state running', method.id)
  }
  return true
}

/** The frames after our `connection.close`: nothing counts but the peer's answer, or a close of its own. */
export function closingFrame(connection: Connection, decoder: FrameDecoder): void {
  if (decoder.channel !== 0 || decoder.type !== FrameTypes.Method) return
  const method = methodOf(decoder)
  if (method === Methods.ConnectionClose) {
    connection.send({ id: Methods.ConnectionCloseOk, name: 'connection.close-ok' })
    connection.hangUp()
  } else if (method === Methods.ConnectionCloseOk) connection.hangUp()
}

/** The method a frame belongs to: its own, or the publish whose content it is; 0 if it has none. */
export function methodOf(decoder: FrameDecoder): number {
  if (decoder.type !== FrameTypes.Method) return Methods.BasicPublish
  return decoder.payloadEnd - decoder.payloadStart < 4 ? 0 : readUint32(decoder.buffer, decoder.payloadStart)
}
