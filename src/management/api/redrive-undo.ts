/**
 * Takes a redrive back: what lies untouched in the queues it went to comes back to where it had been, each published
 * there and confirmed before it is taken away. What a consumer has, or had, stays with it.
 */
import type { Principal, Session } from '../../broker/commands.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { BrokerError } from '../../broker/errors.ts'
import { browsedBodyBytesMax } from '../../broker/ports.ts'
import { browse, forget } from './browsing.ts'
import { markOf, move } from './moving.ts'
import type { Api } from './route.ts'

export interface UndoWish {
  readonly vhost: string
  /** The queue to which they come back. */
  readonly to: string
  /** Whose marks they bear. */
  readonly run: string
  /** When the run began: wall time in milliseconds. */
  readonly since: number
}

/** Messages looked at, and brought back, together: so many may be in both queues when the node stops. */
const pageMessages = 32
/** Clocks of nodes may differ by so much, in milliseconds. */
const skewMs = 60_000

export class RedriveUndo {
  readonly #api: Api
  readonly #principal: Principal
  readonly #wish: UndoWish
  #state: 'running' | 'done' | 'failed' = 'running'
  #undone = 0
  /** How many there were; known when it is over. */
  #moved = 0
  #error: string | null = null

  constructor(api: Api, principal: Principal, wish: UndoWish) {
    this.#api = api
    this.#principal = principal
    this.#wish = wish
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  get json(): JsonObject {
    const taken = this.#state === 'done' ? Math.max(0, this.#moved - this.#undone) : null
    return { state: this.#state, undone: this.#undone, taken, error: this.#error }
  }

  /** Does not reject. */
  async run(queues: Iterable<string>, moved: number): Promise<void> {
    this.#moved = moved
    try {
      for (const queue of queues) await this.#inSession((session) => this.#bringBack(session, queue))
      this.#state = 'done'
    } catch (error) {
      this.#state = 'failed'
      this.#error = error instanceof Error ? error.message : String(error)
      this.#api.logger.warn({ error, queue: this.#wish.to, vhost: this.#wish.vhost }, 'an undo of a redrive has failed')
    }
  }

  async #bringBack(session: Session, queue: string): Promise<void> {
    try {
      const begin = await firstSince(this.#api, session, queue, this.#wish.since - skewMs)
      for (let after = begin; ; ) {
        const found = await browse(this.#api, session, queue, { after, limit: pageMessages, bodyBytesMax: 0 })
        const last = found.at(-1)
        if (last === undefined) return
        const ours = found.filter((message) => markOf(message)?.startsWith(`${this.#wish.run}.`) === true)
        await Promise.all(ours.map(({ sequence }) => this.#moveBack(session, queue, sequence)))
        after = last.sequence
      }
    } catch (error) {
      // The queue was deleted, and what was in it is gone.
      if (!(error instanceof BrokerError && error.kind === 'not-found')) throw error
    }
  }

  async #moveBack(session: Session, queue: string, sequence: number): Promise<void> {
    const page = { after: sequence - 1, limit: 1, bodyBytesMax: browsedBodyBytesMax }
    const [message] = await browse(this.#api, session, queue, page)
    if (message?.sequence !== sequence || message.state === 'unacked') return
    const { to } = this.#wish
    const begun = this.#api.clock.now()
    const mark = markOf(message) ?? ''
    const outcome = await move(this.#api, session, {
      from: queue,
      to,
      message,
      direction: 'back',
      mark,
      mayWait: () => true,
    })
    if (outcome === 'moved') this.#undone++
    // A consumer took it while it was brought back, and is to be the only one who has it.
    if (outcome === 'copied') await this.#withdraw(session, mark, begun)
  }

  async #withdraw(session: Session, mark: string, since: number): Promise<void> {
    const { to } = this.#wish
    for (let after = await firstSince(this.#api, session, to, since - skewMs); ; ) {
      const found = await browse(this.#api, session, to, { after, limit: pageMessages, bodyBytesMax: 0 })
      const copy = found.find((message) => markOf(message) === mark && message.arrivedAt >= since - skewMs)
      if (copy !== undefined) return void (await forget(this.#api, session, to, copy.sequence))
      const last = found.at(-1)
      if (last === undefined) return
      after = last.sequence
    }
  }

  async #inSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const { broker } = this.#api
    const session = broker.openSession(this.#principal, this.#wish.vhost)
    try {
      return await work(session)
    } finally {
      broker.closeSession(session, () => {})
    }
  }
}

/**
 * A sequence behind which all messages arrived at this time or later, found in some 50 looks however long the queue is:
 * messages stand in the order in which they arrived.
 */
async function firstSince(api: Api, session: Session, queue: string, since: number): Promise<number> {
  const isLate = async (after: number): Promise<boolean> => {
    const [next] = await browse(api, session, queue, { after, limit: 1, bodyBytesMax: 0 })
    return next === undefined || next.arrivedAt >= since
  }
  if (await isLate(0)) return 0
  let [early, late] = [0, 1]
  while (!(await isLate(late))) [early, late] = [late, late * 2]
  while (late - early > 1) {
    const middle = Math.floor((early + late) / 2)
    if (await isLate(middle)) late = middle
    else early = middle
  }
  return late
}
