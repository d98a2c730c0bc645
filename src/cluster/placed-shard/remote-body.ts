/**
 * Large bodies between nodes, in pieces on `services.bodies`: sent as fast as the link takes them, put together or asked for
 * one by one at the other end.
 */
import { ByteWriter } from '../../amqp/byte-writer.ts'
import type { Chunks } from '../../broker/message.ts'
import { type Peer, services } from '../peers.ts'
import type { HeldBody } from './held-body.ts'

/** Where pieces belong. */
export interface PieceAddress {
  readonly kind: number
  readonly shardId: number
  readonly attachment: number
}

const writer = new ByteWriter(80 * 1024)

/** Sends one piece; null: it cannot be read. */
export function sendPiece(
  peer: Peer,
  { kind, shardId, attachment }: PieceAddress,
  place: { body: number; index: number },
  bytes: Uint8Array | null,
): void {
  writer.reset()
  writer.uint8(kind)
  writer.uint64(shardId)
  writer.uint32(attachment)
  writer.uint32(place.body)
  writer.uint32(place.index)
  writer.uint8(bytes === null ? 0 : 1)
  if (bytes !== null) writer.bytes(bytes)
  peer.send(services.bodies, writer.buffer, 0, writer.length)
}

/** The bodies of publishes on their way to an owner, one after the other, no faster than the link. */
export class BodySender {
  readonly #peer: Peer
  readonly #address: PieceAddress
  #bodies: HeldBody[] = []
  #nextPiece = 0

  constructor(peer: Peer, address: PieceAddress) {
    this.#peer = peer
    this.#address = address
  }

  add(body: HeldBody): void {
    this.#bodies.push(body)
    this.pump()
  }

  /** The link may have room again. */
  pump(): void {
    for (let body = this.#bodies[0]; body !== undefined && !this.#peer.isCongested; body = this.#bodies[0]) {
      const piece = body.pieces[this.#nextPiece]
      if (piece !== undefined) sendPiece(this.#peer, this.#address, { body: body.id, index: this.#nextPiece++ }, piece)
      if (this.#nextPiece < body.count) continue
      this.#bodies = this.#bodies.slice(1)
      this.#nextPiece = 0
    }
  }
}

/** Bytes `start..end`, valid during a call. */
export interface ByteRange {
  readonly buffer: Uint8Array
  readonly start: number
  readonly end: number
}

type PieceReader = Parameters<Chunks['read']>[1]

/** Asks an owner for pieces. */
export interface PieceSource {
  readonly isOver: boolean
  askPiece(body: number, index: number): void
  releaseBody(body: number): void
}

/** The body of a delivery, read from its owner piece by piece. */
export class RemoteChunks implements Chunks {
  readonly id: number
  readonly count: number
  readonly bodyBytes: number
  readonly #source: PieceSource
  #waiting: { index: number; done: PieceReader } | null = null
  #isReleased = false

  constructor(source: PieceSource, id: number, count: number, bodyBytes: number) {
    this.#source = source
    this.id = id
    this.count = count
    this.bodyBytes = bodyBytes
  }

  read(index: number, done: PieceReader): void {
    if (this.#source.isOver) return done(lost(), nothing, 0, 0)
    this.#waiting = { index, done }
    this.#source.askPiece(this.id, index)
  }

  /** A piece has come; `isThere` false: its owner cannot read it. */
  piece(index: number, isThere: boolean, { buffer, start, end }: ByteRange): void {
    const waiting = this.#waiting
    if (waiting === null || waiting.index !== index) return
    this.#waiting = null
    waiting.done(isThere ? null : lost(), buffer, start, end)
  }

  /** The attachment is over: what has not come does not come. */
  fail(): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.done(lost(), nothing, 0, 0)
  }

  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#source.releaseBody(this.id)
  }
}

function lost(): Error {
  return new Error('the node that has the body of this message cannot be reached any more')
}

const nothing = new Uint8Array(0)
