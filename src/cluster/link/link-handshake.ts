/**
 * Who is there: two nodes prove to one another that they know the cluster's secret, without saying it.
 *
 *     the one that connects             the one that listens
 *     greeting  ────────────────────►
 *               ◄────────────────────   greeting
 *     proof     ────────────────────►   checked; only then anything is proved to the other
 *               ◄────────────────────   answer
 *
 * Both HMACs (SHA-256, keyed with the secret) are over both greetings as they were sent, so over both nonces, names and
 * incarnations, the marks of the cluster and the format versions; each begins with the part its sender plays, so that neither can
 * be sent back to where it came from, and covers what its message says besides. A nonce is random and used once: what was
 * heard earlier proves nothing. Nothing in here touches a socket or a clock.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { NodeIdentity } from '../node-identity.ts'
import {
  clusterMarkBytes,
  decodeGreeting,
  encodeGreeting,
  formatVersionHighest,
  formatVersionLowest,
  frameHeaderBytes,
  type Greeting,
  handshakeFrame,
  handshakeTypes,
  hmacBytes,
  type Intent,
  intents,
  LinkProtocolError,
  type Verdict,
  verdicts,
  versionMismatch,
} from './link-codec.ts'

export interface HandshakeSelf {
  readonly self: NodeIdentity
  /** Of the cluster id, by `clusterMarkOf`. */
  readonly clusterMark: Uint8Array
  readonly secret: Uint8Array
  /** `nonceBytes` random bytes, never used before. */
  readonly nonce: Uint8Array
}

export interface HandshakeResult {
  /** Proved. */
  readonly peer: NodeIdentity
  readonly intent: Intent
  readonly verdict: Verdict
  /** Why, where the verdict is not `accepted`. */
  readonly sentence: string
}

/** What a greeting says of a cluster: nodes of one cluster know it, and nobody learns the cluster's id from it. */
export function clusterMarkOf(clusterId: string): Uint8Array {
  return createHash('sha256').update(`warren cluster\0${clusterId}`).digest().subarray(0, clusterMarkBytes)
}

/** What comes of a message: something to send, and at the end a result. */
export interface HandshakeStep {
  readonly send: Uint8Array | null
  readonly result: HandshakeResult | null
}

/** One side of a handshake. `take` throws `LinkProtocolError` when the other side is not to be trusted or understood. */
export interface HandshakeSide {
  /** Said before anything has come; null: the other side begins. */
  readonly opening: Uint8Array | null
  take(type: number, payload: Uint8Array): HandshakeStep
  /** The sentence for a connection that ends at this point. */
  readonly endedEarly: string
}

/** What the dialing side wants of a node that says it is this one; it has proved nothing yet. */
export type Intend = (greeted: NodeIdentity) => Intent

/** What the listening side says to a node that has proved who it is. */
export type Judge = (peer: NodeIdentity, intent: Intent) => { verdict: Verdict; sentence: string }

/** The side that connects. */
export class DialingSide implements HandshakeSide {
  readonly opening: Uint8Array
  readonly #own: HandshakeSelf
  readonly #intend: Intend
  #theirs: { greeting: Greeting; transcript: Uint8Array; intent: Intent } | null = null

  constructor(own: HandshakeSelf, intend: Intend) {
    this.#own = own
    this.#intend = intend
    this.opening = encodeGreeting(greetingOf(own))
  }

