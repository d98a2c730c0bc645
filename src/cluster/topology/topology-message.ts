/**
 * What nodes say to one another about the topology:
 *
 *     kind u8 | then, by kind
 *     ask       number f64 | again u8 | change, JSON     number: of this asker, growing; the same when it asks again
 *     answer    number f64 | answer, JSON
 *     piece     bytes                                    the beginning of the message that comes next, when it is long
 *     applied   position f64                             how far the sender has come
 *     settled   position f64                             how far every node has come
 *     owner     term f64                                 the sender makes changes
 *     resigned  term f64                                 and does no more
 *
 * Numbers are big-endian.
 */
export const messageKinds = { ask: 1, answer: 2, piece: 3, applied: 4, settled: 5, owner: 6, resigned: 7 } as const
export type MessageKind = (typeof messageKinds)[keyof typeof messageKinds]

export function askMessage(number: number, isAgain: boolean, change: Uint8Array): Uint8Array {
  const message = withNumber(messageKinds.ask, number, 1 + change.length)
  message[numberEnd] = isAgain ? 1 : 0
  message.set(change, numberEnd + 1)
  return message
}

export function answerMessage(number: number, answer: Uint8Array): Uint8Array {
  const message = withNumber(messageKinds.answer, number, answer.length)
  message.set(answer, numberEnd)
  return message
}

/** `applied`, `settled`, `owner` or `resigned`. */
export function noteMessage(kind: MessageKind, value: number): Uint8Array {
  return withNumber(kind, value, 0)
}

/** The number behind a message's kind. Throws `RangeError` when there is none. */
export function numberOf(message: Uint8Array): number {
  if (message.length < numberEnd) throw new RangeError('a message about the topology is shorter than its header')
  return viewOf(message).getFloat64(1)
}

export interface Ask {
  readonly number: number
  readonly isAgain: boolean
  readonly change: Uint8Array
}

export function readAsk(message: Uint8Array): Ask {
  const number = numberOf(message)
  return { number, isAgain: message[numberEnd] === 1, change: message.subarray(numberEnd + 1) }
}

/** What is said in an answer. */
export function answerIn(message: Uint8Array): Uint8Array {
  return message.subarray(numberEnd)
}

const numberEnd = 9

function withNumber(kind: MessageKind, number: number, more: number): Uint8Array {
  const message = new Uint8Array(numberEnd + more)
  message[0] = kind
  viewOf(message).setFloat64(1, number)
  return message
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
