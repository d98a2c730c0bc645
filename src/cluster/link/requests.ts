/**
 * Questions and answers between nodes, on top of `Peers`. A service that is served here has its own frame around what
 * it says:
 *
 *     kind u8 | number u32 | bytes             kind: ask, answer, refusal (bytes: a sentence in UTF-8), tell (number 0)
 *
 * A question is asked once, of one link, and ends once: with its answer, a refusal, when the link goes down, or when
 * its time is over. Nothing is asked again by itself: whoever asks knows whether that is harmless.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import { messageBytesMax, type Peer, type Peers, type Service, type ServiceHandler } from '../peers.ts'
import { readUint32, writeUint32 } from './link-codec.ts'

/** Why a question has no answer. */
export type RequestFailure =
  /** There is no link to that node. It was not sent. */
  | 'not-linked'
  /** `outstandingMax` questions wait for that node's answer already. It was not sent. */
  | 'too-many'
  /** Longer than a message can be. It was not sent. */
  | 'too-large'
  /** The link went down first. Whether it was heard is not known. */
  | 'link-down'
  /** No answer in time. Whether it was heard is not known. */
  | 'timed-out'
  /** The other node has heard it and says no; the message is its sentence. */
  | 'refused'

export class RequestFailed extends Error {
  readonly code = 'REQUEST_FAILED'
  readonly failure: RequestFailure
  /** Whether the other node may have done what was asked all the same. */
  readonly isUnknown: boolean

  constructor(failure: RequestFailure, message: string) {
    super(message)
    this.failure = failure
    this.isUnknown = failure === 'link-down' || failure === 'timed-out'
  }
}

/** The answering side of a service. */
export interface Responder {
  /**
   * Answers a question; the bytes are the callee's to keep. A rejection is told to the asker with its message. Answers
   * may come in another order than the questions.
   */
  answer(peer: Peer, question: Uint8Array): Promise<Uint8Array> | Uint8Array
  /** Something that needs no answer. `bytes[start..end)` is valid during the call only. */
  told?(peer: Peer, bytes: Uint8Array, start: number, end: number): void
  up?(peer: Peer): void
  down?(peer: Peer): void
  drained?(peer: Peer): void
}

export interface RequestsOptions {
  readonly peers: Peers
  readonly clock: Clock
  /** How long an answer may take, in milliseconds, where `ask` is told nothing else. Default 10,000. */
  readonly timeoutMs?: number
  /** Questions of ours that wait for one node's answer, and questions of one node that we work on. Default 1024. */
  readonly outstandingMax?: number
}

/** Longest question, answer or told message, in bytes. */
export const requestBytesMax = messageBytesMax - 5

interface Outstanding {
  readonly peer: Peer
  readonly service: Service
  readonly timer: Timer
  readonly settle: (answer: Uint8Array | RequestFailed) => void
}

export class Requests {
  readonly #peers: Peers
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #outstandingMax: number
  /** Questions of ours, by number. */
  readonly #outstanding = new Map<number, Outstanding>()
  readonly #askedOf = new Map<Peer, number>()
  /** Questions of others that are being worked on. */
  readonly #workingFor = new Map<Peer, number>()
  #lastNumber = 0

  constructor({ peers, clock, timeoutMs = 10_000, outstandingMax = 1024 }: RequestsOptions) {
    this.#peers = peers
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#outstandingMax = outstandingMax
  }

  /** Once per service that asks or answers, before the links start. */
  serve(service: Service, responder: Responder): void {
    const handler: ServiceHandler = {
      message: (peer, bytes, start, end) => this.#message(service, responder, peer, bytes, start, end),
      up: (peer) => responder.up?.(peer),
      down: (peer) => {
        this.#down(service, peer)
        responder.down?.(peer)
      },
      drained: (peer) => responder.drained?.(peer),
    }
    this.#peers.serve(service, handler)
  }

