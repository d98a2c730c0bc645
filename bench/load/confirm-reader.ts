import type { Histogram } from '../stats/histogram.ts'
import { frameEnd } from '../wire/frame-end.ts'
import { FrameType, MethodId } from '../wire/method-ids.ts'
import type { FrameReader } from '../wire/read-buffer.ts'
import type { ConfirmWindow } from './confirm-window.ts'
import { monotonicMs } from './monotonic-time.ts'
import type { Problems } from './problems.ts'

export interface ConfirmReaderOptions {
  readonly frameBytesMax: number
  /** Null: no confirms were asked for. */
  readonly window: ConfirmWindow | null
  readonly latency: Histogram
  /** Durations count for publishes sent in [measuredFrom, measuredUntil). */
  readonly board: { readonly measuredFrom: number; readonly measuredUntil: number }
  readonly problems: Problems
  /** Gets every method frame that is no confirm. */
  readonly control: (view: DataView, frameStart: number, frameEndAt: number) => void
}

/** Parses a publisher's confirms where they lie: single or multiple, acks or nacks, in any order. */
export class ConfirmReader implements FrameReader {
  confirmed = 0
  nacked = 0
  readonly #options: ConfirmReaderOptions

  constructor(options: ConfirmReaderOptions) {
    this.#options = options
  }

  read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const now = monotonicMs()
    const { frameBytesMax } = this.#options
    let at = start
    for (;;) {
      const next = frameEnd(bytes, view, at, end, frameBytesMax)
      if (next === 0) return at
      if (bytes[at] === FrameType.Method) this.#method(bytes, view, at, next, now)
      at = next
    }
  }

  #method(bytes: Uint8Array, view: DataView, at: number, next: number, now: number): void {
    const method = view.getUint32(at + 7)
    if (method !== MethodId.BasicAck && method !== MethodId.BasicNack) {
      this.#options.control(view, at, next)
      return
    }
    const sequence = view.getUint32(at + 11) * 0x1_0000_0000 + view.getUint32(at + 15)
    const isMultiple = ((bytes[at + 19] as number) & 1) === 1
    const { window, latency, board, problems } = this.#options
    const settled = window?.settle(sequence, isMultiple, now, latency, board.measuredFrom, board.measuredUntil) ?? 0
    if (settled === 0) problems.add(`a confirm for ${sequence}, which was not waiting for one`)
    this.confirmed += settled
    if (method === MethodId.BasicNack) this.nacked += settled
  }
}
