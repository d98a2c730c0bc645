import { inSlices } from '../../base/sliced.ts'
import { Pattern } from '../../broker/access/pattern.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { type Answer, ApiError, badRequest, ok } from './answer.ts'
import { columnsOf, type Selection, valueAt } from './columns.ts'
import { FirstEntries } from './first-entries.ts'
import type { ApiRequest } from './request.ts'
import type { Api } from './route.ts'
import { sortedInSlices } from './sorting.ts'
import { listPieces, listPiecesOf, textParts } from './text-parts.ts'

/** One entry of a list: found by its name, made JSON only when it is shown (or sorted by what is in it). */
export interface Row {
  readonly name: string
  /** By which other nodes know it, where they have something to add. */
  readonly id?: number | string
  json(): JsonObject
  /** What is at a path of its JSON, where that is known without all of it (null: nothing); `undefined` where it is not. */
  sortKey?(path: string): unknown
}

export const pageSizeMax = 500
const pageSizeDefault = 100

/** Adds to what is shown of some rows what is not known here. */
export interface Completion {
  completed(rows: readonly Row[], shown: readonly JsonObject[]): Promise<readonly JsonObject[]>
  /** Says in the answer what could not be added. */
  noted(answer: Answer): Answer
}

/**
 * Answers with a list as RabbitMQ does: `name`, `use_regex`, `sort`, `sort_reverse`, `columns`, and with `page` one page of
 * it and how many there are. However many rows there are, they are looked at in slices of the run queue, and a list that
 * is not paged goes out as it is made.
 */
export async function listed(
  api: Api,
  request: ApiRequest,
  rows: Iterable<Row>,
  completion: Completion | null = null,
): Promise<Answer> {
  const wish = wishOf(request.query)
  if (wish.page === null) {
    const shown = wish.filter === null && wish.sort === null ? rows : (await chosen(api, rows, wish)).rows
    if (completion !== null) return await streamed(api, shown, wish, completion)
    return { status: 200, text: textParts(api.runQueue, listPieces(selectedRows(shown, wish.columns))) }
  }
  const { rows: first, total, count } = await onPage(api, rows, wish, wish.page * wish.pageSize)
  const { from, until, json } = pageOf(wish, count, total)
  const items = await shownWith(api, first.slice(from, until), completion)
  const answer = ok({ ...json, item_count: items.length, items: items.map(wish.columns) })
  return completion === null ? answer : completion.noted(answer)
}

/** The first rows are complete before anything is answered, so that it can be said what is missing. */
async function streamed(api: Api, rows: Iterable<Row>, wish: Wish, completion: Completion): Promise<Answer> {
  const parts = completeParts(api, rows, wish, completion)
  const first = await parts.next()
  async function* all(): AsyncGenerator<JsonObject, void> {
    if (first.done !== true) yield* first.value
    for await (const part of parts) yield* part
  }
  return completion.noted({ status: 200, text: listPiecesOf(all()) })
}

/** Rows that are completed at once. */
const completedAtOnce = 200

async function* completeParts(
  api: Api,
  rows: Iterable<Row>,
  wish: Wish,
  completion: Completion,
): AsyncGenerator<JsonObject[], void> {
  const left = rows[Symbol.iterator]()
  for (;;) {
    const some = await inSlices(api.runQueue, taken(left, completedAtOnce))
    if (some.length === 0) return
    yield (await shownWith(api, some, completion)).map(wish.columns)
  }
}

function* taken(left: Iterator<Row>, count: number): Generator<void, Row[]> {
  const some: Row[] = []
  while (some.length < count) {
    const next = left.next()
    if (next.done === true) return some
    some.push(next.value)
    yield
  }
  return some
}

async function shownWith(
  api: Api,
  rows: readonly Row[],
  completion: Completion | null,
): Promise<readonly JsonObject[]> {
  const shown = await inSlices(api.runQueue, shownRows(rows))
  return completion === null ? shown : await completion.completed(rows, shown)
}

/** A page of `count` entries, of which `total` there are before names are looked at. Throws 400 when there is none. */
export function pageOf(wish: Wish, count: number, total: number): { from: number; until: number; json: JsonObject } {
  const { page, pageSize } = wish
  const pageCount = Math.max(1, Math.ceil(count / pageSize))
  if (page === null || page > pageCount) {
    const reason = `Page out of range, page: ${page} page size: ${pageSize}, len: ${count}`
    throw new ApiError(400, 'page_out_of_range', reason)
  }
  const from = (page - 1) * pageSize
  const json = { filtered_count: count, page, page_count: pageCount, page_size: pageSize, total_count: total }
  return { from, until: Math.min(count, from + pageSize), json }
}

/** One object; `columns` chooses what of it. */
export function one(request: ApiRequest, json: JsonObject): Answer {
  return ok(columnsOf(request.query)(json))
}

export function* rowsOf<T>(
  items: Iterable<T>,
  nameOf: (item: T) => string,
  show: (item: T) => JsonObject,
): Generator<Row> {
  for (const item of items) yield { name: nameOf(item), json: () => show(item) }
}

// ---------------------------------------------------------------- what is asked for

