/** What the process that is killed and the test that looks at its log agree on. */
import { recordBytes } from './log-driver.ts'

const mebi = 1024 * 1024

export const killedSizes = { segmentBytes: 2 * mebi, firstSegmentBytes: mebi, roomBytesMin: 0 }

/** Begins with its number. */
export function killedRecord(number: number): Uint8Array {
  return recordBytes(number, 100 + (number % 50) * 40)
}
