/** Deliveries on their way to another node: how much of that there may be, and the bodies that it asks for piece by piece. */
import type { ByteWriter } from '../../amqp/byte-writer.ts'
import type { Chunks, Message } from '../../broker/message.ts'
import type { Peer } from '../peers.ts'
import { writeMessage } from './message-codec.ts'
import { type PieceAddress, sendPiece } from './remote-body.ts'
import type { RemoteConsumer } from './remote-consumer.ts'
import { deliveryOverheadBytes, deliveryWindowBytes, PieceKind } from './wire.ts'

export class EntryDeliveries {
  readonly #peer: Peer
  readonly #address: PieceAddress
  readonly #bodies = new Map<number, Chunks>()
  #nextBody = 1
  #bytes = 0
  #isOver = false
  /** Consumers that could not be given a message for want of room. */
  readonly #refused = new Set<RemoteConsumer>()

  constructor(peer: Peer, shardId: number, attachment: number) {
    this.#peer = peer
    this.#address = { kind: PieceKind.ofDelivery, shardId, attachment }
  }

  get hasRoom(): boolean {
    return this.#bytes < deliveryWindowBytes && !this.#peer.isCongested
  }

  refused(consumer: RemoteConsumer): void {
    this.#refused.add(consumer)
  }

  sent({ routeStart, contentEnd, contentStart, routeEnd }: Message): void {
    this.#bytes += routeEnd - routeStart + contentEnd - contentStart + deliveryOverheadBytes
  }

  /** The node has taken deliveries. */
  taken(consumer: RemoteConsumer | null, count: number, bytes: number): void {
    this.#bytes -= bytes
    if (consumer !== null) consumer.underWay -= count
  }

  /** Called when there is room. */
  resumeRefused(): void {
    if (this.#refused.size === 0 || this.#bytes > deliveryWindowBytes / 2) return
    for (const consumer of this.#refused) {
      if (!consumer.hasRoom) continue
      this.#refused.delete(consumer)
      consumer.placed.commands.resume(consumer)
    }
  }

  /** A message of which the other node asks for the pieces, if it is a large one. */
  write(writer: ByteWriter, message: Message): void {
    const { chunks, traits } = message
    // They were for the queue; whoever gets it has no use for them.
    message.traits = null
    if (chunks === null) writeMessage(writer, message, null)
    else {
      const id = this.#nextBody++
      this.#bodies.set(id, chunks)
      writeMessage(writer, message, { id, count: chunks.count })
    }
    message.traits = traits
  }

  readBody(id: number, index: number): void {
    const chunks = this.#bodies.get(id)
    const place = { body: id, index }
    if (chunks === undefined || index >= chunks.count) return sendPiece(this.#peer, this.#address, place, null)
    chunks.read(index, (error, buffer, start, end) => {
      if (!this.#isOver)
        sendPiece(this.#peer, this.#address, place, error === null ? buffer.subarray(start, end) : null)
    })
  }

  releaseBody(id: number): void {
    this.#bodies.get(id)?.release()
    this.#bodies.delete(id)
  }

  end(): void {
    this.#isOver = true
    for (const chunks of this.#bodies.values()) chunks.release()
    this.#bodies.clear()
    this.#refused.clear()
  }
}
