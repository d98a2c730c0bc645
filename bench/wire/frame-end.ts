import { frameEndOctet, frameOverheadBytes } from './method-ids.ts'

/**
 * Offset behind the frame that starts at `at`, or 0 while it is not whole. Throws on a frame above the negotiated size
 * (before waiting for the rest of it) and on a wrong end octet.
 */
export function frameEnd(bytes: Uint8Array, view: DataView, at: number, end: number, frameBytesMax: number): number {
  if (end - at < frameOverheadBytes) return 0
  const size = view.getUint32(at + 3) + frameOverheadBytes
  if (size > frameBytesMax)
    throw new Error(`the broker sent a frame of ${size} bytes, above frame_max ${frameBytesMax}`)
  const next = at + size
  if (next > end) return 0
  if (bytes[next - 1] !== frameEndOctet) throw new Error(`the broker sent a frame without its end octet`)
  return next
}
