import { inSlices } from '../../base/sliced.ts'
import { Pattern } from '../../broker/access/pattern.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { type Answer, ApiError, badRequest, ok } from './answer.ts'
import { chosen, type Range } from './chosen.ts'
import { Columns } from './columns.ts'
import type { ApiRequest } from './request.ts'
import type { Api } from './route.ts'
import { listPieces, listPiecesOf, textParts } from './text-parts.ts'
import { type Listing, listingOf, type Path, type Row, shownBy, type View } from './view.ts'

export const pageSizeMax = 500
const pageSizeDefault = 100

/** Adds to what is shown of some things what is not known here. */
export interface Completion {
  /** `ids`: those that views give. */
  completed(ids: readonly (number | string | undefined)[], shown: readonly JsonObject[]): Promise<readonly JsonObject[]>
  /** Says in the answer what could not be added. */
  noted(answer: Answer): Answer
}

/** Answers with these rows: a list that is never very long. */
export function listed(
  api: Api,
  request: ApiRequest,
  rows: Iterable<Row>,
  completion: Completion | null = null,
): Promise<Answer> {
  return listedAs(api, request, listingOf(rows), completion)
}

/**
 * Answers with a list as RabbitMQ does: `name`, `use_regex`, `sort`, `sort_reverse`, `columns`, and with `page` one page of
 * it and how many there are. However many things there are, they are looked at in slices of the run queue, of those that
 * are not shown nothing is kept but what they are sorted by, and a list that is not paged goes out as it is made.
 */
export async function listedAs<T>(
  api: Api,
  request: ApiRequest,
  given: Listing<T>,
  completion: Completion | null = null,
): Promise<Answer> {
  const wish = wishOf(request.query)
  const listing = { ...given, view: shownBy(given.view, wish.columns) }
  if (wish.page === null) return await whole(api, listing, wish, completion)
  const page = await chosen(api, listing, wish, rangeOf(wish))
  const { json } = pageOf(wish, page.count, page.total)
  const items = await shownWith(api, page, completion)
  const answer = ok({ ...json, item_count: items.length, items: items.map((item) => wish.columns.of(item)) })
  return completion === null ? answer : completion.noted(answer)
}

async function whole<T>(api: Api, listing: Listing<T>, wish: Wish, completion: Completion | null): Promise<Answer> {
  const isAsItIs = wish.filter === null && wish.sort === null && listing.isOf === undefined
  const things = isAsItIs ? listing.things : (await chosen(api, listing, wish)).things
  if (completion !== null) return await streamed(api, { ...listing, things }, wish, completion)
  return { status: 200, text: textParts(api.runQueue, listPieces(selectedOf(things, listing.view, wish.columns))) }
}

/** The first things are complete before anything is answered, so that it can be said what is missing. */
async function streamed<T>(api: Api, listing: Listing<T>, wish: Wish, completion: Completion): Promise<Answer> {
  const parts = completeParts(api, listing, wish, completion)
  const first = await parts.next()
  async function* all(): AsyncGenerator<JsonObject, void> {
    if (first.done !== true) yield* first.value
    for await (const part of parts) yield* part
  }
  return completion.noted({ status: 200, text: listPiecesOf(all()) })
}

/** Things that are completed at once. */
const completedAtOnce = 200

async function* completeParts<T>(
  api: Api,
  { things, view }: Listing<T>,
  wish: Wish,
  completion: Completion,
): AsyncGenerator<JsonObject[], void> {
  const left = things[Symbol.iterator]()
  for (;;) {
    const some = await inSlices(api.runQueue, taken(left, completedAtOnce))
    if (some.length === 0) return
    const shown = await shownWith(api, { things: some, view }, completion)
    yield shown.map((json) => wish.columns.of(json))
  }
}

function* taken<T>(left: Iterator<T>, count: number): Generator<void, T[]> {
  const some: T[] = []
  while (some.length < count) {
    const next = left.next()
    if (next.done === true) return some
    some.push(next.value)
    yield
  }
  return some
}

async function shownWith<T>(
  api: Api,
  { things, view }: { readonly things: readonly T[]; readonly view: View<T> },
  completion: Completion | null,
): Promise<readonly JsonObject[]> {
  const shown = await inSlices(api.runQueue, shownOf(things, view))
  if (completion === null) return shown
  const ids = things.map((thing) => view.idOf?.(thing))
  return await completion.completed(ids, shown)
}

/** As far as a page is: `count` may be less. Null: there are no pages. */
export function rangeOf({ page, pageSize }: Pick<Wish, 'page' | 'pageSize'>): Range {
  return page === null
    ? { from: 0, until: Number.POSITIVE_INFINITY }
    : { from: (page - 1) * pageSize, until: page * pageSize }
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
  return ok(new Columns(request.query).of(json))
}

// ---------------------------------------------------------------- what is asked for

export interface Wish {
  readonly page: number | null
  readonly pageSize: number
  readonly filter: ((name: string) => boolean) | null
  readonly sort: Path | null
  readonly isReversed: boolean
  readonly columns: Columns
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
    columns: new Columns(query),
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

function* shownOf<T>(things: readonly T[], view: View<T>): Generator<void, JsonObject[]> {
  const shown: JsonObject[] = []
  for (const thing of things) {
    shown.push(view.json(thing))
    yield
  }
  return shown
}

function* selectedOf<T>(things: Iterable<T>, view: View<T>, columns: Columns): Generator<JsonObject> {
  for (const thing of things) yield columns.of(view.json(thing))
}
