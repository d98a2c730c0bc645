/**
 * What other nodes have published here: each numbers its publishes to durable queues, and a publish record keeps its
 * number. So whoever owns the shard next knows which of them are stored, and none is stored twice.
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

/** Gaps remembered of one origin; the oldest are forgotten first, long after that origin has been told of them. */
const gapsMax = 128
const nothing: OriginProgress = { highest: 0, gaps: [] }
const originBytes = 16

interface Numbers {
  highest: number
  gaps: number[]
}

export class Origins {
  readonly #numbers = new Map<number, Numbers>()

  get size(): number {
    return this.#numbers.size
  }

  /** A record with this number is in the log. */
  stored({ incarnation, number }: Origin): void {
    const known = this.#numbers.get(incarnation)
    if (known === undefined) {
      this.#numbers.set(incarnation, { highest: number, gaps: number > 1 ? [1, number - 1] : [] })
      return
    }
    if (number === known.highest + 1) known.highest = number
    else if (number > known.highest) {
      known.gaps.push(known.highest + 1, number - 1)
      if (known.gaps.length > 2 * gapsMax) known.gaps.splice(0, 2)
      known.highest = number
    } else known.gaps = without(known.gaps, number)
  }

  of(incarnation: number): OriginProgress {
    return this.#numbers.get(incarnation) ?? nothing
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
    writeU32(buffer, at, RecordKind.origins)
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
      this.#numbers.set(incarnation, { highest, gaps })
    }
  }
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
