/** One node's part of a list: its entries in their order, read as they are needed. */
import { inSlices } from '../../../base/sliced.ts'
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import type { Entries, Range } from '../chosen.ts'
import type { ApiParts } from '../route.ts'
import type { NodesAsked } from './nodes-asked.ts'
import type { OpenedList } from './question.ts'

export interface PartOfList {
  /** Before and after the name was looked at. */
  readonly total: number
  readonly count: number
  /** What the first entries are sorted by; fewer where the node answers no more. */
  keys(count: number): Promise<readonly unknown[]>
  /** Entries `from` to `until`. Throws `PartLost` when the node answers no more. */
  rows(from: number, until: number): AsyncGenerator<JsonObject, void>
}

/** A node has gone while its part was read. */
export class PartLost extends Error {
  readonly code = 'PART_LOST'
}

/** Entries whose JSON is made in one go. */
const rowsAtOnce = 64

export class OwnPart implements PartOfList {
  readonly #api: ApiParts
  readonly #entries: Entries

  constructor(api: ApiParts, entries: Entries) {
    this.#api = api
    this.#entries = entries
  }

  get total(): number {
    return this.#entries.total
  }

  get count(): number {
    return this.#entries.count
  }

  keys(count: number): Promise<readonly unknown[]> {
    const entries = this.#entries
    const range = { from: 0, until: Math.min(count, entries.length) }
    return inSlices(
      this.#api.runQueue,
      shown(range, (index) => entries.keyAt(index)),
    )
  }

  async *rows(from: number, until: number): AsyncGenerator<JsonObject, void> {
    const entries = this.#entries
    const end = Math.min(until, entries.length)
    for (let at = from; at < end; at += rowsAtOnce) {
      const range = { from: at, until: Math.min(at + rowsAtOnce, end) }
      yield* await inSlices(
        this.#api.runQueue,
        shown(range, (index) => entries.jsonAt(index)),
      )
    }
  }
}

function* shown<T>({ from, until }: Range, show: (index: number) => T): Generator<void, T[]> {
  const all: T[] = []
  for (let index = from; index < until; index++) {
    all.push(show(index))
    yield
  }
  return all
}

export class OtherPart implements PartOfList {
  readonly total: number
  readonly count: number
  readonly #nodes: NodesAsked
  readonly #node: string
  readonly #list: number

  constructor(nodes: NodesAsked, node: string, { list, total, count }: OpenedList) {
    this.#nodes = nodes
    this.#node = node
    this.#list = list
    this.total = total
    this.count = count
  }

  async keys(count: number): Promise<readonly unknown[]> {
    const all: unknown[] = []
    const until = Math.min(count, this.count)
    while (all.length < until) {
      const some = await this.#nodes.one(this.#node, { ask: 'keys', list: this.#list, from: all.length, until })
      if (some === null || some.length === 0) break
      all.push(...some)
    }
    return all
  }

  async *rows(from: number, until: number): AsyncGenerator<JsonObject, void> {
    for (let at = from; at < until; ) {
      const question = { ask: 'rows', list: this.#list, from: at, until, isLast: true } as const
      const some = await this.#nodes.one(this.#node, question)
      if (some === null || some.length === 0) throw new PartLost(`node '${this.#node}' answers no more`)
      yield* some
      at += some.length
    }
  }
}
