import type { MessageTraits } from './message-traits.ts'

/**
 * A message on its way, as bytes: a view, not a copy.
 *
 * It points into a buffer of somebody else (the socket's read buffer, the log's frame) and is valid only during the
 * call it is given to. Whoever keeps anything of it copies. One object is used again and again; it has no identity.
 *
 * Two forms of content:
 * - *frames* (`isFrames`): one content-header frame and at most one body frame exactly as they came over the wire
 *   (type, channel, length, payload, 0xCE), `content = [header frame][body frame]`, together at most
 *   `framesBytesMax`. Whoever sends them patches the two channel numbers. This is the fastest path.
 * - *parts*: `content = [u32 length of header payload][header payload][body]`, where the header payload is AMQP's
 *   content header without frame (class id, weight, body size, flags, properties). If `chunks` is not null the body
 *   is not in `content`: it is in pieces in the log, read through the `Chunks`.
 *
 * `route` is `[exchange as short string][routing key as short string]`, exactly as they stand in `basic.publish` and
 * `basic.deliver`.
 */
export class Message {
  buffer: Uint8Array = empty
  routeStart = 0
  routeEnd = 0
  contentStart = 0
  contentEnd = 0
  isFrames = false
  /** delivery-mode 2. */
  isPersistent = false
  /** Size of the body in bytes, what limits and statistics count. */
  bodyBytes = 0
  /** What the publisher asked for beyond routing and persistence; null for most messages. */
  traits: MessageTraits | null = null
  /** Where a large body is; null for all others. */
  chunks: Chunks | null = null
}

/** A body in pieces in a log. The pieces are read one after the other, each when the one before has been sent. */
export interface Chunks {
  readonly count: number
  readonly bodyBytes: number
  /**
   * Brings chunk `index` into memory and calls back with its bytes, valid during the call only. May call back at
   * once. The error is final (the log is damaged or gone): the connection that wanted it cannot go on.
   */
  read(index: number, done: (error: Error | null, buffer: Uint8Array, start: number, end: number) => void): void
  /** Said once by whoever was given the chunks and will read no more of them: sent in full, or the connection ended. */
  release(): void
}

/** Longest content kept as frames, in bytes: one body frame of 4,088 and its header frame. */
export const framesBytesMax = 4088 + 8 + 1024

/** Bodies above this size are written to the log in chunks as they arrive, in bytes. */
export const chunkBytes = 64 * 1024

const empty = new Uint8Array(0)
