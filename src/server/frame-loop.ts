import { readUint32 } from '../amqp/byte-reader.ts'
import { FrameDecoder, FrameTypes, frameHeaderBytes, frameOverheadBytes } from '../amqp/frame-decoder.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Clock } from '../base/clock.ts'
import { framesBytesMax } from '../broker/message.ts'
import { checkedBodyBytes } from './content.ts'
import { publishBytesMax } from './route-cache.ts'

/** A publish whose three frames lie one behind the other. One object, used again and again. */
export interface SmallPublish {
  readonly buffer: Uint8Array
  /** The arguments of `basic.publish`, without class and method. */
  readonly methodStart: number
  readonly methodEnd: number
  /** The header's payload. */
  readonly headerStart: number
  readonly headerEnd: number
  /** Header frame and body frame. */
  readonly contentStart: number
  readonly contentEnd: number
  readonly bodyBytes: number
}

/** Takes what is published on one channel. */
export interface PublishTaker {
  small(parts: SmallPublish): void
  begin(buffer: Uint8Array, start: number, end: number): void
  header(buffer: Uint8Array, start: number, end: number): void
}

/** Where frames go; a connection. The decoder holds the frame: type, channel, payload. */
export interface FrameTaker {
  /** Deals with one frame, or puts it away; false when it must wait where it is, and with it all input. */
  frame(decoder: FrameDecoder): boolean
  /** Who takes a publish on this channel now; null when it is not that simple, and `frame` decides. */
  publishTaker(channelId: number): PublishTaker | null
}

/** Why the loop ended: all whole frames are done; its time was over; a frame must wait. */
export type LoopEnd = 'partial' | 'yield' | 'waiting'

/**
 * Goes over the frames of a region until it ends, time is over, or a frame must wait. Recognises the usual form of a
 * publish (method, header and one body frame in a row, small) and passes it on as it lies, without a copy.
 *
 * Such a message is all or nothing: when the region ends inside of it, the loop ends in front of its method, so that
 * the whole message is kept and joined with what arrives next.
 */
export class FrameLoop implements SmallPublish {
  readonly decoder = new FrameDecoder()
  /** What has not been dealt with begins here. After an exception: behind the frame that caused it. */
  position = 0
  /** False when a frame itself was wrong, so that nobody knows where the next one begins. */
  isInSync = true
  /** After `partial`: how much from `position` on makes sense as a whole; 0 if that is not known. */
  neededBytes = 0
  buffer: Uint8Array = this.decoder.buffer
  methodStart = 0
  methodEnd = 0
  headerStart = 0
  headerEnd = 0
  contentStart = 0
  contentEnd = 0
  bodyBytes = 0
  readonly #clock: Clock
  readonly #taker: FrameTaker
  readonly #messageBytesMax: number
  /** Whether more input can follow the region. */
  #isOpenEnded = true
  /** Work since the last look at the clock, in frames. */
  #work = 0

  constructor(clock: Clock, taker: FrameTaker, messageBytesMax: number) {
    this.#clock = clock
    this.#taker = taker
    this.#messageBytesMax = messageBytesMax
  }

  /** Works on `buffer[start..end)`. Throws what the frames make the taker throw; it may be called again from `position` on. */
  run(region: { buffer: Uint8Array; start: number; end: number; isOpenEnded: boolean }, deadline: number): LoopEnd {
    const { decoder } = this
    decoder.reset(region.buffer, region.start, region.end)
    this.buffer = region.buffer
    this.#isOpenEnded = region.isOpenEnded
    this.position = region.start
    for (;;) {
      // Counted before it is done: a frame that fails has cost something too.
      if (++this.#work > framesPerLook && this.#isOver(deadline)) return 'yield'
      if (!this.#next()) {
        this.position = decoder.frameStart
        this.neededBytes = decoder.wholeBytes
        return 'partial'
      }
      // An exception comes from a frame that is done with.
      this.position = decoder.frameEnd
      const isDone = this.#frame()
      if (!isDone) return this.neededBytes < 0 ? 'waiting' : 'partial'
      this.position = decoder.frameEnd
    }
  }

  /** What the frame at hand led to was as much work as this many usual frames: the next look at the clock is due sooner. */
  spend(frames: number): void {
    this.#work += frames
  }

  #isOver(deadline: number): boolean {
    this.#work = 0
    return this.#clock.monotonic() >= deadline
  }

