/** Spoils bytes in the ways that find faults in decoders. Seeded: the same random numbers give the same damage. */
import type { SeededRandom } from '../../src/base/random.ts'

const telling = [0, 1, 2, 3, 4, 7, 8, 0x20, 0x7f, 0x80, 0xc0, 0xce, 0xdc, 0xed, 0xfe, 0xff]
const tellingLengths = [0, 1, 4, 255, 256, 4096, 8192, 8193, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]
const tags = Buffer.from('tbBsuIilLfdDTSAFxV')

/** A damaged copy: one to four changes. `others` lends pieces. */
export function mutate(bytes: Uint8Array, others: readonly Uint8Array[], random: SeededRandom): Uint8Array {
  let result = Buffer.from(bytes)
  for (let count = 1 + random.below(4); count > 0; count--) result = change(result, others, random)
  return new Uint8Array(result)
}

function change(bytes: Buffer, others: readonly Uint8Array[], random: SeededRandom): Buffer<ArrayBuffer> {
  const at = random.below(bytes.length + 1)
  const end = at + random.below(Math.min(12, bytes.length - at) + 1)
  const set = (value: number): Buffer<ArrayBuffer> =>
    Buffer.from(bytes.map((byte, index) => (index === at ? value : byte)))
  switch (random.below(9)) {
    case 0:
      return set((bytes[at] ?? 0) ^ (1 << random.below(8)))
    case 1:
      return set(telling[random.below(telling.length)] ?? 0)
    case 2:
      return set(tags[random.below(tags.length)] ?? 0)
    case 3:
      return set((bytes[at] ?? 0) + 1 - 2 * random.below(2))
    case 4: {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(tellingLengths[random.below(tellingLengths.length)] ?? 0)
      return Buffer.concat([bytes.subarray(0, at), length, bytes.subarray(at + 4)])
    }
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
    case 6:
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)])
    case 7:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(random.below(6)), bytes.subarray(at)])
    default: {
      const other = others[random.below(others.length)] ?? bytes
      const from = random.below(other.length + 1)
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + 16), bytes.subarray(end)])
    }
  }
}
