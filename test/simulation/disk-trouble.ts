/** What goes wrong with the disk in a life: calls that fail, no room, and digests that are damaged or missing. */
import type { SeededRandom } from '../../src/base/random.ts'
import type { DiskImage } from '../support/simulated-files.ts'
import { pageBytes } from './broker-process.ts'
import type { ProcessFiles } from './simulated-process.ts'

export class DiskTrouble {
  readonly #random: SeededRandom
  readonly #count: (what: string) => void

  constructor(random: SeededRandom, count: (what: string) => void) {
    this.#random = random
    this.#count = count
  }

  /** Now and then some call to come fails. */
  arm({ faults }: ProcessFiles): void {
    if (this.#random.below(6) > 0) return
    const kinds = [
      { kind: 'write', ending: '.segment', code: 'EIO' },
      { kind: 'write', ending: '.tmp', code: 'EIO' },
      { kind: 'sync', ending: '.tmp', code: 'EIO' },
      { kind: 'rename', ending: '', code: 'EIO' },
    ] as const
    faults.failNext = kinds[this.#random.below(kinds.length)] ?? null
  }

  /** The disk fills up, or has room again. */
  changeRoom({ disk }: ProcessFiles): void {
    const wasFull = disk.capacityBytes < Number.MAX_SAFE_INTEGER
    if (wasFull) disk.capacityBytes = Number.MAX_SAFE_INTEGER
    else if (this.#random.below(3) === 0) {
      disk.capacityBytes = disk.usedBytes + this.#random.below(6) * pageBytes
      this.#count('full')
    }
  }

  /** Nothing may depend on a digest: now and then some are damaged or missing. */
  damaged(image: DiskImage): DiskImage {
    if (this.#random.below(6) > 0) return image
    for (const [path, bytes] of image) {
      if (!path.endsWith('.digest') || this.#random.below(3) > 0) continue
      this.#count('damaged digest')
      if (this.#random.below(2) === 0) image.delete(path)
      else image.set(path, flipped(bytes, this.#random.below(bytes.length * 8)))
    }
    return image
  }
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice()
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}
