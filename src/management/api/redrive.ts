/**
 * Dead letters on their way back to the queues in which they died: published there, and taken away here once that is
 * confirmed. So each comes at least once; when the node stops in between, or somebody takes one meanwhile, twice.
 */

import type { Properties, SomeProperties } from '../../amqp/content-header.ts'
import { changeFields } from '../../amqp/field-table.ts'
import type { Principal, Session } from '../../broker/commands.ts'
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { browsedBodyBytesMax } from '../../broker/ports.ts'
import { ApiError, badRequest } from './answer.ts'
import { type Browsed, browse, forget, type LastDeath, lastDeathOf } from './browsing.ts'
import { publishTo } from './messages.ts'
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
  readonly countMax: number
  /** Messages a second, at most. */
  readonly rate: number
}

type State = 'running' | 'done' | 'stopped' | 'failed'

/** Messages that go back together. */
const sliceMessages = 32
/** Messages looked at together. */
const pageMessages = 100
/** What cannot be published now is tried again so often, after so many milliseconds; then it is given up. */
const attemptsMax = 30
const retryMs = 1_000

/** One run. What comes to the queue after its beginning stays, or what fails again would go round for ever. */
export class Redrive {
  readonly wish: RedriveWish
  readonly #api: Api
  readonly #principal: Principal
  readonly #startedAt: number
  #state: State = 'running'
  #moved = 0
  /** Too large, or held by somebody, or without a queue to go back to. */
  #skipped = 0
  #error: string | null = null

  constructor(api: Api, principal: Principal, wish: RedriveWish) {
    this.#api = api
    this.#principal = principal
    this.wish = wish
    this.#startedAt = api.clock.now()
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  get json(): JsonObject {
    const { queue, reason, rate, countMax } = this.wish
    const facts = { state: this.#state, moved: this.#moved, skipped: this.#skipped, started_at: this.#startedAt }
    return { ...facts, queue, reason, rate, count: countMax, error: this.#error }
  }

  stop(): void {
    if (this.isRunning) this.#state = 'stopped'
  }

  /** Does not reject. */
  async run(): Promise<void> {
    try {
      await this.#pages()
      if (this.isRunning) this.#state = 'done'
    } catch (error) {
      this.#state = 'failed'
      this.#error = error instanceof Error ? error.message : String(error)
      this.#api.logger.warn({ error, queue: this.wish.from, vhost: this.wish.vhost }, 'a redrive has failed')
    }
  }

  async #pages(): Promise<void> {
    for (let after = 0; this.isRunning && this.#moved < this.wish.countMax; ) {
      const page = { after, limit: pageMessages, bodyBytesMax: browsedBodyBytesMax }
      const found = await this.#inSession((session) => browse(this.#api, session, this.wish.from, page))
      const old = found.filter(({ arrivedAt }) => arrivedAt < this.#startedAt)
      await this.#slices(old)
      const last = found.at(-1)
      if (last === undefined || old.length < found.length) return
      after = last.sequence
    }
  }

  async #slices(found: readonly Browsed[]): Promise<void> {
    const { rate, countMax } = this.wish
    const chosen = found.map((message) => ({ message, death: lastDeathOf(message.properties) })).filter(this.#isChosen)
    const size = Math.max(1, Math.min(sliceMessages, rate))
    for (let at = 0; at < chosen.length && this.isRunning; ) {
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
    const { properties, payload, sequence, state, bodyBytes } = message
    const mayGo = state !== 'unacked' && bodyBytes <= payload.length
    const outgoing = { exchange: '', routingKey: to, properties: this.#without(properties), payload }
    if (!mayGo || !(await this.#published(session, outgoing))) {
      this.#skipped++
      return
    }
    await forget(this.#api, session, this.wish.from, sequence)
    this.#moved++
  }

  /** What blocks publishers passes; anything else ends the run. */
  async #published(session: Session, outgoing: Parameters<typeof publishTo>[2]): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await publishTo(this.#api, session, outgoing)
      } catch (error) {
        const mayPass = error instanceof ApiError && error.status === 503
        if (!mayPass || attempt === attemptsMax || !this.isRunning) throw error
      }
      await this.#wait(retryMs)
    }
  }

  /** It goes to one queue, whatever it said of others, and in the name of who sends it back. */
  #without({ headers, userId, ...properties }: Properties): SomeProperties {
    const kept =
      headers === null
        ? null
        : changeFields(
            headers,
            new Map([
              ['CC', null],
              ['BCC', null],
            ]),
          )
    return { ...properties, headers: kept, userId: userId === this.#principal.username ? userId : null }
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

/** Runs at one time, and those that are remembered. */
const runningMax = 16
const rememberedMax = 256

/** The runs of a node: at most one for a queue; of the last one is told until another begins. */
export class Redrives {
  readonly #runs = new Map<string, Redrive>()

  start(api: Api, principal: Principal, wish: RedriveWish): Redrive {
    const key = keyOf(wish.vhost, wish.from)
    if (this.#runs.get(key)?.isRunning === true) throw badRequest('messages of this queue are on their way already')
    const running = [...this.#runs.values()].filter(({ isRunning }) => isRunning)
    if (running.length >= runningMax) {
      throw new ApiError(429, 'too_many_requests', `messages of ${runningMax} queues are on their way already`)
    }
    this.#runs.delete(key)
    for (const [old, run] of this.#runs) if (this.#runs.size >= rememberedMax && !run.isRunning) this.#runs.delete(old)
    const run = new Redrive(api, principal, wish)
    this.#runs.set(key, run)
    void run.run()
    return run
  }

  of(vhost: string, queue: string): Redrive | null {
    return this.#runs.get(keyOf(vhost, queue)) ?? null
  }
}

function keyOf(vhost: string, queue: string): string {
  return JSON.stringify([vhost, queue])
}
