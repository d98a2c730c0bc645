/**
 * What others know of a member whose address refuses this node: as long as one of them is linked to it, its process lives,
 * and what refuses is a firewall in between. When a process ends, all its links are down at once.
 *
 *     question   incarnation u32 | name          answer   u8 1: linked, 0: not
 */
import type { Clock } from '../../base/clock.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { type Peers, services } from '../peers.ts'
import { readUint32, writeUint32 } from './link-codec.ts'
import { Requests } from './requests.ts'

export interface WitnessesParts {
  readonly peers: Peers
  readonly clock: Clock
  /** Whether this node is linked to it. */
  readonly isLinked: (member: NodeIdentity) => boolean
  /** How long the others are waited for, in milliseconds. Who has not answered then has seen nothing. */
  readonly waitMsMax: number
}

export class Witnesses {
  readonly #parts: WitnessesParts
  readonly #requests: Requests

  /** Before the links start. */
  constructor(parts: WitnessesParts) {
    this.#parts = parts
    this.#requests = new Requests({ peers: parts.peers, clock: parts.clock, timeoutMs: parts.waitMsMax })
    this.#requests.serve(services.witnesses, {
      answer: (_peer, question) => Uint8Array.of(parts.isLinked(decodeQuestion(question)) ? 1 : 0),
    })
  }

  /** The name of a node that is linked to this member; null when none says so in time. Never rejects. */
  async find(member: NodeIdentity): Promise<string | null> {
    const question = encodeQuestion(member)
    const others = [...this.#parts.peers.all].filter(({ name }) => name !== member.name)
    const answers = others.map(async ({ name }) => {
      const answer = await this.#requests.ask(name, services.witnesses, question)
      if (answer[0] !== 1) throw new Error('not linked')
      return name
    })
    return await Promise.any(answers).catch(() => null)
  }
}

function encodeQuestion({ name, incarnation }: NodeIdentity): Uint8Array {
  const text = new TextEncoder().encode(name)
  const question = new Uint8Array(incarnationBytes + text.length)
  writeUint32(question, 0, incarnation)
  question.set(text, incarnationBytes)
  return question
}

/** Throws `RangeError` when it is too short; the other node is told so. */
function decodeQuestion(question: Uint8Array): NodeIdentity {
  if (question.length < incarnationBytes)
    throw new RangeError('a question about a member is shorter than its incarnation')
  const name = new TextDecoder().decode(question.subarray(incarnationBytes))
  return { name, incarnation: readUint32(question, 0) }
}

const incarnationBytes = 4
