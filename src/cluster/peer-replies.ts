import { createHmac, timingSafeEqual } from 'node:crypto'
import { ByteWriter } from '../amqp/byte-writer.ts'
import { Message } from '../broker/message.ts'
import type { ReplyRelay } from '../broker/reply-relay.ts'
import type { Members } from './members.ts'
import { type Peer, type Peers, type ServiceHandler, services } from './peers.ts'

export interface PeerRepliesOptions {
  readonly members: Members
  readonly peers: Peers
  /** Of the cluster; names are signed with a key made from it. */
  readonly secret: string
}

/** What a reply is cut into, in bytes. */
const pieceBytes = 256 * 1024
/** Longest reply that is put together again, in bytes; a longer one is dropped, as its sender's own limit is lower. */
const replyBytesMax = 128 * 1024 * 1024
/** Names whose signature need not be checked again; when there are more, all are forgotten. */
const knownNamesMax = 10_000
/** Characters of a signature: 132 bits. */
const signatureCharacters = 22

/**
 * Direct replies between nodes. A name is `incarnation in base 36 . token . signature`: any node can tell that one of its
 * cluster gave it out, and which. A reply goes to that node in pieces that follow one another on the link; when the link
 * goes down, what had not all come is forgotten.
 */
export class PeerReplies implements ReplyRelay, ServiceHandler {
  readonly #options: PeerRepliesOptions
  readonly #key: Uint8Array
  readonly #coming = new Map<Peer, ComingReply>()
  readonly #head = new ByteWriter()
  readonly #genuine = new Set<string>()
  #receiver: (vhost: string, name: string, message: Message) => void = () => {}

  constructor(options: PeerRepliesOptions) {
    this.#options = options
    this.#key = createHmac('sha256', options.secret).update('warren direct replies').digest()
    options.peers.serve(services.replies, this)
  }

  // ---------------------------------------------------------------- names

  nameOf(token: string): string {
    const named = `${this.#options.members.self.incarnation.toString(36)}.${token}`
    return `${named}.${this.#signatureOf(named)}`
  }

  reaches(name: string): boolean {
    return this.#peerOf(name) !== null
  }

  /** The node that gave a name out, if that is genuine, another node, and its link is up. */
  #peerOf(name: string): Peer | null {
    const [incarnation = '', token = '', signature = '', ...rest] = name.split('.')
    if (rest.length > 0 || signature.length !== signatureCharacters) return null
    const peer = this.#peerWith(Number.parseInt(incarnation, 36))
    return peer !== null && this.#isGenuine(name, `${incarnation}.${token}`, signature) ? peer : null
  }

  /** A signature costs some microseconds, and a client's name comes with each of its replies. */
  #isGenuine(name: string, named: string, signature: string): boolean {
    if (this.#genuine.has(name)) return true
    const [given, expected] = [Buffer.from(signature), Buffer.from(this.#signatureOf(named))]
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false
    if (this.#genuine.size >= knownNamesMax) this.#genuine.clear()
    this.#genuine.add(name)
    return true
  }

  #peerWith(incarnation: number): Peer | null {
    for (const peer of this.#options.peers.all) if (peer.incarnation === incarnation) return peer.isUp ? peer : null
    return null
  }

  #signatureOf(named: string): string {
    return createHmac('sha256', this.#key).update(named).digest('base64url').slice(0, signatureCharacters)
  }

  // ---------------------------------------------------------------- out

  /**
   * A piece: u32 bytes of the whole, u8 whether it is the first, bytes. The whole: u8 whether the content is frames, u32
   * bytes of the body, u16 length and name of the vhost, the same of the reply, u32 bytes of the route, route, content.
   */
  send(vhost: string, name: string, message: Message): void {
    const peer = this.#peerOf(name)
    // At most once: a peer that does not read loses replies rather than this node its memory.
    if (peer === null || peer.isCongested) return
    const head = this.#headOf(vhost, name, message)
    const { buffer, routeStart, routeEnd, contentStart, contentEnd } = message
    const whole = head.length + routeEnd - routeStart + contentEnd - contentStart
    const bytes = new Uint8Array(whole)
    bytes.set(head.buffer.subarray(0, head.length))
    bytes.set(buffer.subarray(routeStart, routeEnd), head.length)
    bytes.set(buffer.subarray(contentStart, contentEnd), head.length + routeEnd - routeStart)
    for (let at = 0; at < whole; at += pieceBytes) {
      const end = Math.min(at + pieceBytes, whole)
      const piece = new ByteWriter(end - at + 8)
      piece.uint32(whole)
      piece.uint8(at === 0 ? 1 : 0)
      piece.bytes(bytes, at, end)
      peer.send(services.replies, piece.buffer, 0, piece.length)
    }
  }

  #headOf(vhost: string, name: string, message: Message): ByteWriter {
    const head = this.#head
    head.reset()
    head.uint8(message.isFrames ? 1 : 0)
    head.uint32(message.bodyBytes)
    for (const text of [vhost, name]) {
      const bytes = Buffer.from(text)
      head.uint16(bytes.length)
      head.bytes(bytes, 0, bytes.length)
    }
    head.uint32(message.routeEnd - message.routeStart)
    return head
  }

  // ---------------------------------------------------------------- in

  receive(receiver: (vhost: string, name: string, message: Message) => void): void {
    this.#receiver = receiver
  }

  message(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const whole = view.getUint32(start)
    const from = start + 5
    if (bytes[start + 4] === 1) {
      if (whole > replyBytesMax) return
      this.#coming.set(peer, { bytes: new Uint8Array(whole), length: 0 })
    }
    const coming = this.#coming.get(peer)
    if (coming === undefined || coming.length + end - from > coming.bytes.length) return
    coming.bytes.set(bytes.subarray(from, end), coming.length)
    coming.length += end - from
    if (coming.length < coming.bytes.length) return
    this.#coming.delete(peer)
    this.#deliver(coming.bytes)
  }

  #deliver(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let at = 5
    const text = (): string => {
      const length = view.getUint16(at)
      at += 2 + length
      return Buffer.from(bytes.buffer, bytes.byteOffset + at - length, length).toString()
    }
    const vhost = text()
    const name = text()
    const message = new Message()
    message.buffer = bytes
    message.isFrames = bytes[0] === 1
    message.bodyBytes = view.getUint32(1)
    message.routeStart = at + 4
    message.routeEnd = message.routeStart + view.getUint32(at)
    message.contentStart = message.routeEnd
    message.contentEnd = bytes.length
    this.#receiver(vhost, name, message)
  }

  up(): void {}

  drained(): void {}

  down(peer: Peer): void {
    this.#coming.delete(peer)
  }
}

/** A reply of which not all pieces have come. */
interface ComingReply {
  readonly bytes: Uint8Array
  length: number
}
