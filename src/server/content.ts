import { readUint16 } from '../amqp/byte-reader.ts'
import { writeUint32 } from '../amqp/byte-writer.ts'
import { basicClassId, bodySizeOf, checkContentHeader } from '../amqp/content-header.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Arena, Block } from '../base/arena.ts'
import { copyBytes } from '../base/arena.ts'
import { assert } from '../base/assert.ts'
import { chunkBytes, type Message } from '../broker/message.ts'
import type { BodyWriter } from '../broker/ports.ts'
import { publishBytesMax, routeOffset } from './route-cache.ts'

/** Empty body frames of one message that are passed over. More say that the peer wants to keep us busy. */
const emptyFramesMax = 64

/**
 * One message of a channel on its way in, when it does not lie in the read buffer as a whole: method, then header, then
 * body frames (AMQP 0-9-1 §4.2.6), with frames of other channels between.
 *
 * A body up to `chunkBytes` is gathered behind the header in one block whose size is known once the header is there. A
 * larger one goes, chunk by chunk, to the `BodyWriter` that `large` was given. So at most one chunk and a header are
 * held per channel.
 *
 *     block: [route][u32 length][header payload][body]          Message in the form of parts
 */
export class Content {
  readonly #arena: Arena
  #state: 'none' | 'header' | 'body' = 'none'
  /** The arguments of the `basic.publish`. */
  #method: Uint8Array | null = null
  #methodBytes = 0
  #block: Block | null = null
  /** Where the next body bytes go, and where the last ones will end. */
  #at = 0
  #chunkStart = 0
  #chunkEnd = 0
  #bodyBytes = 0
  #missingBytes = 0
  #emptyFrames = 0
  #writer: BodyWriter | null = null

  constructor(arena: Arena) {
    this.#arena = arena
  }

  get isIdle(): boolean {
    return this.#state === 'none'
  }