export interface Wish {
  readonly page: number | null
  readonly pageSize: number
  readonly filter: ((name: string) => boolean) | null
  /** Names, from the outside in. */
  readonly sort: readonly string[] | null
  readonly isReversed: boolean
  readonly columns: Selection
}

export function wishOf(query: URLSearchParams): Wish {
  const [page, size] = [query.get('page'), query.get('page_size')]
  const pageNumber = page === null ? null : numberOf(page)
  const pageSize = size === null ? pageSizeDefault : numberOf(size)
  const isPossible = pageNumber === null || (pageNumber >= 1 && pageSize >= 1 && pageSize <= pageSizeMax)
  if (!isPossible) {
    const reason = `Invalid pagination parameters: page number ${page}, page size ${size ?? 'undefined'}`
    throw new ApiError(400, 'invalid_pagination_parameters', reason)
  }
  const sort = query.get('sort')
  return {
    page: pageNumber,
    pageSize,
    filter: filterOf(query),
    sort: sort === null || sort === '' ? null : sort.split('.'),
    isReversed: query.get('sort_reverse') === 'true',
    columns: columnsOf(query),
  }
}

/** 0, which no page has, for what is no whole number. */
function numberOf(text: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : 0
}

/** A part of the name, in whatever case; or an expression, which `Pattern` keeps from taking long. */
function filterOf(query: URLSearchParams): Wish['filter'] {
  const name = query.get('name') ?? ''
  if (name === '') return null
  if (query.get('use_regex') !== 'true') {
    const part = name.toLowerCase()
    return (one) => one.toLowerCase().includes(part)
  }
  const pattern = new Pattern(name)
  if (pattern.error !== null) throw badRequest('Pagination parameters are invalid')
  return (one) => pattern.matches(one)
}

// ---------------------------------------------------------------- in slices

export async function chosen(
  api: Pick<Api, 'runQueue'>,
  rows: Iterable<Row>,
  wish: Pick<Wish, 'filter' | 'sort' | 'isReversed'>,
): Promise<{ rows: readonly Row[]; total: number }> {
  const { filter, sort, isReversed } = wish
  const found = await inSlices(api.runQueue, filtered(rows, filter))
  if (sort === null) return found
  const keyed = await inSlices(api.runQueue, withKeys(found.rows, sort))
  const sorted = await inSlices(api.runQueue, sortedInSlices(keyed, isReversed))
  return { rows: sorted.map(({ item }) => item), total: found.total }
}

interface OnPage {
  /** As far as the end of the page at least. */
  readonly rows: readonly Row[]
  /** Rows that pass the filter, and all that there are. */
  readonly count: number
  readonly total: number
}

/** Above so many rows to the end of a page all are sorted. */
const firstMax = 10_000

/** What of a list may be on a page: as a rule far fewer rows than are sorted by. */
async function onPage(api: Api, rows: Iterable<Row>, wish: Wish, end: number): Promise<OnPage> {
  if (wish.sort === null || end > firstMax) {
    const all = await chosen(api, rows, wish)
    return { ...all, count: all.rows.length }
  }
  const first = new FirstEntries<Row>(end, wish.isReversed)
  const counts = await inSlices(api.runQueue, offered(rows, wish.filter, wish.sort, first))
  const sorted = await inSlices(api.runQueue, sortedInSlices(first.entries, wish.isReversed))
  return { rows: sorted.map(({ item }) => item), ...counts }
}

/** Rows between two looks at the time. */
const stepRows = 32

function* offered(
  rows: Iterable<Row>,
  filter: Wish['filter'],
  sort: readonly string[],
  first: FirstEntries<Row>,
): Generator<void, { count: number; total: number }> {
  let [count, total] = [0, 0]
  for (const row of rows) {
    if (++total % stepRows === 0) yield
    if (filter !== null && !filter(row.name)) continue
    count++
    first.offer(keyOf(row, sort) ?? null, row)
  }
  return { count, total }
}

function* filtered(rows: Iterable<Row>, filter: Wish['filter']): Generator<void, { rows: Row[]; total: number }> {
  const found: Row[] = []
  let total = 0
  for (const row of rows) {
    total++
    if (filter === null || filter(row.name)) found.push(row)
    yield
  }
  return { rows: found, total }
}

function* withKeys(rows: readonly Row[], path: readonly string[]): Generator<void, { key: unknown; item: Row }[]> {
  const keyed: { key: unknown; item: Row }[] = []
  for (const item of rows) {
    keyed.push({ key: keyOf(item, path) ?? null, item })
    yield
  }
  return keyed
}

export function keyOf(row: Row, path: readonly string[]): unknown {
  if (path.length === 1 && path[0] === 'name') return row.name
  const known = row.sortKey?.(path.join('.'))
  return known === undefined ? valueAt(row.json(), path) : known
}

function* shownRows(rows: readonly Row[]): Generator<void, JsonObject[]> {
  const shown: JsonObject[] = []
  for (const row of rows) {
    shown.push(row.json())
    yield
  }
  return shown
}

function* selectedRows(rows: Iterable<Row>, columns: Selection): Generator<JsonObject> {
  for (const row of rows) yield columns(row.json())
}
