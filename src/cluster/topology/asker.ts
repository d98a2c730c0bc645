import type { Clock, Timer } from '../../base/clock.ts'
import { BrokerError } from '../../broker/errors.ts'
import type { Reply } from '../../broker/ports.ts'
import type { ChangeResult, TopologyAuthority, TopologyChange } from '../../broker/topology-authority.ts'
import type { Position } from '../../log/log.ts'
import { type Answer, encodeChange } from './change-codec.ts'
import { type Lane, wholeMessageBytesMax } from './lane.ts'
import { askMessage } from './topology-message.ts'

/** Changes of one node that may wait for an answer; more are refused. */
export const asksMax = 10_000
/** How long clients wait for the answer to a change, in milliseconds. What is owed has all the time there is. */
export const askMsMax = 30_000
/** How often is looked who has waited too long, in milliseconds. */
const lookMs = 1_000

/** Who makes changes, as far as this node knows: itself, another node it has a link to, or nobody. */
export type Owner = { readonly kind: 'self' } | { readonly kind: 'peer'; readonly lane: Lane } | null

interface Asked {
  readonly number: number
  readonly change: TopologyChange
  readonly reply: Reply<ChangeResult>
  /** By the monotonic clock. */
  readonly since: number
  /** Some owner has been asked, and may have done it. */
  isAgain: boolean
  /** The owner that is to answer. */
  askedOf: Owner
}

/**
 * The changes that this node has asked for and that are not answered. Whoever is the owner is asked, in the order in which
 * they came; when that changes the next one is asked again, under the same number. A change may so be made twice:
 * making what is there and removing what is gone change nothing.
 */
export class Asker {
  readonly #parts: AskerParts
  readonly #asked = new Map<number, Asked>()
  /** Removals that are owed, by id: nobody asks for them twice. */
  readonly #owed = new Set<number>()
  #lastNumber = 0
  #owner: Owner = null
  #timer: Timer | null = null

  constructor(parts: AskerParts) {
    this.#parts = parts
  }

  get count(): number {
    return this.#asked.size
  }

