/** One live segment of a file log. Its positions are its file offsets plus `base`. */
import { assert } from '../../base/assert.ts'
import type { File } from '../../base/files.ts'
import { LogDamaged, type Segment } from '../log.ts'
import { segmentHeaderBytes } from './format.ts'

export class LogSegment implements Segment {
  readonly id: number
  readonly base: number
  /** One more than the last position it can hold; known when it is created. */
  readonly end: number
  isSealed = false
  /** Where frames are appended; null until its file is prepared and after it is sealed. */
  file: File | null = null
  /** File offset behind the last committed frame. Not known for those sealed before this process opened the log. */
  committedEnd = segmentHeaderBytes

  constructor(id: number, base: number, span: number) {
    this.id = id
    this.base = base
    this.end = base + span
  }

  get span(): number {
    return this.end - this.base
  }
}

export function ownSegment(segment: Segment): LogSegment {
  assert(segment instanceof LogSegment, 'the segment is of this log')
  return segment
}

const idDigits = 10

export function segmentName(id: number): string {
  return `${String(id).padStart(idDigits, '0')}.segment`
}

export function digestName(id: number): string {
  return `${String(id).padStart(idDigits, '0')}.digest`
}

export const identityName = 'identity'
/** What a crash may leave half done carries this ending and is removed at the next open. */
export const temporaryEnding = '.tmp'

/** The entries of a log's directory, told apart by name. */
export interface Listing {
  /** Ascending. */
  readonly segments: readonly number[]
  readonly digests: readonly number[]
  readonly temporaries: readonly string[]
  readonly hasIdentity: boolean
}

export function sortNames(names: readonly string[]): Listing {
  const idsOf = (ending: string): number[] =>
    names
      .filter(
        (name) =>
          name.endsWith(ending) && /^\d{10,16}\./.test(name) && name.indexOf('.') === name.length - ending.length,
      )
      .map((name) => Number(name.slice(0, -ending.length)))
      .sort((a, b) => a - b)
  return {
    segments: idsOf('.segment'),
    digests: idsOf('.digest'),
    temporaries: names.filter((name) => name.endsWith(temporaryEnding)),
    hasIdentity: names.includes(identityName),
  }
}

/** The segment that holds a position; null when none does. `segments` ascend. */
export function findSegment<T extends Segment>(segments: readonly T[], position: number): T | null {
  let low = 0
  let high = segments.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const segment = segments[middle] as T
    if (position < segment.base) high = middle - 1
    else if (position >= segment.end) low = middle + 1
    else return segment
  }
  return null
}

/** An error that names the file and the exact range of bytes and positions. */
export function damagedRange(file: string, base: number, from: number, to: number, why: string): LogDamaged {
  return new LogDamaged(`${file}, bytes ${from} to ${to - 1} (positions ${base + from} to ${base + to - 1}): ${why}`)
}
