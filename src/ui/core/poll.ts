/**
 * What a view shows, asked for again and again: one request at a time, none while nobody looks at the page. The last
 * answer stays when a later request fails, and the page says how old it is.
 */

import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiFailure, ask } from './api.ts'
import { pace, paces, renewals } from './pace.ts'
import { type Signal, signal } from './signal.ts'
import { after, now } from './time.ts'

export interface Polled<T> {
  /** Null until the first answer. */
  readonly data: T | null
  /** Of the last request; null when it was answered. */
  readonly failure: ApiFailure | null
  /** When `data` came, in milliseconds since 1970. */
  readonly at: number
}

/** Views whose last request failed for want of an answer, for the one line that says so. */
export const unanswered: Signal<number> = signal(0)
export const defaultEveryMs = 5_000
/** After a failure, at most. */
const retryMsMax = 30_000
/** An answer that took long is asked for less often: the page has at most a tenth of anybody's time. */
const restFactor = 9

const nothing = { data: null, failure: null, at: 0 }

class Poller<T> {
  readonly #path: string
  readonly #everyMs: number
  readonly #show: (polled: Polled<T>) => void
  #polled: Polled<T> = nothing
  #failures = 0
  #request: AbortController | null = null
  #cancelTimer: () => void = () => {}
  #isStopped = false
  readonly #visibilityChanged = (): void => this.#looked()

  constructor(path: string, everyMs: number, show: (polled: Polled<T>) => void) {
    this.#path = path
    this.#everyMs = everyMs
    this.#show = show
    document.addEventListener('visibilitychange', this.#visibilityChanged)
    this.now()
  }

  now(): void {
    this.#cancelTimer()
    this.#request?.abort()
    void this.#ask()
  }

  stop(): void {
    this.#isStopped = true
    document.removeEventListener('visibilitychange', this.#visibilityChanged)
    this.#cancelTimer()
    this.#request?.abort()
    if (this.#failures > 0) unanswered.value--
  }

  #looked(): void {
    // What is asked for once stays as it is, whoever looks away and back.
    const isOver = this.#everyMs === 0 && this.#polled.data !== null
    if (document.visibilityState === 'visible' && !isOver) this.now()
    else this.#cancelTimer()
  }

  async #ask(): Promise<void> {
    const request = new AbortController()
    this.#request = request
    const askedAt = now()
    try {
      const data = await ask<T>('GET', this.#path, { signal: request.signal })
      if (request.signal.aborted) return
      this.#counted(false)
      this.#polled = { data, failure: null, at: now() }
    } catch (error) {
      if (request.signal.aborted || this.#isStopped) return
      const failure = error instanceof ApiFailure ? error : new ApiFailure(0, String(error))
      this.#counted(failure.status === 0 || failure.status >= 500)
      this.#polled = { ...this.#polled, failure }
    }
    this.#show(this.#polled)
    if (document.visibilityState !== 'visible' || this.#everyMs === 0) return
    const backOff = Math.min(this.#everyMs * 2 ** Math.min(this.#failures, 5), Math.max(retryMsMax, this.#everyMs))
    const waitMs = Math.max(backOff, (now() - askedAt) * restFactor)
    this.#cancelTimer = after(waitMs, () => this.now())
  }

  #counted(isUnanswered: boolean): void {
    const before = this.#failures
    this.#failures = isUnanswered ? before + 1 : 0
    if (before === 0 && isUnanswered) unanswered.value++
    if (before > 0 && !isUnanswered) unanswered.value--
  }
}

export interface PollOptions {
  /** Milliseconds from an answer to the next request; 0: asked once. */
  readonly everyMs?: number
  /** However seldom the user wants the rest. */
  readonly isUrgent?: boolean
}

/** Polls a path while the component is there; null asks for nothing. */
export function usePoll<T>(
  path: string | null,
  { everyMs: wantedMs = defaultEveryMs, isUrgent = false }: PollOptions = {},
): Polled<T> & { refresh(): void } {
  const [shown, show] = useState<{ path: string | null; polled: Polled<T> }>({ path, polled: nothing })
  const poller = useRef<Poller<T> | null>(null)
  const leastMs = isUrgent ? paces.live : paces[pace.value]
  const everyMs = wantedMs === 0 || leastMs === 0 ? 0 : Math.max(wantedMs, leastMs)
  useEffect(() => {
    if (path === null) return
    const made = new Poller<T>(path, everyMs, (polled) => show({ path, polled }))
    poller.current = made
    return () => {
      made.stop()
      poller.current = null
    }
  }, [path, everyMs, renewals.value])
  // While another page of a list is on its way the one before stays, so that nothing jumps.
  const polled = shown.polled
  return { ...polled, refresh: () => poller.current?.now() }
}