  /** Takes the arguments of a `basic.publish`. */
  begin(buffer: Uint8Array, start: number, end: number): void {
    this.#method ??= new Uint8Array(publishBytesMax)
    if (end - start > publishBytesMax) {
      throw new ProtocolError(
        ReplyCodes.FrameError,
        'basic.publish is longer than its arguments can be',
        Methods.BasicPublish,
      )
    }
    copyBytes(buffer, start, end, this.#method, 0)
    this.#methodBytes = end - start
    this.#state = 'header'
  }

  /** The arguments of the publish under way. */
  get method(): Uint8Array {
    assert(this.#method !== null, 'a publish is under way')
    return this.#method
  }

  get methodBytes(): number {
    return this.#methodBytes
  }

  /** Any frame but a content frame while content is under way, or a content frame while none is: 505. */
  unexpected(): ProtocolError {
    if (this.#state === 'none') {
      return new ProtocolError(ReplyCodes.UnexpectedFrame, 'expected method frame, got non method frame instead')
    }
    const text =
      this.#state === 'header'
        ? `expected content header for class ${basicClassId}, got non content header frame instead`
        : 'expected content body, got non content body frame instead'
    return new ProtocolError(ReplyCodes.UnexpectedFrame, text, Methods.BasicPublish)
  }

  /** Takes a header payload: checks it, and makes room for it and for a body that is gathered. Returns the body's size. */
  header(buffer: Uint8Array, start: number, end: number, messageBytesMax: number): number {
    if (this.#state !== 'header') throw this.unexpected()
    const bodyBytes = checkedBodyBytes(buffer, start, end, messageBytesMax)
    const routeBytes = this.#methodBytes - routeOffset - 1
    const gathered = bodyBytes > chunkBytes ? chunkBytes : bodyBytes
    const block = this.#arena.take(routeBytes + 4 + (end - start) + gathered)
    const lengthAt = block.start + routeBytes
    copyBytes(this.method, routeOffset, routeOffset + routeBytes, block.buffer, block.start)
    writeUint32(block.buffer, lengthAt, end - start)
    copyBytes(buffer, start, end, block.buffer, lengthAt + 4)
    this.#block = block
    this.#at = lengthAt + 4 + end - start
    this.#chunkStart = this.#at
    this.#chunkEnd = this.#at + gathered
    this.#bodyBytes = bodyBytes
    this.#missingBytes = bodyBytes
    this.#emptyFrames = 0
    this.#state = 'body'
    return bodyBytes
  }

  /** Where the body goes that is above `chunkBytes`; said between `header` and the first `body`. */
  large(writer: BodyWriter): void {
    this.#writer = writer
  }

  /** Takes a body payload; true when the message is complete. */
  body(buffer: Uint8Array, start: number, end: number): boolean {
    if (this.#state !== 'body') throw this.unexpected()
    const bytes = end - start
    if (bytes > this.#missingBytes) {
      throw new ProtocolError(
        ReplyCodes.FrameError,
        'content body frame exceeds remaining content size',
        Methods.BasicPublish,
      )
    }
    if (bytes === 0 && ++this.#emptyFrames > emptyFramesMax) {
      throw new ProtocolError(
        ReplyCodes.FrameError,
        `more than ${emptyFramesMax} empty body frames`,
        Methods.BasicPublish,
      )
    }
    this.#missingBytes -= bytes
    let at = start
    while (at < end) {
      const count = Math.min(end - at, this.#chunkEnd - this.#at)
      copyBytes(buffer, at, at + count, this.block.buffer, this.#at)
      at += count
      this.#at += count
      if (this.#writer !== null && this.#at === this.#chunkEnd) this.#passChunk(this.#writer)
    }
    if (this.#missingBytes > 0) return false
    if (this.#writer !== null && this.#at > this.#chunkStart) this.#passChunk(this.#writer)
    return true
  }

  /** Sets the view for the message as far as it is there: without its body before the body has come. */
  view(message: Message): void {
    const block = this.block
    message.buffer = block.buffer
    message.routeStart = block.start
    message.routeEnd = block.start + this.#methodBytes - routeOffset - 1
    message.contentStart = message.routeEnd
    message.contentEnd = this.#at
    message.isFrames = false
    message.bodyBytes = this.#bodyBytes
    message.chunks = this.#writer
  }

  /** The header payload begins here in the block's buffer; it ends at `headerEnd`. */
  get headerStart(): number {
    return this.block.start + this.#methodBytes - routeOffset - 1 + 4
  }

  get headerEnd(): number {
    return this.#chunkStart
  }

  get block(): Block {
    assert(this.#block !== null, 'a header has come')
    return this.#block
  }

  /** The message has been handed on; its writer belongs to whoever got it. */
  finish(): void {
    if (this.#block !== null) this.#arena.give(this.#block)
    this.#block = null
    this.#writer = null
    this.#state = 'none'
  }

  /** The message will not be completed. */
  drop(): void {
    this.#writer?.abandon()
    this.finish()
  }

  #passChunk(writer: BodyWriter): void {
    writer.append(this.block.buffer, this.#chunkStart, this.#at)
    this.#at = this.#chunkStart
  }
}

/** Checks a content header as it comes from a peer, and the size it announces before a byte of the body is kept. */
export function checkedBodyBytes(buffer: Uint8Array, start: number, end: number, messageBytesMax: number): number {
  if (end - start >= 2 && readUint16(buffer, start) !== basicClassId) {
    const classId = readUint16(buffer, start)
    throw new ProtocolError(
      ReplyCodes.UnexpectedFrame,
      `expected content header for class ${basicClassId}, got one for class ${classId} instead`,
      Methods.BasicPublish,
    )
  }
  checkContentHeader(buffer, start, end)
  const bodyBytes = bodySizeOf(buffer, start, end)
  if (bodyBytes > messageBytesMax) {
    throw new ProtocolError(
      ReplyCodes.PreconditionFailed,
      `message size ${bodyBytes} is larger than configured max size ${messageBytesMax}`,
      Methods.BasicPublish,
    )
  }
  return bodyBytes
}
