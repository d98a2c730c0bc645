/**
 * Dead letters on their way back to the queues in which they died, each at least once: when the node stops in between, or
 * somebody takes one meanwhile, twice. For a while the run can be undone.
 */

import type { Principal, Session } from '../../broker/commands.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { browsedBodyBytesMax } from '../../broker/ports.ts'
import { badRequest } from './answer.ts'
import { type Browsed, browse, type LastDeath, lastDeathOf } from './browsing.ts'
import { move } from './moving.ts'
import { RedriveUndo } from './redrive-undo.ts'
import type { Api } from './route.ts'

/** Which messages go back, and how fast. */
export interface RedriveWish {
  readonly vhost: string
  /** Where they are. */
  readonly from: string
  /** Only those that died there; null: wherever. */
  readonly queue: string | null
  /** Only those that died of it; null: of whatever. */
  readonly reason: string | null
  /** Only this one; null: all of them. */
  readonly sequence: number | null
  readonly countMax: number
  /** Messages a second, at most. */
  readonly rate: number
}

type State = 'running' | 'done' | 'stopped' | 'failed'

/** Messages that go back together. */
const sliceMessages = 32
/** Messages looked at together. */
const pageMessages = 100
/** How long after its end a run can be undone, in milliseconds. */
export const undoMsMax = 600_000

/** One run. What comes to the queue after its beginning stays, or what fails again would go round for ever. */
export class Redrive {
  readonly wish: RedriveWish
  /** Of 96 random bits. */
  readonly id: string
  /** Wall time in milliseconds. */
  readonly startedAt: number
  readonly #api: Api
  readonly #principal: Principal
  #state: State = 'running'
  #endedAt = 0
  #moved = 0
  /** Held by somebody, or without a queue to go back to. */
  #skipped = 0
  #error: string | null = null
  /** The queues that have got some. */
  readonly #targets = new Set<string>()
  #undo: RedriveUndo | null = null
  #ended: Promise<void> = Promise.resolve()

  constructor(api: Api, principal: Principal, wish: RedriveWish) {
    this.#api = api
    this.#principal = principal
    this.wish = wish
    this.id = Buffer.from(api.random.bytes(12)).toString('base64url')
    this.startedAt = api.clock.now()
  }

  get isRunning(): boolean {
    return this.#state === 'running' || this.#undo?.isRunning === true
  }

  get json(): JsonObject {
    const { queue, reason, rate, countMax } = this.wish
    const facts = { state: this.#state, moved: this.#moved, skipped: this.#skipped, started_at: this.startedAt }
    const undo = { undo_until: this.#undoUntil(), undo: this.#undo?.json ?? null }
    return { ...facts, queue, reason, rate, count: countMax, error: this.#error, ...undo }
  }

  /** Wall time in milliseconds; null: it cannot be undone, or not any more. */
  #undoUntil(): number | null {
    const { clock } = this.#api
    if (this.#moved === 0 || this.#undo !== null) return null
    const until = (this.#state === 'running' ? clock.now() : this.#endedAt) + undoMsMax
    return clock.now() < until ? until : null
  }

  start(): void {
    this.#ended = this.#run()
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped'
  }

  /** Begins to bring back, by their rights, what nobody has taken yet. Throws 400 when it is too late, or there is nothing. */
  undo(principal: Principal): void {
    if (this.#undoUntil() === null) throw badRequest('there is nothing to undo, or it is too late for it')
    this.stop()
    const { vhost, from } = this.wish
    const undo = new RedriveUndo(this.#api, principal, { vhost, to: from, run: this.id, since: this.startedAt })
    this.#undo = undo
    void this.#ended.then(() => undo.run(this.#targets, this.#moved))
  }

  /** Does not reject. */
  async #run(): Promise<void> {
    try {
      await this.#pages()
      if (this.#state === 'running') this.#state = 'done'
    } catch (error) {
      this.#state = 'failed'
      this.#error = error instanceof Error ? error.message : String(error)
      this.#api.logger.warn({ error, queue: this.wish.from, vhost: this.wish.vhost }, 'a redrive has failed')
    }
    this.#endedAt = this.#api.clock.now()
  }

  async #pages(): Promise<void> {
    const { sequence, from, countMax } = this.wish
    const limit = sequence === null ? pageMessages : 1
    for (let after = (sequence ?? 1) - 1; this.#state === 'running' && this.#moved < countMax; ) {
      const page = { after, limit, bodyBytesMax: browsedBodyBytesMax }
      const found = await this.#inSession((session) => browse(this.#api, session, from, page))
      const old = found.filter((message) => this.#isOld(message))
      await this.#slices(old)
      const last = found.at(-1)
      if (last === undefined || old.length < found.length || sequence !== null) return
      after = last.sequence
    }
  }

  #isOld({ arrivedAt, sequence }: Browsed): boolean {
    const { wish } = this
    return wish.sequence === null ? arrivedAt < this.startedAt : sequence === wish.sequence
  }

  async #slices(found: readonly Browsed[]): Promise<void> {
    const { rate, countMax } = this.wish
    const chosen = found.map((message) => ({ message, death: lastDeathOf(message.properties) })).filter(this.#isChosen)
    const size = Math.max(1, Math.min(sliceMessages, rate))
    for (let at = 0; at < chosen.length && this.#state === 'running'; ) {
      const slice = chosen.slice(at, at + Math.min(size, countMax - this.#moved))
      if (slice.length === 0) return
      at += slice.length
      const begin = this.#api.clock.monotonic()
      await this.#inSession((session) =>
        Promise.all(slice.map(({ message, death }) => this.#move(session, message, death?.queue ?? ''))),
      )
      await this.#wait(begin + (slice.length * 1_000) / rate - this.#api.clock.monotonic())
    }
  }

  readonly #isChosen = ({ death }: { readonly death: LastDeath | null }): boolean => {
    const { queue, reason, from } = this.wish
    if (death === null || death.queue === from) return false
    return (queue === null || death.queue === queue) && (reason === null || death.reason === reason)
  }

  async #move(session: Session, message: Browsed, to: string): Promise<void> {
    const { from } = this.wish
    const mayWait = (): boolean => this.#state === 'running'
    const mark = `${this.id}.${message.sequence}`
    const wish = { from, to, message, direction: 'away', mark, mayWait } as const
    // Noted before, so that what a failure leaves behind is found by an undo, too.
    this.#targets.add(to)
    const outcome = message.state === 'unacked' ? 'left' : await move(this.#api, session, wish)
    if (outcome === 'left') this.#skipped++
    else this.#moved++
  }

  async #inSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const { broker } = this.#api
    const session = broker.openSession(this.#principal, this.wish.vhost)
    try {
      return await work(session)
    } finally {
      broker.closeSession(session, () => {})
    }
  }

  async #wait(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => void this.#api.clock.after(ms, resolve))
  }
}
