/** What happened to queues, exchanges and vhosts at the other nodes, added to what happened here. */
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import type { Completion } from '../list.ts'
import { type Spans, spansOf } from '../rates.ts'
import type { ApiRequest } from '../request.ts'
import type { Api } from '../route.ts'
import { addedUp } from './add-up.ts'
import { NodesAsked } from './nodes-asked.ts'
import { OtherPart } from './parts-of-list.ts'
import type { StatsOf } from './question.ts'

/** Null: there is nothing to add, or nobody wants it. */
export function completionOf(api: Api, request: ApiRequest, of: StatsOf): Completion | null {
  if (api.cluster === null || !wantsStats(request)) return null
  const nodes = new NodesAsked(api)
  const spans = spansOf(api, request)
  return {
    completed: (ids, shown) => completed(nodes, of, { ids, shown, spans }),
    noted: (answer) => nodes.noted(answer),
  }
}

/** The same for one thing. */
export async function completeOne(
  api: Api,
  nodes: NodesAsked,
  of: StatsOf,
  { id, json, spans }: { id: number | string; json: JsonObject; spans: Spans },
): Promise<JsonObject> {
  if (api.cluster === null) return json
  const [whole = json] = await completed(nodes, of, { ids: [id], shown: [json], spans })
  return whole
}

function wantsStats({ query }: ApiRequest): boolean {
  const columns = query.get('columns') ?? ''
  return columns === '' || statsColumns.test(columns)
}

const statsColumns = /message_stats|recv_oct|send_oct|_offset|stream_readers/

interface Shown {
  readonly ids: readonly (number | string | undefined)[]
  readonly shown: readonly JsonObject[]
  readonly spans: Spans
}

async function completed(nodes: NodesAsked, of: StatsOf, { ids, shown, spans }: Shown): Promise<readonly JsonObject[]> {
  const known = ids.filter((id) => id !== undefined)
  const answers = await nodes.all({ ask: 'stats', of, ids: known, spans })
  return shown.map((json, index) => {
    const id = String(ids[index])
    const found = answers.flatMap(([, answer]) => (Object.hasOwn(answer, id) ? [answer[id] ?? {}] : []))
    return found.reduce(addedUp, json)
  })
}

/** What the other nodes have to add to the numbers that a list is sorted by, by id. Empty where they have nothing to do with it. */
export async function otherKeys(
  api: Api,
  request: ApiRequest,
  list: 'queue-keys' | 'exchange-keys',
): Promise<ReadonlyMap<number, number>> {
  const sums = new Map<number, number>()
  const sort = request.query.get('sort') ?? ''
  if (api.cluster === null || !sort.startsWith('message_stats')) return sums
  const nodes = new NodesAsked(api)
  const query = String(new URLSearchParams({ sort }))
  const spans = spansOf(api, request)
  for (const [node, opened] of await nodes.all({ ask: 'list', list, scope: {}, spans, query })) {
    try {
      for await (const { id, key } of new OtherPart(nodes, node, opened).rows(0, opened.count)) {
        if (typeof id === 'number' && typeof key === 'number') sums.set(id, (sums.get(id) ?? 0) + key)
      }
    } catch {
      // Its part is missing, as that of a node that does not answer; the answer says so when it is asked for what is shown.
    }
  }
  return sums
}

/** Reads a number to sort by, with what the other nodes add to it. */
export function summedReader<T extends { readonly id: number }>(
  own: (thing: T) => unknown,
  sums: ReadonlyMap<number, number>,
): (thing: T) => unknown {
  if (sums.size === 0) return own
  return (thing) => {
    const other = sums.get(thing.id)
    const value = own(thing)
    return other === undefined ? value : (typeof value === 'number' ? value : 0) + other
  }
}
