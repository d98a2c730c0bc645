/** What this node answers when another one asks: its own part of what there is. */
import { inSlices } from '../../../base/sliced.ts'
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import { closeConnections } from '../connection-close.ts'
import { rowsOfList, type Scope } from '../connection-rows.ts'
import { exchangeKeyRows } from '../exchanges.ts'
import { chosen, type Row, wishOf } from '../list.ts'
import { loginIdOf } from '../login-seal.ts'
import { attemptsJson, memoryJson, ownNodeJson } from '../nodes.ts'
import { ownOverview } from '../overview.ts'
import { queueKeyRows } from '../queues.ts'
import type { Spans } from '../rates.ts'
import type { ApiParts } from '../route.ts'
import { OpenLists } from './open-lists.ts'
import { ownStats } from './own-stats.ts'
import { ownWebhooks } from './own-webhooks.ts'
import type { ListName, OpenedList, OpenQuestion, Question } from './question.ts'

export class OwnAnswers {
  readonly #api: ApiParts
  readonly #lists: OpenLists

  constructor(api: ApiParts) {
    this.#api = api
    this.#lists = new OpenLists(api.clock)
  }

  /** Rejects with a sentence for the node that asks. */
  async answer(bytes: Uint8Array): Promise<Uint8Array> {
    const question = JSON.parse(new TextDecoder().decode(bytes)) as Question
    return new TextEncoder().encode(JSON.stringify(await this.#answered(question)))
  }

  async #answered(question: Question): Promise<unknown> {
    const api = this.#api
    const { runQueue } = api
    switch (question.ask) {
      case 'list':
        return await this.#opened(question)
      case 'keys':
        return await inSlices(runQueue, this.#lists.keys(question.list, question.from, question.until))
      case 'rows':
        return await this.#rows(question)
      case 'close':
        return { closed: await inSlices(runQueue, closeConnections(api, question.scope, question.reason)) }
      case 'overview':
        return await inSlices(runQueue, ownOverview(api, question.scope, question.spans))
      case 'node':
        return await ownNodeJson(api, question.spans)
      case 'memory':
        return memoryJson(api)
      case 'attempts':
        return attemptsJson(api)
      case 'login-ended': {
        const { id, begunAt, until } = question
        api.loginLedger.end({ id: loginIdOf({ id }), begunAt, until })
        return {}
      }
      case 'stats':
        return await inSlices(runQueue, ownStats(api, question.of, question.ids, question.spans))
      case 'webhooks':
        return await inSlices(runQueue, ownWebhooks(api, question.ids))
      default:
        // A node of a later version asks for more.
        throw new Error('this question is not known here: the nodes are of different versions')
    }
  }

  async #opened({ list, scope, spans, query }: OpenQuestion): Promise<OpenedList> {
    const wish = wishOf(new URLSearchParams(query))
    const { keys = null, rows: all } = this.#rowsOf(list, scope, { spans, path: wish.sort ?? [] })
    const { rows, total } = await chosen(this.#api, all, keys === null ? wish : { ...wish, sort: null })
    return { list: this.#lists.open(rows, wish.sort), total, count: rows.length }
  }

  #rowsOf(
    list: ListName,
    scope: Scope,
    { spans, path }: { spans: Spans; path: readonly string[] },
  ): { rows: Iterable<Row>; keys?: true } {
    if (list === 'queue-keys') return { rows: queueKeyRows(this.#api, path), keys: true }
    if (list === 'exchange-keys') return { rows: exchangeKeyRows(this.#api, path), keys: true }
    return { rows: rowsOfList(this.#api, list, scope, spans) }
  }

  async #rows({ list, from, until, isLast }: Question & { readonly ask: 'rows' }): Promise<JsonObject[]> {
    const rows = await inSlices(this.#api.runQueue, this.#lists.rows(list, from, until))
    if (isLast && from + rows.length >= until) this.#lists.close(list)
    return rows
  }
}
