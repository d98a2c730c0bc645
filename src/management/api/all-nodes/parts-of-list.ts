/** One node's part of a list: its entries in their order, read as they are needed. */
import { inSlices } from '../../../base/sliced.ts'
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import { keyOf, type Row } from '../list.ts'
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
  readonly total: number
  readonly #api: ApiParts
  readonly #rows: readonly Row[]
  readonly #sort: readonly string[] | null

  constructor(api: ApiParts, { rows, total }: { rows: readonly Row[]; total: number }, sort: readonly string[] | null) {
    this.#api = api
    this.#rows = rows
    this.total = total
    this.#sort = sort
  }

  get count(): number {
    return this.#rows.length
  }

  keys(count: number): Promise<readonly unknown[]> {
    const sort = this.#sort
    const show = (row: Row): unknown => (sort === null ? null : keyOf(row, sort))
    return inSlices(this.#api.runQueue, shown(this.#rows.slice(0, count), show))
  }

  async *rows(from: number, until: number): AsyncGenerator<JsonObject, void> {
    for (let at = from; at < until; at += rowsAtOnce) {
      const some = this.#rows.slice(at, Math.min(at + rowsAtOnce, until))
      yield* await inSlices(
        this.#api.runQueue,
        shown(some, (row) => row.json()),
      )
    }
  }
}

function* shown<T>(rows: readonly Row[], show: (row: Row) => T): Generator<void, T[]> {
  const all: T[] = []
  for (const row of rows) {
    all.push(show(row))
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
