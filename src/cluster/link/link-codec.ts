/**
 * What goes over a link, byte by byte. Numbers are big-endian.
 *
 *     frame      length u32 | service u8 | payload           length: of the payload, at most `messageBytesMax`
 *     heartbeat  a frame of service 0 with an empty payload
 *
 * Before the first frame stands the handshake, in the same frames, with types of its own and at most
 * `handshakeBytesMax` of payload:
 *
 *     greeting   'WarrenLk' | lowest version u8 | highest version u8 | nonce 32 | cluster mark 16 | incarnation u32
 *                | name: length u8, ASCII
 *     proof      intent u8 | HMAC 32
 *     answer     verdict u8 | HMAC 32 | sentence, UTF-8
 *
 * Checklist for a change here, or of what any service says (docs/formats/cluster-link.md): raise `formatVersionHighest`, keep what the version before it says readable, and leave the
 * greeting up to its nonce as it is: it is what nodes of any two versions must understand of each other.
 */
import type { NodeIdentity } from '../node-identity.ts'
import { messageBytesMax } from '../peers.ts'

/** What was said before the first release is refused: nodes that spoke 1 did not all know the same commands. */
export const formatVersionLowest = 4
export const formatVersionHighest = 4

export const frameHeaderBytes = 5

/** Highest incarnation there can be (`NodeIdentity`). */
const incarnationMax = 2 ** 20

/** The link's own service. */
export const heartbeatService = 0

/** Largest payload of a message of the handshake, in bytes. */
export const handshakeBytesMax = 1024

/** Types of messages of the handshake. */
export const handshakeTypes = { greeting: 0xf1, proof: 0xf2, answer: 0xf3 } as const

export const nonceBytes = 32
export const clusterMarkBytes = 16
export const hmacBytes = 32

/** What the node that connects wants. */
export const intents = { link: 0, probe: 1 } as const
export type Intent = keyof typeof intents

/** How the node that was connected to answers. */
export const verdicts = {
  /** The link is up, or the probe has what it came for. */
  accepted: 0,
  /** This incarnation is no live member as far as is known here. It may be in a moment. */
  unknownMember: 1,
  /** A later incarnation of the same name is known here. */
  superseded: 2,
  /** This node's own session has not begun, or it is closing. */
  notReady: 3,
  /** The pair of nodes is linked from the other side. */
  wrongDirection: 4,
} as const
export type Verdict = keyof typeof verdicts

export interface Greeting extends NodeIdentity {
  readonly versionLowest: number
  readonly versionHighest: number
  readonly nonce: Uint8Array
  /** Tells clusters apart without naming them: strangers can ask for it. */
  readonly clusterMark: Uint8Array
}

/** The bytes are not what they should be; the peer's fault, or no peer at all. The message is a sentence for the log. */
export class LinkProtocolError extends Error {
  readonly code = 'LINK_PROTOCOL_ERROR'
}

export function readUint32(buffer: Uint8Array, at: number): number {
  return (
    (((buffer[at] as number) << 24) |
      ((buffer[at + 1] as number) << 16) |
      ((buffer[at + 2] as number) << 8) |
      (buffer[at + 3] as number)) >>>
    0
  )
}

export function writeUint32(buffer: Uint8Array, at: number, value: number): void {
  buffer[at] = value >>> 24
  buffer[at + 1] = value >>> 16
  buffer[at + 2] = value >>> 8
  buffer[at + 3] = value
}

export function writeFrameHeader(buffer: Uint8Array, at: number, service: number, payloadBytes: number): void {
  writeUint32(buffer, at, payloadBytes)
  buffer[at + 4] = service
}

/** The sentence for a frame that is longer than any may be. */
export function tooLong(bytes: number): string {
  return `a message of ${bytes} bytes was announced; the limit is ${messageBytesMax}`
}

// ---------------------------------------------------------------- handshake

const magic = Uint8Array.from('WarrenLk', (letter) => letter.charCodeAt(0))
const clusterMarkAt = magic.length + 2 + nonceBytes
const greetingFixedBytes = clusterMarkAt + clusterMarkBytes + 4

/** A message of the handshake as a whole frame. */
export function handshakeFrame(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const payloadBytes = parts.reduce((sum, part) => sum + part.length, 0)
  const frame = new Uint8Array(frameHeaderBytes + payloadBytes)
  writeFrameHeader(frame, 0, type, payloadBytes)
  let at = frameHeaderBytes
  for (const part of parts) {
    frame.set(part, at)
    at += part.length
  }
  return frame
}

export function encodeGreeting(greeting: Greeting): Uint8Array {
  const fixed = new Uint8Array(greetingFixedBytes)
  fixed.set(magic)
  fixed[magic.length] = greeting.versionLowest
  fixed[magic.length + 1] = greeting.versionHighest
  fixed.set(greeting.nonce, magic.length + 2)
  fixed.set(greeting.clusterMark, clusterMarkAt)
  writeUint32(fixed, greetingFixedBytes - 4, greeting.incarnation)
  return handshakeFrame(handshakeTypes.greeting, fixed, shortText(greeting.name))
}

/** Of `payload`, which is all of it. Throws `LinkProtocolError`. */
export function decodeGreeting(payload: Uint8Array): Greeting {
  if (payload.length < greetingFixedBytes || magic.some((byte, index) => payload[index] !== byte)) {
    throw new LinkProtocolError('what was said first is no greeting of a Warren node')
  }
  const name = readShortText(payload, greetingFixedBytes)
  const incarnation = readUint32(payload, greetingFixedBytes - 4)
  const isWhole = greetingFixedBytes + 1 + name.length === payload.length
  if (!isWhole || !isNodeName(name) || incarnation < 1 || incarnation > incarnationMax) {
    throw new LinkProtocolError('the greeting is damaged: name or incarnation make no sense')
  }
  return {
    versionLowest: payload[magic.length] as number,
    versionHighest: payload[magic.length + 1] as number,
    nonce: payload.slice(magic.length + 2, clusterMarkAt),
    clusterMark: payload.slice(clusterMarkAt, clusterMarkAt + clusterMarkBytes),
    incarnation,
    name,
  }
}

/** Why there is no version that both speak; null if there is one. */
export function versionMismatch(greeting: Greeting): string | null {
  const version = Math.min(greeting.versionHighest, formatVersionHighest)
  if (version >= Math.max(greeting.versionLowest, formatVersionLowest)) return null
  const theirs = `${greeting.versionLowest} to ${greeting.versionHighest}`
  const ours = `${formatVersionLowest} to ${formatVersionHighest}`
  return `node '${greeting.name}' speaks link formats ${theirs}, this node ${ours}: upgrade the older one`
}

/** Letters, digits, `-`, `_` and `.`, 1 to 64 of them. */
export function isNodeName(name: string): boolean {
  return /^[A-Za-z0-9_.-]{1,64}$/.test(name)
}

/** Visible ASCII, 1 to 64 characters. */
export function isClusterId(clusterId: string): boolean {
  return /^[!-~]{1,64}$/.test(clusterId)
}

function shortText(text: string): Uint8Array {
  const bytes = new Uint8Array(1 + text.length)
  bytes[0] = text.length
  for (let index = 0; index < text.length; index++) bytes[index + 1] = text.charCodeAt(index)
  return bytes
}

/** What is cut off, or no ASCII, comes out as a text that no name is. */
function readShortText(payload: Uint8Array, at: number): string {
  const length = payload[at] ?? 0
  let text = ''
  for (const byte of payload.subarray(at + 1, at + 1 + length)) text += byte < 128 ? String.fromCharCode(byte) : '?'
  return text.length === length ? text : ''
}
