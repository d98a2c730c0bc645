/** What this node answers when another one asks: its own part of what there is. */
import { inSlices } from '../../../base/sliced.ts'
import type { JsonObject } from '../../../broker/definitions/entry.ts'
import { chosen, type Entries } from '../chosen.ts'
import { closeConnections } from '../connection-close.ts'
import { chosenOfList } from '../connection-lists.ts'
import { exchangeKeys } from '../exchanges.ts'
import { rangeOf, type Wish, wishOf } from '../list.ts'
import { loginIdOf } from '../login-seal.ts'
import { ownReport } from '../node-reports.ts'
import { attemptsJson, memoryJson, ownNodeJson } from '../nodes.ts'
import { ownOverview } from '../overview.ts'
import { queueKeys } from '../queues.ts'
import type { ApiParts } from '../route.ts'
import { OpenLists } from './open-lists.ts'
import { ownStats } from './own-stats.ts'
import { ownTrial, ownWebhooks } from './own-webhooks.ts'
import type { OpenedList, OpenQuestion, Question } from './question.ts'

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
      case 'report':
        return await ownReport(api)
      case 'login-ended': {
        const { id, begunAt, until } = question
        api.loginLedger.end({ id: loginIdOf({ id }), begunAt, until })
        return {}
      }
      case 'stats':
        return await inSlices(runQueue, ownStats(api, question.of, question.ids, question.spans))
      case 'webhooks':
        return await inSlices(runQueue, ownWebhooks(api, question.ids))
      case 'webhook-trial':
        return { trial: await ownTrial(api, question.id) }
      default:
        // A node of a later version asks for more.
        throw new Error('this question is not known here: the nodes are of different versions')
    }
  }

  /** Of a list that is asked for in pages no more is kept than what may be on that page, or before it. */
  async #opened({ list, scope, spans, query }: OpenQuestion): Promise<OpenedList> {
    const wish = wishOf(new URLSearchParams(query))
    const entries = await this.#entriesOf({ list, scope, spans }, wish)
    return { list: this.#lists.open(entries), total: entries.total, count: entries.count }
  }

  #entriesOf({ list, scope, spans }: Omit<OpenQuestion, 'ask' | 'query'>, wish: Wish): Promise<Entries> {
    const api = this.#api
    const path = wish.sort ?? []
    const unsorted = { ...wish, sort: null }
    if (list === 'queue-keys') return chosen(api, queueKeys(api, path), unsorted)
    if (list === 'exchange-keys') return chosen(api, exchangeKeys(api, path), unsorted)
    return chosenOfList(api, { list, scope, spans }, wish, { from: 0, until: rangeOf(wish).until })
  }

  async #rows({ list, from, until, isLast }: Question & { readonly ask: 'rows' }): Promise<JsonObject[]> {
    const rows = await inSlices(this.#api.runQueue, this.#lists.rows(list, from, until))
    if (isLast && from + rows.length >= until) this.#lists.close(list)
    return rows
  }
}
