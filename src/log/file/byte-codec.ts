/** Numbers in stored bytes: little-endian, whole, at most 53 bits. */

const two32 = 4294967296

export function writeUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / two32), true)
}

/** Values above 2^53 cannot have been written by us; they come back inexact and fail the comparisons of the caller. */
export function readUint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * two32
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function areEqual(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): boolean {
  for (let index = 0; index < length; index++) {
    if (a[aAt + index] !== b[bAt + index]) return false
  }
  return true
}