  /** Resolves with the answer, which is the caller's; rejects with `RequestFailed`. `question` is copied. */
  ask(nodeName: string, service: Service, question: Uint8Array, timeoutMs = this.#timeoutMs): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const peer = this.#peers.find(nodeName)
      const failure = this.#reasonNotToAsk(nodeName, peer, question)
      if (failure !== null || peer === null) {
        reject(failure)
        return
      }
      const number = this.#nextNumber()
      const timer = this.#clock.after(timeoutMs, () => {
        const message = `node '${nodeName}' has not answered within ${timeoutMs} ms`
        this.#settle(number, new RequestFailed('timed-out', message))
      })
      const settle = (answer: Uint8Array | RequestFailed): void => {
        if (answer instanceof RequestFailed) reject(answer)
        else resolve(answer)
      }
      this.#outstanding.set(number, { peer, service, timer, settle })
      this.#askedOf.set(peer, (this.#askedOf.get(peer) ?? 0) + 1)
      send(peer, service, kinds.ask, number, question)
    })
  }

  /** Says something that needs no answer: at most `requestBytesMax` bytes, copied; lost when the link goes down. */
  tell(peer: Peer, service: Service, bytes: Uint8Array): void {
    send(peer, service, kinds.tell, 0, bytes)
  }

  #reasonNotToAsk(nodeName: string, peer: Peer | null, question: Uint8Array): RequestFailed | null {
    if (peer === null) return new RequestFailed('not-linked', `there is no link to node '${nodeName}'`)
    if (question.length > requestBytesMax) {
      const limits = `${question.length} bytes; the limit is ${requestBytesMax}`
      return new RequestFailed('too-large', `a question to node '${nodeName}' has ${limits}`)
    }
    if ((this.#askedOf.get(peer) ?? 0) < this.#outstandingMax) return null
    const limit = `${this.#outstandingMax} questions wait for it`
    return new RequestFailed('too-many', `node '${nodeName}' is behind with its answers: ${limit}`)
  }

  /** Goes round after 2^32 questions, and passes over those that still wait. */
  #nextNumber(): number {
    do this.#lastNumber = (this.#lastNumber + 1) >>> 0
    while (this.#outstanding.has(this.#lastNumber))
    return this.#lastNumber
  }

  #settle(number: number, answer: Uint8Array | RequestFailed): void {
    const outstanding = this.#outstanding.get(number)
    if (outstanding === undefined) return
    this.#outstanding.delete(number)
    outstanding.timer.cancel()
    countDown(this.#askedOf, outstanding.peer)
    outstanding.settle(answer)
  }

  #down(service: Service, peer: Peer): void {
    for (const [number, outstanding] of [...this.#outstanding]) {
      if (outstanding.peer !== peer || outstanding.service !== service) continue
      const message = `the link to node '${peer.name}' went down before it answered`
      this.#settle(number, new RequestFailed('link-down', message))
    }
  }

  // ---------------------------------------------------------------- messages

  #message(service: Service, responder: Responder, peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    if (end - start < headerBytes) throw new RangeError('a request is shorter than its header')
    const kind = bytes[start]
    const number = readUint32(bytes, start + 1)
    const at = start + headerBytes
    if (kind === kinds.tell) responder.told?.(peer, bytes, at, end)
    else if (kind === kinds.ask) this.#asked(service, responder, peer, number, bytes.slice(at, end))
    // Nobody else's link may answer a question, and one that is late has been given up.
    else if (this.#outstanding.get(number)?.peer !== peer) return
    else if (kind === kinds.answer) this.#settle(number, bytes.slice(at, end))
    else this.#settle(number, new RequestFailed('refused', new TextDecoder().decode(bytes.subarray(at, end))))
  }

  #asked(service: Service, responder: Responder, peer: Peer, number: number, question: Uint8Array): void {
    const working = this.#workingFor.get(peer) ?? 0
    if (working >= this.#outstandingMax) {
      send(peer, service, kinds.refusal, number, sentence(`more than ${working} questions of one node at a time`))
      return
    }
    this.#workingFor.set(peer, working + 1)
    void answerOf(responder, peer, question).then(({ kind, bytes }) => {
      countDown(this.#workingFor, peer)
      send(peer, service, kind, number, bytes)
    })
  }
}

async function answerOf(
  responder: Responder,
  peer: Peer,
  question: Uint8Array,
): Promise<{ kind: number; bytes: Uint8Array }> {
  try {
    const bytes = await responder.answer(peer, question)
    if (bytes.length <= requestBytesMax) return { kind: kinds.answer, bytes }
    const limit = `${bytes.length} bytes; the limit is ${requestBytesMax}`
    return { kind: kinds.refusal, bytes: sentence(`the answer has ${limit}`) }
  } catch (error) {
    return { kind: kinds.refusal, bytes: sentence(error instanceof Error ? error.message : String(error)) }
  }
}

const kinds = { ask: 1, answer: 2, refusal: 3, tell: 4 } as const

const headerBytes = 5

/** Longest sentence of a refusal, in characters. */
const sentenceMax = 1_000

function sentence(text: string): Uint8Array {
  return new TextEncoder().encode(text.slice(0, sentenceMax))
}

function send(peer: Peer, service: Service, kind: number, number: number, bytes: Uint8Array): void {
  if (bytes.length > requestBytesMax) {
    throw new RangeError(`${bytes.length} bytes are too many for another node; the limit is ${requestBytesMax}`)
  }
  const message = new Uint8Array(headerBytes + bytes.length)
  message[0] = kind
  writeUint32(message, 1, number)
  message.set(bytes, headerBytes)
  peer.send(service, message, 0, message.length)
}

function countDown(counts: Map<Peer, number>, peer: Peer): void {
  const left = (counts.get(peer) ?? 1) - 1
  if (left > 0) counts.set(peer, left)
  else counts.delete(peer)
}
