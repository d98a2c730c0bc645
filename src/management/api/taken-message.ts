import type { Properties } from '../../amqp/content-header.ts'
import { bodyStartOf, propertiesOf, routeOf } from '../../broker/dead-letter/message-copy.ts'
import type { Chunks, Message } from '../../broker/message.ts'

/** A message that was taken out of a queue, copied. */
export interface Taken {
  readonly exchange: string
  readonly routingKey: string
  readonly properties: Properties
  readonly isRedelivered: boolean
  /** Ready messages that were left. */
  readonly readyLeft: number
  /** Of the whole body, in bytes; of which `payload` may be the beginning. */
  readonly bodyBytes: number
  readonly payload: Uint8Array
}

/** Copies what is needed of a view; a large body is read piece by piece. */
export function takenOf(
  message: Message,
  facts: { readonly isRedelivered: boolean; readonly readyLeft: number; readonly bytesMax: number },
  done: (taken: Taken) => void,
  failed: (error: Error) => void,
): void {
  const { bytesMax, ...rest } = facts
  const { chunks, bodyBytes } = message
  const wanted = Math.min(bodyBytes, bytesMax)
  const head = { ...routeOf(message), properties: propertiesOf(message), bodyBytes, ...rest }
  if (chunks === null) {
    const start = bodyStartOf(message)
    done({ ...head, payload: message.buffer.slice(start, start + wanted) })
    return
  }
  const payload = new Uint8Array(wanted)
  read(chunks, payload, { index: 0, at: 0 }, (error) => {
    chunks.release()
    if (error === null) done({ ...head, payload })
    else failed(error)
  })
}

function read(
  chunks: Chunks,
  payload: Uint8Array,
  { index, at }: { readonly index: number; readonly at: number },
  done: (error: Error | null) => void,
): void {
  if (at >= payload.length || index >= chunks.count) return done(null)
  chunks.read(index, (error, buffer, start, end) => {
    if (error !== null) return done(error)
    const bytes = Math.min(end - start, payload.length - at)
    payload.set(buffer.subarray(start, start + bytes), at)
    read(chunks, payload, { index: index + 1, at: at + bytes }, done)
  })
}
