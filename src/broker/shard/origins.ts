/**
 * What other nodes have published here: each numbers its publishes to durable queues (to each stream by itself), and the
 * record keeps the number. So whoever owns the log next knows which of them are stored, and none is stored twice.
 *
 * A number below the highest that no record has is a *gap*: its publish was refused, or was nothing that is stored. The
 * numbers of segments whose digest stands in for their records are said again in an `origins` record behind them.
 */
import type { Log } from '../../log/log.ts'
import { RecordKind, readU32, readU64, writeU32, writeU64 } from './records.ts'

/** One publish of another node: which process numbered it, and how. */
export interface Origin {
  /** Of the node; at least 1. */
  readonly incarnation: number
  /** Counts from 1. */
  readonly number: number
}

/** What of an origin's publishes is stored. */
export interface OriginProgress {
  /** 0: nothing. */
  readonly highest: number
  /** First and last number of each gap below, in pairs. */
  readonly gaps: readonly number[]
}

/**
 * Gaps remembered of one origin. With more the two oldest become one: what was stored between them, of which that origin was
 * told long ago, would be stored again if it came again, and nothing is ever taken for stored that is not.
 */
const gapsMax = 128
/** Origins remembered in one log. Beyond, the one that was heard of least recently is forgotten: what it sends again is stored again. */
const originsMax = 1_024
const nothing: OriginProgress = { highest: 0, gaps: [] }
const originBytes = 16

interface Numbers {
  highest: number
  gaps: number[]
  /** When it was heard of last, counted in records. */
  heard: number
}

export class Origins {
  readonly #numbers = new Map<number, Numbers>()
  readonly #kind: number
  #heard = 0

  /** `kind` is that of the record that says all of it again. */
  constructor(kind: number = RecordKind.origins) {
    this.#kind = kind
  }

  get size(): number {
    return this.#numbers.size
  }

  /** A record with this number is in the log. */
  stored({ incarnation, number }: Origin): void {
    const known = this.#numbers.get(incarnation)
    const heard = ++this.#heard
    if (known === undefined) {
      this.#numbers.set(incarnation, { highest: number, gaps: number > 1 ? [1, number - 1] : [], heard })
      if (this.#numbers.size > originsMax) this.#forgetOldest()
      return
    }
    known.heard = heard
    if (number === known.highest + 1) known.highest = number
    else if (number > known.highest) {
      known.gaps.push(known.highest + 1, number - 1)
      if (known.gaps.length > 2 * gapsMax) known.gaps.splice(1, 2)
      known.highest = number
    } else known.gaps = without(known.gaps, number)
  }

  #forgetOldest(): void {
    let [oldest] = this.#numbers
    for (const entry of this.#numbers) if (oldest === undefined || entry[1].heard < oldest[1].heard) oldest = entry
    if (oldest !== undefined) this.#numbers.delete(oldest[0])
  }

  /** Whether a record with this number is in the log. */
  has({ incarnation, number }: Origin): boolean {
    const known = this.#numbers.get(incarnation)
    return known !== undefined && number <= known.highest && !isWithin(known.gaps, number)
  }

  of(incarnation: number): OriginProgress {
    const known = this.#numbers.get(incarnation)
    return known === undefined ? nothing : { highest: known.highest, gaps: known.gaps }
  }

  /** The origin has been told of everything below: gaps there need not be remembered. */
  told(incarnation: number, below: number): void {
    const known = this.#numbers.get(incarnation)
    if (known === undefined || known.gaps.length === 0 || (known.gaps[1] as number) >= below) return
    known.gaps = known.gaps.filter((_, index) => (known.gaps[index | 1] as number) >= below)
  }

  /** The process is gone for good. */
  forget(incarnation: number): void {
    this.#numbers.delete(incarnation)
  }

  /** Says all of it again, in one record; nothing where nobody ever forwarded anything. */
  append(log: Log): void {
    if (this.#numbers.size === 0) return
    let bytes = 8
    for (const { gaps } of this.#numbers.values()) bytes += originBytes + gaps.length * 8
    let at = log.reserve(bytes)
    const { buffer } = log
    writeU32(buffer, at, this.#kind)
    writeU32(buffer, at + 4, this.#numbers.size)
    at += 8
    for (const [incarnation, { highest, gaps }] of this.#numbers) {
      writeU32(buffer, at, incarnation)
      writeU32(buffer, at + 4, gaps.length)
      writeU64(buffer, at + 8, highest)
      at += originBytes
      for (const number of gaps) {
        writeU64(buffer, at, number)
        at += 8
      }
    }
  }

  /** Takes in what `append` wrote: all that was known there replaces what is known here. */
  read(buffer: Uint8Array, start: number): void {
    this.#numbers.clear()
    let at = start + 8
    for (let count = readU32(buffer, start + 4); count > 0; count--) {
      const gaps: number[] = []
      const incarnation = readU32(buffer, at)
      const highest = readU64(buffer, at + 8)
      const end = at + originBytes + readU32(buffer, at + 4) * 8
      for (at += originBytes; at < end; at += 8) gaps.push(readU64(buffer, at))
      this.#numbers.set(incarnation, { highest, gaps, heard: this.#heard })
    }
  }
}

/** Whether the number is in one of the ranges, given by first and last. */
export function isWithin(ranges: readonly number[], number: number): boolean {
  for (let index = 0; index < ranges.length; index += 2) {
    if (number >= (ranges[index] as number) && number <= (ranges[index + 1] as number)) return true
  }
  return false
}

/** The gaps without one number, which may lie in the middle of one. */
function without(gaps: readonly number[], number: number): number[] {
  const left: number[] = []
  for (let index = 0; index < gaps.length; index += 2) {
    const first = gaps[index] as number
    const last = gaps[index + 1] as number
    if (number < first || number > last) left.push(first, last)
    else {
      if (first < number) left.push(first, number - 1)
      if (number < last) left.push(number + 1, last)
    }
  }
  return left
}
