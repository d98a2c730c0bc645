/** The other nodes as one request asks them: all at once, and none of them for long. */
import type { ClusterFacts } from '../../cluster-facts.ts'
import { type Answer, ApiError } from '../answer.ts'
import type { Api } from '../route.ts'
import type { AnswerTo, Question } from './question.ts'

/** A node that takes longer is left out, in milliseconds. */
export const answerMsMax = 2_000

/** Names the nodes whose part is missing, for want of an answer. */
export const unansweredHeader = 'warren-unanswered-nodes'

export class NodesAsked {
  readonly #cluster: ClusterFacts | null
  readonly #unanswered = new Set<string>()

  constructor({ cluster }: Pick<Api, 'cluster'>) {
    this.#cluster = cluster
  }

  /** Those that run, by name. */
  get running(): readonly string[] {
    return (this.#cluster?.otherNodes ?? []).filter(({ isLive }) => isLive).map(({ name }) => name)
  }

  /** Those that have not answered. */
  get unanswered(): readonly string[] {
    return [...this.#unanswered].sort()
  }

  /** Null: it has no answer in so many milliseconds, and is noted. */
  async one<Q extends Question>(node: string, question: Q, msMax = answerMsMax): Promise<AnswerTo<Q> | null> {
    try {
      const bytes = await this.#cluster?.ask(node, new TextEncoder().encode(JSON.stringify(question)), msMax)
      return JSON.parse(new TextDecoder().decode(bytes)) as AnswerTo<Q>
    } catch {
      this.#unanswered.add(node)
      return null
    }
  }

  /** Those that have answered, in the order of their names. */
  async all<Q extends Question>(question: Q): Promise<readonly (readonly [node: string, answer: AnswerTo<Q>])[]> {
    const asked = this.running.map(async (node) => [node, await this.one(node, question)] as const)
    const answers: (readonly [string, AnswerTo<Q>])[] = []
    for (const [node, answer] of await Promise.all(asked)) if (answer !== null) answers.push([node, answer])
    return answers
  }

  /** The answer, with whose part is missing in it. */
  noted(answer: Answer): Answer {
    if (this.#unanswered.size === 0) return answer
    return { ...answer, headers: { ...answer.headers, [unansweredHeader]: this.unanswered.join(', ') } }
  }

  /** Throws 503 when what was asked for may be left undone somewhere. */
  requireAll(what: string): void {
    if (this.#unanswered.size === 0) return
    const reason = `${what}: no answer of ${this.unanswered.join(', ')}; ask again`
    throw new ApiError(503, 'service_unavailable', reason)
  }
}
