/**
 * The placed shards of a node, and what comes for them over the links: commands of other nodes, answers of owners, pieces
 * of bodies.
 */
import { ByteReader } from '../../amqp/byte-reader.ts'
import type { Logger } from '../../base/logger.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { type Peer, type Peers, type ServiceHandler, services } from '../peers.ts'
import { CarriedBytes } from './carried-body.ts'
import type { PlacedShard } from './placed-shard.ts'
import { SharedTurns } from './shared-turns.ts'
import { MessageKind, PieceKind } from './wire.ts'

export interface ShardLinkOptions {
  readonly peers: Peers
  readonly logger: Logger
  /** The other nodes with a live session. */
  otherNodes(): Iterable<NodeIdentity>
}

/** Large bodies that come into shards served here and are kept until their publish, of a whole node, in bytes. */
export const carriedBytesMax = 64 * 1024 * 1024

export class ShardLink {
  readonly sharedTurns = new SharedTurns()
  readonly carried = new CarriedBytes(carriedBytesMax)
  readonly #options: ShardLinkOptions
  readonly #shards = new Map<number, PlacedShard>()
  readonly #reader = new ByteReader()

  /** Before the links start. */
  constructor(options: ShardLinkOptions) {
    this.#options = options
    options.peers.serve(
      services.shards,
      this.#handler((peer, ...range) => this.#message(peer, ...range)),
    )
    options.peers.serve(services.bodies, {
      message: (peer, ...range) => this.#contain(peer, () => this.#piece(peer, ...range)),
      up: () => {},
      down: () => {},
      drained: () => {},
    })
  }

  add(shard: PlacedShard): void {
    this.#shards.set(shard.shardId, shard)
  }

  /** A shard of a node that is gone. */
  remove(shard: PlacedShard): void {
    this.#shards.delete(shard.shardId)
  }

  /** The link to exactly this process, if it is up. */
  find({ name, incarnation }: NodeIdentity): Peer | null {
    const peer = this.#options.peers.find(name)
    return peer !== null && peer.incarnation === incarnation && peer.isUp ? peer : null
  }

  *otherNodes(): Generator<number> {
    for (const { incarnation } of this.#options.otherNodes()) yield incarnation
  }

  /** The process of this incarnation is gone for good: what its clients held goes back. */
  gone(incarnation: number): void {
    for (const shard of this.#shards.values()) shard.owner.gone(incarnation)
  }

  /** This node has come further with the topology. */
  topologyAdvanced(): void {
    for (const shard of this.#shards.values()) shard.owner.topologyAdvanced()
  }

  #handler(message: ServiceHandler['message']): ServiceHandler {
    return {
      message: (peer, ...range) => this.#contain(peer, () => message(peer, ...range)),
      up: (peer) => {
        for (const shard of this.#shards.values()) shard.owner.up(peer)
      },
      down: (peer) => {
        for (const shard of this.#shards.values()) shard.owner.down(peer)
      },
      drained: (peer) => {
        for (const shard of this.#shards.values()) shard.owner.drained(peer)
      },
    }
  }

  /** What a node says that cannot be read ends its attachments, not this process. */
  #contain(peer: Peer, step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#options.logger.error({ error, node: peer.name }, 'what another node said of a shard is not understood')
      for (const shard of this.#shards.values()) shard.owner.misunderstood(peer)
    }
  }

  #message(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    const kind = reader.uint8()
    const owner = this.#shards.get(reader.uint64())?.owner
    const place = { peer, epoch: reader.uint64(), attachment: reader.uint32() }
    if (owner === undefined) return
    if (kind === MessageKind.answers) return owner.answers(place, bytes, reader.position, end)
    owner.serviceFor(place)?.message(peer, place.attachment, reader)
  }

  #piece(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    const kind = reader.uint8()
    const owner = this.#shards.get(reader.uint64())?.owner
    const attachment = reader.uint32()
    const place = { body: reader.uint32(), index: reader.uint32() }
    const isThere = reader.uint8() === 1
    const { position } = reader
    if (owner === undefined) return
    if (kind === PieceKind.ofPublish) owner.service?.piece(peer, attachment, place, bytes.slice(position, end))
    else if (owner.attachment?.number === attachment && owner.attachment.peer === peer)
      owner.attachment.piece(place, isThere, { buffer: bytes, start: position, end })
  }
}