  #next(): boolean {
    this.isInSync = false
    const isWhole = this.decoder.next()
    this.isInSync = true
    return isWhole
  }

  /** The decoder's frame; false when the loop ends at `position`, which is then set, with `neededBytes` -1 for waiting. */
  #frame(): boolean {
    const { decoder } = this
    if (decoder.type === FrameTypes.Method && decoder.payloadEnd - decoder.payloadStart >= 4) {
      if (readUint32(decoder.buffer, decoder.payloadStart) === Methods.BasicPublish) {
        const taker = this.#taker.publishTaker(decoder.channel)
        if (taker !== null) return this.#publish(taker)
      }
    }
    const start = decoder.frameStart
    if (this.#taker.frame(decoder)) return true
    this.position = start
    this.neededBytes = -1
    return false
  }

  #publish(taker: PublishTaker): boolean {
    const { decoder } = this
    const start = decoder.frameStart
    const channelId = decoder.channel
    this.methodStart = decoder.payloadStart + 4
    this.methodEnd = decoder.payloadEnd
    if (this.methodEnd - this.methodStart > publishBytesMax) {
      throw new ProtocolError(
        ReplyCodes.FrameError,
        'basic.publish is longer than its arguments can be',
        Methods.BasicPublish,
      )
    }
    if (!this.#next()) return this.#cutOff(taker, start, 0)
    this.position = decoder.frameEnd
    if (!isFrame(decoder, FrameTypes.Header, channelId)) {
      taker.begin(this.buffer, this.methodStart, this.methodEnd)
      return this.#frame()
    }
    this.headerStart = decoder.payloadStart
    this.headerEnd = decoder.payloadEnd
    this.contentStart = decoder.frameStart
    this.contentEnd = decoder.frameEnd
    this.bodyBytes = checkedBodyBytes(this.buffer, this.headerStart, this.headerEnd, this.#messageBytesMax)
    if (!this.#isSmall()) {
      this.#takeApart(taker)
      return true
    }
    if (this.bodyBytes > 0) {
      if (!this.#next()) return this.#cutOff(taker, start, this.bodyBytes + frameOverheadBytes)
      this.position = decoder.frameEnd
      const size = decoder.payloadEnd - decoder.payloadStart
      if (!isFrame(decoder, FrameTypes.Body, channelId) || size !== this.bodyBytes) {
        this.#takeApart(taker)
        return this.#frame()
      }
      this.contentEnd = decoder.frameEnd
    }
    taker.small(this)
    return true
  }

  /** Whether content may stay in its frames. */
  #isSmall(): boolean {
    if (this.bodyBytes > smallBodyBytesMax) return false
    const bodyFrameBytes = this.bodyBytes === 0 ? 0 : this.bodyBytes + frameOverheadBytes
    return this.contentEnd - this.contentStart + bodyFrameBytes <= framesBytesMax
  }

  /** Method and header by themselves; the body follows frame by frame. */
  #takeApart(taker: PublishTaker): void {
    taker.begin(this.buffer, this.methodStart, this.methodEnd)
    taker.header(this.buffer, this.headerStart, this.headerEnd)
  }

  /**
   * The region ends inside a publish that began at `start`, within a frame that would have to be `frameBytes` long
   * (0: a header of any size). If it can still be a small one it is kept as a whole, else taken as far as it is there.
   */
  #cutOff(taker: PublishTaker, start: number, frameBytes: number): boolean {
    const { decoder } = this
    const wholeBytes = decoder.wholeBytes
    const fits = frameBytes === 0 ? wholeBytes <= framesBytesMax : wholeBytes === 0 || wholeBytes === frameBytes
    if (this.#isOpenEnded && fits) {
      this.position = start
      this.neededBytes = decoder.frameStart - start + Math.max(wholeBytes, frameBytes, frameHeaderBytes)
      return false
    }
    if (frameBytes === 0) taker.begin(this.buffer, this.methodStart, this.methodEnd)
    else this.#takeApart(taker)
    this.position = decoder.frameStart
    this.neededBytes = wholeBytes
    return false
  }
}

function isFrame(decoder: FrameDecoder, type: number, channelId: number): boolean {
  return decoder.type === type && decoder.channel === channelId
}

/** Largest body that stays in its frame, in bytes: fits the smallest frame a peer can ask for. */
const smallBodyBytesMax = 4088

/** Usual frames between two looks at the clock. */
export const framesPerLook = 32
