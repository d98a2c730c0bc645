/** The HTTP APIs of several nodes that ask one another, without links: what goes over them is counted, and a node may stop answering. */

import { ManualClock } from '../../../src/base/clock.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import { LoginLedger } from '../../../src/broker/access/login-ledger.ts'
import { OwnAnswers } from '../../../src/management/api/all-nodes/answers.ts'
import type { ClusterFacts, ClusterReport, OtherNode } from '../../../src/management/cluster-facts.ts'
import { ApiHarness } from './api-harness.ts'

export class LinkedApis {
  readonly apis: ApiHarness[] = []
  /** Of questions and answers, since it was set to 0. */
  bytes = 0
  questions = 0
  /** Names of nodes that do not answer, or not from their so-many-th question on. */
  readonly silent = new Map<string, number>()
  readonly #answers = new Map<string, OwnAnswers>()

  static async open(count: number): Promise<LinkedApis> {
    const linked = new LinkedApis()
    const names = Array.from({ length: count }, (_, index) => `n${index + 1}`)
    for (const name of names) {
      const api = await ApiHarness.open({ name: `warren@${name}` }, new Linked(linked, name, names))
      linked.apis.push(api)
      linked.#answers.set(name, new OwnAnswers(api.parts))
    }
    return linked
  }

  api(index: number): ApiHarness {
    const api = this.apis[index]
    if (api === undefined) throw new Error(`there is no node ${index}`)
    return api
  }

  async ask(node: string, question: Uint8Array): Promise<Uint8Array> {
    const left = this.silent.get(node) ?? Number.POSITIVE_INFINITY
    if (left <= 0) throw new Error(`node '${node}' has not answered`)
    this.silent.set(node, left - 1)
    const answers = this.#answers.get(node)
    if (answers === undefined) throw new Error(`there is no node ${node}`)
    const answer = await answers.answer(question)
    this.questions++
    this.bytes += question.length + answer.length
    return answer
  }
}

class Linked implements ClusterFacts {
  readonly name = 'a cluster'
  readonly remoteAlarms: ReadonlyMap<string, readonly string[]> = new Map()
  readonly node: string
  readonly loginLedger: LoginLedger
  readonly #linked: LinkedApis
  readonly #names: readonly string[]

  constructor(linked: LinkedApis, node: string, names: readonly string[]) {
    this.#linked = linked
    this.node = node
    const random = new SeededRandom(names.indexOf(node))
    this.loginLedger = new LoginLedger({ clock: new ManualClock(), random, secret: 'of all nodes' })
    this.#names = names
  }

  get otherNodes(): readonly OtherNode[] {
    return this.#names.filter((name) => name !== this.node).map((name) => ({ name, isLive: true }))
  }

  ownerOf(): string {
    return 'n1'
  }

  ask(node: string, question: Uint8Array): Promise<Uint8Array> {
    return this.#linked.ask(node, question)
  }

  answers(): void {}

  report(): ClusterReport {
    const status = { clusterId: 'c1', node: this.node, isCurrent: true, nodes: [], shards: [], missingLinks: [] }
    const nats = { servers: [], problems: [], progressAgeMs: 1, progressAgeMsMax: 5_000 }
    return { name: this.name, status, positions: [], nats }
  }

  setDraining(): Promise<void> {
    return Promise.resolve()
  }

  removeNode(): Promise<void> {
    return Promise.resolve()
  }
}