  ask(change: TopologyChange, reply: Reply<ChangeResult>): void {
    if (isOwed(change)) {
      if (this.#owed.has(change.id)) return reply.done(nothingNew, 0)
      this.#owed.add(change.id)
    } else if (this.#asked.size >= asksMax && change.kind !== 'close-session') {
      throw new BrokerError('internal-error', `more than ${asksMax} changes of definitions wait for ${this.#whom()}`)
    }
    const since = this.#parts.clock.monotonic()
    const number = ++this.#lastNumber
    const asked: Asked = { number, change, reply, since, isAgain: false, askedOf: null }
    this.#asked.set(number, asked)
    asked.askedOf = this.#owner
    this.#send(asked)
    if (this.#asked.size > 0) this.#startLooking()
  }

  /** Asks the new one whatever is not answered. */
  ownerIs(owner: Owner): void {
    this.#owner = owner
    for (const asked of [...this.#asked.values()]) {
      if (!this.#asked.has(asked.number)) continue
      asked.askedOf = owner
      if (owner !== null && isOwed(asked.change)) this.#sendIfDue(asked, asked.change.id)
      else this.#send(asked)
    }
  }

  /** What somebody says who is asked no more is passed over: it will be asked again, or has been. */
  answered(lane: Lane, number: number, answer: Answer): void {
    const asked = this.#asked.get(number)
    if (asked?.askedOf?.kind !== 'peer' || asked.askedOf.lane !== lane) return
    if (answer.kind === 'repeat') asked.askedOf = null
    else if (answer.kind === 'failed') this.#take(asked)?.failed(new BrokerError(answer.error, answer.text))
    else this.#done(asked, answer.result, answer.position)
  }

  close(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Whoever owes it has looked before; while it waited that may have become otherwise. */
  #sendIfDue(asked: Asked, id: number): void {
    const owner = this.#owner
    this.#parts.whetherDue(id, (isDue) => {
      if (asked.askedOf !== owner || this.#owner !== owner) return
      if (isDue) this.#send(asked)
      else this.#take(asked)?.done(nothingNew, 0)
    })
  }

  #send(asked: Asked): void {
    const owner = asked.askedOf
    if (owner === null) return
    const { isAgain } = asked
    asked.isAgain = true
    if (owner.kind === 'self') this.#makeHere(asked, owner, isAgain)
    else this.#askPeer(asked, owner.lane, isAgain)
  }

  #askPeer(asked: Asked, lane: Lane, isAgain: boolean): void {
    const message = askMessage(asked.number, isAgain, encodeChange(asked.change))
    if (message.length <= wholeMessageBytesMax) return lane.send(message)
    const text = `a change of ${message.length} bytes is more than the ${wholeMessageBytesMax} that another node takes`
    this.#take(asked)?.failed(new BrokerError('precondition-failed', text))
  }

  #makeHere(asked: Asked, owner: Owner, isAgain: boolean): void {
    // An owner that has resigned meanwhile has not made it, or not all of it.
    const isStill = (): boolean => asked.askedOf === owner && this.#owner === owner
    this.#parts.maker(isAgain).ask(asked.change, {
      done: (result, position) => {
        if (isStill()) this.#take(asked)?.done(result, position)
      },
      failed: (error) => {
        if (isStill()) this.#take(asked)?.failed(error)
      },
    })
  }

  /** The answer takes for granted what this node may not know yet. */
  #done(asked: Asked, result: ChangeResult, position: Position): void {
    const reply = this.#take(asked)
    if (reply !== null) this.#parts.caughtUpTo(position, () => reply.done(result, position))
  }

  #take(asked: Asked): Reply<ChangeResult> | null {
    if (isOwed(asked.change)) this.#owed.delete(asked.change.id)
    return this.#asked.delete(asked.number) ? asked.reply : null
  }

  #startLooking(): void {
    this.#timer ??= this.#parts.clock.after(lookMs, () => {
      this.#timer = null
      this.#look()
      if (this.#asked.size > 0) this.#startLooking()
    })
  }

  #look(): void {
    const before = this.#parts.clock.monotonic() - askMsMax
    for (const asked of [...this.#asked.values()]) {
      if (asked.since > before) break
      if (isPatient(asked)) continue
      const text = `definitions cannot be changed at the moment: ${askMsMax / 1_000} s were waited for ${this.#whom()}`
      this.#take(asked)?.failed(new BrokerError('internal-error', text))
    }
  }

  #whom(): string {
    if (this.#owner?.kind === 'peer') return `node '${this.#owner.lane.peer.name}', which makes them`
    return this.#owner === null ? this.#parts.whoIsAwaited() : 'this node to make them'
  }
}

export interface AskerParts {
  readonly clock: Clock
  /** Makes changes while this node is the owner; `isAgain`: perhaps for the second time. */
  maker(isAgain: boolean): TopologyAuthority
  caughtUpTo(position: Position, done: () => void): void
  /** Answers, once, whether a removal that is owed still is, when that is known for sure. */
  whetherDue(id: number, answer: (isDue: boolean) => void): void
  /** While nobody is asked: for the sentence that says so. */
  whoIsAwaited(): string
}

const nothingNew: ChangeResult = { isNew: false, warnings: [], refusal: null }

type Removal = Extract<TopologyChange, { kind: 'remove' }>

function isOwed(change: TopologyChange): change is Removal {
  return change.kind === 'remove' && change.isOwed
}

/** Nobody is told that these fail; and what takes long is not given up while somebody works on it. */
function isPatient({ change, askedOf }: Asked): boolean {
  if (change.kind === 'close-session' || isOwed(change)) return true
  return askedOf !== null && (change.kind === 'import-definitions' || change.kind === 'delete-vhost')
}
