/**
 * The other nodes as one talks to them: one authenticated connection per pair of nodes, on which messages of several
 * services go. A message arrives whole, once and in the order of its service, or the link is down; what was not answered
 * by then is for the service to say again. One service may overtake another: control goes ahead of data.
 */
import type { NodeIdentity } from './node-identity.ts'

/** Who a message is for. Gossip, topology and witnesses go ahead of shards, replies and management, and those ahead of bodies. */
export const services = {
  /** Liveness, gossip of log positions and alarms. */
  gossip: 1,
  /** Changes of the topology, and how far each node has come with it. */
  topology: 2,
  /** Commands to shards of another node, their answers and deliveries. */
  shards: 3,
  /** Pieces of large bodies. */
  bodies: 4,
  /** Direct replies. */
  replies: 5,
  /** Questions of the management interface. */
  management: 6,
  /** Who is linked to a member that one of them cannot reach. */
  witnesses: 7,
} as const
export type Service = (typeof services)[keyof typeof services]

/** Longest message, in bytes; what is longer is split by its service. */
export const messageBytesMax = 1024 * 1024

/** One other node while its link is up. A node that comes again is another `Peer`. */
export interface Peer extends NodeIdentity {
  readonly isUp: boolean
  /**
   * Sends one message: bytes `start..end`, copied. Everything sent in one turn of the event loop leaves in one write.
   * Does nothing once the link is down (`ServiceHandler.down` says so).
   */
  send(service: Service, bytes: Uint8Array, start: number, end: number): void
  /** More than 4 MiB wait to be written: stop sending data until `ServiceHandler.drained`. */
  readonly isCongested: boolean
}

export interface ServiceHandler {
  /** The bytes `start..end` are valid during the call only. */
  message(peer: Peer, bytes: Uint8Array, start: number, end: number): void
  up(peer: Peer): void
  down(peer: Peer): void
  drained(peer: Peer): void
}

export interface Peers {
  /** The link to this node, if it is up. */
  find(name: string): Peer | null
  readonly all: Iterable<Peer>
  /** Once per service, before the links start. */
  serve(service: Service, handler: ServiceHandler): void
}
