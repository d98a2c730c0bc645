import { BrokerError } from '../../broker/errors.ts'
import type { Reply } from '../../broker/ports.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { ChangeResult, TopologyAuthority, TopologyChange } from '../../broker/topology-authority.ts'
import type { Position } from '../../log/log.ts'
import { type Answer, decodeChange, encodeAnswer } from './change-codec.ts'
import type { Lane } from './lane.ts'
import { type Ask, answerMessage } from './topology-message.ts'

/**
 * The owner's side: makes what others ask for and answers when it is committed. An answer that was not sent when the
 * owner resigns never is; the asker asks the next one.
 */
export class Answering {
  readonly #topology: Topology
  readonly #changes: TopologyAuthority
  /** Positions in order, as they were appended. */
  #uncommitted: { readonly position: Position; readonly send: () => void }[] = []
  #isServing = false
  /** Grows with each time that this node begins to serve: what an earlier time was asked is not answered by a later one. */
  #turn = 0

  constructor(topology: Topology, changes: TopologyAuthority) {
    this.#topology = topology
    this.#changes = changes
    topology.hearCommits((position) => this.#committed(position))
  }

  begin(): void {
    this.#isServing = true
    this.#turn++
  }

  /** Makes nothing more. What has been made is answered as it is committed, until `end`. */
  stop(): void {
    this.#isServing = false
  }

  end(): void {
    this.#isServing = false
    this.#turn++
    this.#uncommitted = []
  }

  /** For this node's own changes as well: what is asked for again may have been done, and then it is done. */
  maker(isAgain: boolean): TopologyAuthority {
    return isAgain
      ? { ask: (change, reply) => this.#changes.ask(change, this.#forgiving(change, reply)) }
      : this.#changes
  }

  asked(lane: Lane, { number, isAgain, change: bytes }: Ask): void {
    const turn = this.#turn
    const answer = (answered: Answer): void => {
      if (this.#turn === turn) lane.send(answerMessage(number, encodeAnswer(answered)))
    }
    if (!this.#isServing) return answer({ kind: 'repeat' })
    const reply: Reply<ChangeResult> = {
      done: (result, position) => {
        if (this.#turn === turn) this.#whenCommitted(position, () => answer({ kind: 'done', result, position }))
      },
      failed: ({ kind: error, message: text }) => {
        // What failed because this node makes no more changes has not failed.
        if (this.#isServing) answer({ kind: 'failed', error, text })
      },
    }
    try {
      this.maker(isAgain).ask(decodeChange(bytes, this.#topology), reply)
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      reply.failed(error)
    }
  }

  #forgiving(change: TopologyChange, reply: Reply<ChangeResult>): Reply<ChangeResult> {
    return {
      done: (result, position) => reply.done(result, position),
      failed: (error) => {
        if (error.kind === 'not-found' && change.kind.startsWith('delete-')) reply.done(gone, this.#topology.pending)
        else reply.failed(error)
      },
    }
  }

  #whenCommitted(position: Position, send: () => void): void {
    if (position <= this.#topology.committed) send()
    else this.#uncommitted.push({ position, send })
  }

  #committed(position: Position): void {
    if (this.#uncommitted.length === 0) return
    const waiting = this.#uncommitted
    this.#uncommitted = waiting.filter((one) => one.position > position)
    for (const one of waiting) if (one.position <= position) one.send()
  }
}

const gone: ChangeResult = { isNew: false, warnings: [], refusal: null }