  get endedEarly(): string {
    if (this.#theirs === null) return 'the other side closed the connection without a greeting'
    const { name } = this.#theirs.greeting
    return `node '${name}' did not take our proof: do both nodes have the same cluster secret?`
  }

  take(type: number, payload: Uint8Array): HandshakeStep {
    return this.#theirs === null ? this.#greeted(type, payload) : this.#answered(type, payload)
  }

  #greeted(type: number, payload: Uint8Array): HandshakeStep {
    const greeting = decodedGreeting(type, payload)
    const mismatch = mismatchOf(this.#own, greeting)
    if (mismatch !== null) throw new LinkProtocolError(mismatch)
    const intent = this.#intend({ name: greeting.name, incarnation: greeting.incarnation })
    const transcript = transcriptOf(this.opening, payload)
    this.#theirs = { greeting, transcript, intent }
    const said = Uint8Array.of(intents[intent])
    const proof = hmacOf(this.#own.secret, 'dialing', transcript, said)
    return { send: handshakeFrame(handshakeTypes.proof, said, proof), result: null }
  }

  #answered(type: number, payload: Uint8Array): HandshakeStep {
    const theirs = this.#theirs
    if (theirs === null || type !== handshakeTypes.answer || payload.length < 1 + hmacBytes) {
      throw new LinkProtocolError('what follows the proof is no answer')
    }
    const sentenceBytes = payload.slice(1 + hmacBytes)
    const said = Uint8Array.of(payload[0] as number, ...sentenceBytes)
    const expected = hmacOf(this.#own.secret, 'listening', theirs.transcript, said)
    const { name, incarnation } = theirs.greeting
    if (!timingSafeEqual(expected, payload.subarray(1, 1 + hmacBytes))) {
      throw new LinkProtocolError(`whoever answers as node '${name}' does not know the cluster's secret`)
    }
    const verdict = nameOf(verdicts, payload[0] as number)
    if (verdict === null) throw new LinkProtocolError(`node '${name}' gave an answer that is not known here`)
    const sentence = new TextDecoder().decode(sentenceBytes)
    return { send: null, result: { peer: { name, incarnation }, intent: theirs.intent, verdict, sentence } }
  }
}

/** The side that listens. */
export class ListeningSide implements HandshakeSide {
  readonly opening = null
  readonly #own: HandshakeSelf
  readonly #judge: Judge
  readonly #greetingFrame: Uint8Array
  /** `mismatch` says why the two cannot be of one cluster. */
  #theirs: { greeting: Greeting; transcript: Uint8Array; mismatch: string | null } | null = null

  constructor(own: HandshakeSelf, judge: Judge) {
    this.#own = own
    this.#judge = judge
    this.#greetingFrame = encodeGreeting(greetingOf(own))
  }

  get endedEarly(): string {
    if (this.#theirs === null) return 'the connection was closed before a greeting'
    return this.#theirs.mismatch ?? `node '${this.#theirs.greeting.name}' closed the connection without a proof`
  }

  take(type: number, payload: Uint8Array): HandshakeStep {
    return this.#theirs === null ? this.#greeted(type, payload) : this.#proved(type, payload)
  }

  #greeted(type: number, payload: Uint8Array): HandshakeStep {
    const greeting = decodedGreeting(type, payload)
    const dialing = handshakeFrame(handshakeTypes.greeting, payload)
    const transcript = transcriptOf(dialing, this.#greetingFrame.subarray(frameHeaderBytes))
    // Answered even where cluster or version differ, so that the other side can say so too.
    this.#theirs = { greeting, transcript, mismatch: mismatchOf(this.#own, greeting) }
    return { send: this.#greetingFrame, result: null }
  }

  #proved(type: number, payload: Uint8Array): HandshakeStep {
    const theirs = this.#theirs
    if (theirs === null || type !== handshakeTypes.proof || payload.length !== 1 + hmacBytes) {
      throw new LinkProtocolError('what follows the greeting is no proof')
    }
    const { greeting, transcript, mismatch } = theirs
    if (mismatch !== null) throw new LinkProtocolError(mismatch)
    const expected = hmacOf(this.#own.secret, 'dialing', transcript, payload.subarray(0, 1))
    if (!timingSafeEqual(expected, payload.subarray(1))) {
      throw new LinkProtocolError(`whoever connects as node '${greeting.name}' does not know the cluster's secret`)
    }
    const intent = nameOf(intents, payload[0] as number)
    if (intent === null) throw new LinkProtocolError(`node '${greeting.name}' wants what is not known here`)
    const peer = { name: greeting.name, incarnation: greeting.incarnation }
    const { verdict, sentence } = this.#judge(peer, intent)
    const sentenceBytes = new TextEncoder().encode(sentence)
    const code = Uint8Array.of(verdicts[verdict])
    const hmac = hmacOf(this.#own.secret, 'listening', transcript, Uint8Array.of(verdicts[verdict], ...sentenceBytes))
    const send = handshakeFrame(handshakeTypes.answer, code, hmac, sentenceBytes)
    return { send, result: { peer, intent, verdict, sentence } }
  }
}

function greetingOf({ self, clusterMark, nonce }: HandshakeSelf): Greeting {
  const versions = { versionLowest: formatVersionLowest, versionHighest: formatVersionHighest }
  return { ...versions, nonce, name: self.name, incarnation: self.incarnation, clusterMark }
}

function decodedGreeting(type: number, payload: Uint8Array): Greeting {
  if (type !== handshakeTypes.greeting) throw new LinkProtocolError('what was said first is no greeting')
  return decodeGreeting(payload)
}

/** Why this node and the greeting's cannot talk; null if they can. */
function mismatchOf(own: HandshakeSelf, greeting: Greeting): string | null {
  if (timingSafeEqual(greeting.clusterMark, own.clusterMark)) return versionMismatch(greeting)
  return `node '${greeting.name}' belongs to another cluster than this node`
}

/** Both greetings, each with its length, so that no two pairs of greetings have the same transcript. */
function transcriptOf(dialingFrame: Uint8Array, listeningPayload: Uint8Array): Uint8Array {
  const listeningFrame = handshakeFrame(handshakeTypes.greeting, listeningPayload)
  const transcript = new Uint8Array(dialingFrame.length + listeningFrame.length)
  transcript.set(dialingFrame)
  transcript.set(listeningFrame, dialingFrame.length)
  return transcript
}

function hmacOf(
  secret: Uint8Array,
  part: 'dialing' | 'listening',
  transcript: Uint8Array,
  said: Uint8Array,
): Uint8Array {
  return createHmac('sha256', secret).update(`warren link ${part}\0`).update(transcript).update(said).digest()
}

function nameOf<Name extends string>(codes: Readonly<Record<Name, number>>, code: number): Name | null {
  for (const name in codes) if (codes[name] === code) return name
  return null
}
