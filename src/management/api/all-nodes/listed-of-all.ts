/** Lists to which each node of a cluster has its part, answered as one: filtered, sorted and cut into pages over all of them. */
import { inSlices } from '../../../base/sliced.ts'
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import { type Answer, ok } from '../answer.ts'
import { type AskedList, type ConnectionList, chosenOfList, listedOfList, type Scope } from '../connection-lists.ts'
import { pageOf, rangeOf, type Wish, wishOf } from '../list.ts'
import { noSpans, spansOf } from '../rates.ts'
import type { ApiRequest } from '../request.ts'
import type { Api } from '../route.ts'
import { listPiecesOf } from '../text-parts.ts'
import { merged } from './merged.ts'
import { NodesAsked } from './nodes-asked.ts'
import { OtherPart, OwnPart, type PartOfList } from './parts-of-list.ts'

export async function listedOfAll(api: Api, request: ApiRequest, list: ConnectionList, scope: Scope): Promise<Answer> {
  const asked = { list, scope, spans: spansOf(api, request) }
  if (api.cluster === null) return await listedOfList(api, request, asked)
  const nodes = new NodesAsked(api)
  const wish = wishOf(request.query)
  const parts = await partsOf(api, nodes, asked, request.query)
  const count = sumOf(parts, (part) => part.count)
  const page =
    wish.page === null
      ? null
      : pageOf(
          wish,
          count,
          sumOf(parts, (part) => part.total),
        )
  const order = await orderOf(api, parts, wish, page?.until ?? count)
  if (page === null) {
    const readers = parts.map((part, index) => part.rows(0, countOf(order, index)))
    return nodes.noted({ status: 200, text: listPiecesOf(selected(inOrder(readers, order), wish)) })
  }
  const items = (await pageItems(parts, order, page.from)).map((item) => wish.columns.of(item))
  return nodes.noted(ok({ ...page.json, item_count: items.length, items }))
}

/** What a node has that answers no more is left out of a page. */
async function pageItems(
  parts: readonly PartOfList[],
  order: readonly number[],
  from: number,
): Promise<readonly JsonObject[]> {
  const before = order.slice(0, from)
  const read = parts.map((part, index) => gathered(part.rows(countOf(before, index), countOf(order, index))))
  const readers = (await Promise.all(read.map((some) => some.catch(() => [])))).map((some) => some.values())
  return await gathered(inOrder(readers, order.slice(from)))
}

function countOf(order: readonly number[], index: number): number {
  return order.reduce((count, one) => (one === index ? count + 1 : count), 0)
}

/** All entries there are, on all nodes; those of nodes that do not answer are left out, and noted. */
export async function allOf(api: Api, nodes: NodesAsked, list: ConnectionList, scope: Scope): Promise<JsonObject[]> {
  const parts = await partsOf(api, nodes, { list, scope, spans: noSpans }, new URLSearchParams())
  const all: JsonObject[] = []
  for (const part of parts) all.push(...(await gathered(part.rows(0, part.count)).catch(() => [])))
  return all
}

/** This node's own, then those of the others by name. */
async function partsOf(api: Api, nodes: NodesAsked, asked: AskedList, query: URLSearchParams): Promise<PartOfList[]> {
  const wish = wishOf(query)
  const opened = nodes.all({ ask: 'list', ...asked, query: String(query) })
  const own = await chosenOfList(api, asked, wish, { from: 0, until: rangeOf(wish).until })
  const others = (await opened).map(([node, part]) => new OtherPart(nodes, node, part))
  return [new OwnPart(api, own), ...others]
}

/** For each of the first entries the part that it is of. Keys are asked for only where there is something to sort. */
async function orderOf(api: Api, parts: readonly PartOfList[], wish: Wish, until: number): Promise<readonly number[]> {
  if (wish.sort === null)
    return parts.flatMap(({ count }, index) => new Array<number>(count).fill(index)).slice(0, until)
  const keys = await Promise.all(parts.map((part) => part.keys(until)))
  return await inSlices(api.runQueue, merged(keys, wish.isReversed, until))
}

type Reader = Iterator<JsonObject, void> | AsyncIterator<JsonObject, void>

/** The entries of several parts, in this order. */
async function* inOrder(readers: readonly Reader[], order: readonly number[]): AsyncGenerator<JsonObject, void> {
  for (const index of order) {
    const next = await readers[index]?.next()
    if (next !== undefined && next.done !== true) yield next.value
  }
}

async function* selected(rows: AsyncIterable<JsonObject>, { columns }: Wish): AsyncGenerator<JsonObject, void> {
  for await (const row of rows) yield columns.of(row)
}

async function gathered(rows: AsyncIterable<JsonObject>): Promise<JsonObject[]> {
  const all: JsonObject[] = []
  for await (const row of rows) all.push(row)
  return all
}

function sumOf(parts: readonly PartOfList[], value: (part: PartOfList) => number): number {
  return parts.reduce((sum, part) => sum + value(part), 0)
}
