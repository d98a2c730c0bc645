/**
 * Lists that other nodes have opened here and read page by page: which entries there were at that moment. Their JSON is
 * made when it is read, so that a list of 5,000 connections holds 5,000 references and no more.
 */
import type { Clock, Timer } from '../../../base/clock.ts'
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import { ApiError } from '../answer.ts'
import type { Entries, Range } from '../chosen.ts'
import { answerLengthMax } from './question.ts'

/** A list that nobody has read for so long is forgotten, in milliseconds. */
const unreadMsMax = 30_000
/** Lists at one time; one more makes the one that was opened first be forgotten. */
const listsMax = 64

interface OpenList {
  readonly entries: Entries
  timer: Timer
}

export class OpenLists {
  readonly #clock: Clock
  readonly #lists = new Map<number, OpenList>()
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get count(): number {
    return this.#lists.size
  }

  /** Its number. */
  open(entries: Entries): number {
    const [oldest] = this.#lists.keys()
    if (oldest !== undefined && this.#lists.size >= listsMax) this.close(oldest)
    const number = ++this.#last
    this.#lists.set(number, { entries, timer: this.#timer(number) })
    return number
  }

  close(number: number): void {
    this.#lists.get(number)?.timer.cancel()
    this.#lists.delete(number)
  }

  /** What entries `from` to `until` are sorted by, as many as fit, at least one. Throws 404 when the list is forgotten. */
  *keys(number: number, from: number, until: number): Generator<void, unknown[]> {
    const { entries } = this.#find(number)
    return yield* fitting({ from, until: Math.min(until, entries.length) }, (index) => entries.keyAt(index))
  }

  *rows(number: number, from: number, until: number): Generator<void, JsonObject[]> {
    const { entries } = this.#find(number)
    return yield* fitting({ from, until: Math.min(until, entries.length) }, (index) => entries.jsonAt(index))
  }

  #find(number: number): OpenList {
    const list = this.#lists.get(number)
    if (list === undefined) throw new ApiError(404, 'not_found', `list ${number} is not open any more`)
    list.timer.cancel()
    list.timer = this.#timer(number)
    return list
  }

  #timer(number: number): Timer {
    return this.#clock.after(unreadMsMax, () => void this.#lists.delete(number))
  }
}

function* fitting<T>({ from, until }: Range, show: (index: number) => T): Generator<void, T[]> {
  const shown: T[] = []
  let length = 0
  for (let index = from; index < until; index++) {
    const one = show(index)
    length += JSON.stringify(one).length
    if (length > answerLengthMax && shown.length > 0) return shown
    shown.push(one)
    yield
  }
  return shown
}
