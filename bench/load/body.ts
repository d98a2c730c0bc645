/**
 * What a message carries so that its arrival can be checked, byte by byte:
 *
 *     0  u32  sequence of its publisher, from 0
 *     4  u32  source: run id (16 bits) and publisher number (16 bits)
 *     8  u32  slot: where in the pattern its filler starts
 *    12  u32  check value over all the others
 *    16  f64  time of sending (ms, `monotonic-time.ts`), when the body has at least 24 bytes
 *    24  …    filler from the pattern
 */
export const bodyBytesMin = 16
export const timedBodyBytesMin = 24

/** Slots differ in their filler; a body that carries another message's bytes is noticed. */
const slotCount = 1024

/** Filler for all slots of a body of this size; slot k's starts at `fillerOffset(k)`. */
export function makePattern(bodyBytes: number): Buffer {
  const pattern = Buffer.alloc(bodyBytes + slotCount)
  let state = 0x2545f491
  for (let index = 0; index < pattern.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    pattern[index] = state >>> 24
  }
  return pattern
}

export function fillerOffset(slot: number): number {
  return slot % slotCount
}

/** Where the filler starts within a body of this size. */
export function headBytes(bodyBytes: number): number {
  return bodyBytes >= timedBodyBytesMin ? timedBodyBytesMin : bodyBytesMin
}

export function sourceOf(runId: number, publisher: number): number {
  return (((runId & 0xffff) << 16) | (publisher & 0xffff)) >>> 0
}

/** Check value of a head at `at`; the time takes part where there is one. */
export function headCheck(view: DataView, at: number, isTimed: boolean): number {
  let mixed = Math.imul(view.getUint32(at) ^ view.getUint32(at + 4), 0x9e3779b1)
  mixed = Math.imul((mixed ^ (mixed >>> 15)) + view.getUint32(at + 8), 0x85ebca6b)
  if (isTimed) mixed = Math.imul(mixed ^ view.getUint32(at + 16), 0xc2b2ae35) ^ view.getUint32(at + 20)
  return (mixed ^ (mixed >>> 13)) >>> 0
}
