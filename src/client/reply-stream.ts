/**
 * The parts of one answer, read by a loop. The responder sends `window` parts and waits for credit, which is given when
 * half of it has been taken; so at most `window` parts wait here.
 */
import type { Timer } from '../base/clock.ts'
import { Call, type CallParts } from './call.ts'
import type { Delivery, OutgoingMessage } from './driver/driver.ts'
import { WarrenError } from './errors.ts'
import { Fifo } from './fifo.ts'
import { numberHeader } from './remote-error.ts'
import { kindOf, wire } from './reply-wire.ts'

export interface ReplyStreamParts<T> extends Omit<CallParts, 'received' | 'ended'> {
  readonly window: number
  /** Before the request is sent: what makes it, by its id. Rejects when it cannot be sent. */
  readonly begin: () => Promise<(id: string) => OutgoingMessage>
  /** After `begin` has resolved, once. */
  readonly over: () => void
  readonly read: (delivery: Delivery) => Promise<T>
}

/** How often the responder hears that somebody still reads, in milliseconds; it gives up after three times that. */
export const stillHereMs = 10_000

export class ReplyStream<T> implements AsyncIterableIterator<T> {
  readonly #parts: ReplyStreamParts<T>
  readonly #came = new Fifo<Delivery>()
  #call: Call | null = null
  #next = 0
  /** Taken since the last credit. */
  #taken = 0
  #error: WarrenError | null = null
  #isOver = false
  #wake: (() => void) | null = null
  #stillHere: Timer | null = null
  /** Calls of `next` are answered one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(parts: ReplyStreamParts<T>) {
    this.#parts = parts
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<T>> {
    const turn = this.#turn.then(() => this.#take())
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** The loop is left: the responder stops. */
  async return(): Promise<IteratorResult<T>> {
    this.#isOver = true
    this.#call?.cancel()
    this.#wake?.()
    return { done: true, value: undefined }
  }

  async #take(): Promise<IteratorResult<T>> {
    if (this.#call === null && !this.#isOver) await this.#begin()
    const call = this.#call
    while (this.#came.length === 0 && !this.#isOver) {
      call?.startTimer()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      call?.stopTimer()
    }
    const delivery = this.#came.shift()
    if (delivery === undefined) return this.#end()
    this.#granted()
    try {
      return { done: false, value: await this.#parts.read(delivery) }
    } catch (error) {
      await this.return()
      this.#came.takeAll()
      throw error
    }
  }

  #end(): IteratorResult<T> {
    const error = this.#error
    this.#error = null
    if (error !== null) throw error
    return { done: true, value: undefined }
  }

  async #begin(): Promise<void> {
    const { begin, over, core, window: _, read: __, ...common } = this.#parts
    const messageFor = await begin()
    // Left meanwhile.
    if (this.#isOver) return over()
    const call = new Call({
      core,
      ...common,
      received: (delivery) => this.#received(call, delivery),
      ended: (error) => {
        this.#stillHere?.cancel()
        over()
        this.#isOver = true
        this.#error = error
        // What is aborted is not read on.
        if (error?.code === 'ABORTED') this.#came.takeAll()
        this.#wake?.()
      },
    })
    this.#call = call
    call.send(messageFor(call.id))
    if (!call.isOver) this.#sayStillHere(call)
  }

  #sayStillHere(call: Call): void {
    this.#stillHere = this.#parts.core.clock.after(stillHereMs, () => {
      call.grant(0)
      this.#sayStillHere(call)
    })
  }

  #received(call: Call, delivery: Delivery): void {
    const kind = kindOf(delivery)
    if (kind === 'accepted') return
    const part = numberHeader(delivery.properties.headers, wire.part)
    if ((kind === 'part' || kind === 'end') && part !== this.#next) return call.end(this.#lost(part))
    this.#next++
    if (kind !== 'end') this.#came.push(delivery)
    // A plain value is a stream of one; an error is thrown when what came before it has been read.
    if (kind !== 'part') call.end(null)
    this.#wake?.()
  }

  #lost(part: number | null): WarrenError {
    const sentence = `Part ${this.#next} of an answer from '${this.#parts.queue}' was lost (${part} came).`
    return new WarrenError('REPLY_LOST', sentence, { mend: 'Ask again: replies come at most once.' })
  }

  #granted(): void {
    this.#taken++
    if (this.#taken * 2 < this.#parts.window || this.#call === null || this.#call.isOver) return
    this.#call.grant(this.#taken)
    this.#taken = 0
  }
}
