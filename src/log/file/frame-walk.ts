/**
 * Follows the chain of frames through the pages of a segment: what is valid, and what it means when something is not.
 * Shared by recovery, replay and fsck, so that all of them judge alike.
 *
 * Frames of one epoch count up in k; a new epoch begins with a frame whose position is the epoch and whose k is 0. Each
 * frame names the chain of the one before. Where the walk begins (the first frame of a segment) nothing is known of the
 * one before, so the first frame is taken at its word; its own checks and its position still bind it.
 */

import { decodeFrameHeader, FrameHeader, type FramePlace, isFrameIntact, isTableIntact } from './frame.ts'
import type { ChainState } from './frame-builder.ts'

export type FrameState =
  | 'intact' // it is the next frame
  | 'absent' // there is no intact header here
  | 'broken' // it is the next frame, and its payload does not pass its checks
  | 'misfit' // an intact header that is not the next frame

export class FrameWalk {
  readonly header = new FrameHeader()
  epoch = 0
  k = -1
  ordinal = -1
  chain = 0
  isStarted = false

  /** Goes on behind a known frame. */
  startAfter(state: ChainState): void {
    this.epoch = state.epoch
    this.k = state.k
    this.ordinal = state.ordinal
    this.chain = state.chain
    this.isStarted = true
  }

  /** Looks at the frame at `at`, wholly. An intact one is now the last; `header` describes what was found. */
  step(place: FramePlace, at: number, end: number): FrameState {
    const state = this.look(place, at, end)
    if (state !== 'intact') return state
    if (!isFrameIntact(place, at, this.header)) return 'broken'
    this.accept()
    return 'intact'
  }

  /** Like `step`, but checks only header and table and accepts nothing: for those who check the blocks one by one. */
  look(place: FramePlace, at: number, end: number): FrameState {
    if (!decodeFrameHeader(place, at, end, this.header)) return 'absent'
    if (!this.fits(this.header)) return 'misfit'
    return isTableIntact(place, at, this.header) ? 'intact' : 'broken'
  }

  /** The frame in `header` is now the last one. */
  accept(): void {
    this.startAfter(this.header)
  }

  /** It is the one that comes next. */
  fits(header: FrameHeader): boolean {
    const isFirstOfEpoch = header.k === 0 && header.epoch === header.position
    if (!this.isStarted) return isFirstOfEpoch || header.epoch < header.position
    if (header.previousChain !== this.chain || header.ordinal !== this.ordinal + 1) return false
    return header.epoch === this.epoch ? header.k === this.k + 1 : isFirstOfEpoch && header.epoch > this.epoch
  }

  /** It was written after the last one. Epochs are positions, so later epochs are larger. */
  isNewer(header: FrameHeader): boolean {
    return header.epoch > this.epoch || (header.epoch === this.epoch && header.k > this.k)
  }
}
