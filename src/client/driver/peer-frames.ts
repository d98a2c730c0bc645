/** Reads what the library reads over or keeps to itself: who the broker is, and why it closes something. */

const decoder = new TextDecoder()

export interface CloseReason {
  readonly channel: number
  readonly replyCode: number
  readonly replyText: string
}

/** Class and method as one number; 0 for a frame that is no method. */
export function methodOf(frame: Uint8Array): number {
  if (frame[0] !== 1 || frame.length < 12) return 0
  return view(frame).getUint32(7)
}

export const connectionStart = (10 << 16) | 10
export const connectionClose = (10 << 16) | 50
export const channelClose = (20 << 16) | 40

/** Of `connection.close` or `channel.close`. */
export function closeReasonIn(frame: Uint8Array): CloseReason {
  const bytes = view(frame)
  const length = frame.length > 13 ? (frame[13] ?? 0) : 0
  return {
    channel: bytes.getUint16(1),
    replyCode: bytes.getUint16(11),
    replyText: decoder.decode(frame.subarray(14, 14 + length)),
  }
}

/** What a content header says of its body, in bytes; 0 for any other frame. */
export function bodyBytesIn(frame: Uint8Array): number {
  if (frame[0] !== 2 || frame.length < 20) return 0
  const bytes = view(frame)
  return bytes.getUint32(11) * 2 ** 32 + bytes.getUint32(15)
}

/**
 * A string of the server properties in `connection.start`; '' when it is not there. They are searched, not decoded:
 * a key with its length before it and the tag of a string behind it is found nowhere else.
 */
export function serverProperty(frame: Uint8Array, name: string): string {
  const key = [name.length, ...[...name].map((letter) => letter.charCodeAt(0)), 0x53]
  for (let at = 17; at + key.length + 4 <= frame.length; at++) {
    if (!key.every((byte, index) => frame[at + index] === byte)) continue
    const lengthAt = at + key.length
    const length = view(frame).getUint32(lengthAt)
    return decoder.decode(frame.subarray(lengthAt + 4, Math.min(lengthAt + 4 + length, frame.length)))
  }
  return ''
}

function view(frame: Uint8Array): DataView {
  return new DataView(frame.buffer, frame.byteOffset, frame.length)
}
