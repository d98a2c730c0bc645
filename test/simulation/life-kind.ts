/** What kind of life a seed leads: how large messages are, how many, how often the process stops. */
import type { SeededRandom } from '../../src/base/random.ts'
import { chunkBytes } from '../../src/broker/message.ts'
import { type Form, SentMessage } from '../support/sent-message.ts'
import { type Profile, pageBytes } from './broker-process.ts'

export interface LifeKind extends Profile {
  /** Relative weights of the sizes of bodies. */
  readonly sizes: readonly [tiny: number, small: number, middle: number, large: number]
  readonly burstMax: number
  readonly persistentShare: number
  readonly steps: number
  readonly stopShare: number
}

export function lifeKindOf(random: SeededRandom): LifeKind {
  const base = {
    segmentBytes: pageBytes * (1 + random.below(2)),
    cacheBytes: pageBytes * (4 + random.below(8)),
    entryBytesMax: 1,
    roomBytesMin: pageBytes * random.below(3),
    diskTurnsMax: [0, 1, 3, 12][random.below(4)] ?? 0,
    stopShare: [0, 0.01, 0.02, 0.04][random.below(4)] ?? 0,
    persistentShare: [0.5, 0.8, 1][random.below(3)] ?? 1,
  }
  const kinds: Pick<LifeKind, 'sizes' | 'burstMax' | 'steps'>[] = [
    { sizes: [60, 25, 10, 5], burstMax: 15, steps: 400 },
    { sizes: [10, 10, 30, 50], burstMax: 3, steps: 300 },
    { sizes: [100, 0, 0, 0], burstMax: 1_500, steps: 150 },
    { sizes: [95, 5, 1, 0], burstMax: 200, steps: 300 },
  ]
  return { ...base, ...(kinds[random.below(kinds.length)] as Pick<LifeKind, 'sizes' | 'burstMax' | 'steps'>) }
}

/** A message as they are in such a life. */
export function messageOf({ sizes, persistentShare }: LifeKind, random: SeededRandom, number: number): SentMessage {
  let dice = random.below(sizes[0] + sizes[1] + sizes[2] + sizes[3])
  const isPersistent = random.next() < persistentShare
  const make = (bytes: number, form: Form): SentMessage => new SentMessage(number, bytes, form, isPersistent)
  const small: Form = random.below(2) === 0 ? 'frames' : 'parts'
  if (dice < sizes[0]) return make(random.below(40), small)
  dice -= sizes[0]
  if (dice < sizes[1]) return make(random.below(4_000), small)
  dice -= sizes[1]
  if (dice < sizes[2]) return make(4_100 + random.below(chunkBytes - 4_100), 'parts')
  return largeMessage(random, number, isPersistent)
}

/** One whose body comes in chunks. */
export function largeMessage(random: SeededRandom, number: number, isPersistent: boolean): SentMessage {
  return new SentMessage(number, chunkBytes + 1 + random.below(130_000), 'large', isPersistent)
}
