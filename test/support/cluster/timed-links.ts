/**
 * Links between nodes in memory: messages arrive whole and in order, after a while, or the link is down and everything that
 * was on its way is lost. Time is a manual clock's; which delays there are is the caller's to say.
 */
import type { Clock } from '../../../src/base/clock.ts'
import type { NodeIdentity } from '../../../src/cluster/node-identity.ts'
import {
  messageBytesMax,
  type Peer,
  type Peers,
  type Service,
  type ServiceHandler,
} from '../../../src/cluster/peers.ts'

export class TimedLinks {
  readonly clock: Clock
  /** Milliseconds that a message takes. */
  delayMs: (from: string, to: string) => number = () => 0
  /** Told of each message that arrives. */
  onMessage: (from: string, to: string, bytes: Uint8Array) => void = () => {}
  readonly #nodes = new Map<string, TimedPeers>()
  readonly #links = new Map<string, [TimedPeer, TimedPeer]>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** A node without links; `connect` makes them once its services are there. */
  node(self: NodeIdentity): TimedPeers {
    const peers = new TimedPeers(self)
    this.#nodes.set(self.name, peers)
    return peers
  }

  connect(one: string, other: string): void {
    const [a, b] = [this.#nodes.get(one), this.#nodes.get(other)]
    if (a === undefined || b === undefined || this.#links.has(keyOf(one, other))) return
    const ends: [TimedPeer, TimedPeer] = [new TimedPeer(this, a.self, b.self), new TimedPeer(this, b.self, a.self)]
    ends[0].far = { peers: b, end: ends[1] }
    ends[1].far = { peers: a, end: ends[0] }
    this.#links.set(keyOf(one, other), ends)
    a.up(ends[0])
    b.up(ends[1])
  }

  connectAll(): void {
    const names = [...this.#nodes.keys()]
    for (const one of names) for (const other of names) if (one < other) this.connect(one, other)
  }

  cut(one: string, other: string): void {
    const ends = this.#links.get(keyOf(one, other))
    if (ends === undefined) return
    this.#links.delete(keyOf(one, other))
    for (const end of ends) end.isUp = false
    for (const end of ends) this.#nodes.get(end.fromName)?.down(end)
  }

  /** A node that is gone: its links are cut and nothing is told to it any more. */
  remove(name: string): void {
    for (const other of [...this.#nodes.keys()]) this.cut(name, other)
    this.#nodes.delete(name)
  }
}

export class TimedPeers implements Peers {
  readonly self: NodeIdentity
  readonly #handlers = new Map<Service, ServiceHandler>()
  readonly #peers = new Map<string, TimedPeer>()

  constructor(self: NodeIdentity) {
    this.self = self
  }

  find(name: string): Peer | null {
    return this.#peers.get(name) ?? null
  }

  get all(): Iterable<Peer> {
    return this.#peers.values()
  }

  serve(service: Service, handler: ServiceHandler): void {
    if (this.#handlers.has(service)) throw new Error(`service ${service} is served already`)
    this.#handlers.set(service, handler)
  }

  up(peer: TimedPeer): void {
    this.#peers.set(peer.name, peer)
    for (const handler of this.#handlers.values()) handler.up(peer)
  }

  down(peer: TimedPeer): void {
    this.#peers.delete(peer.name)
    for (const handler of this.#handlers.values()) handler.down(peer)
  }

  receive(from: TimedPeer, service: Service, bytes: Uint8Array): void {
    // Somewhere in a larger buffer, which is another's again after the call.
    const buffer = new Uint8Array(bytes.length + 14)
    buffer.set(bytes, 7)
    this.#handlers.get(service)?.message(from, buffer, 7, 7 + bytes.length)
    buffer.fill(0xff)
  }

  drained(peer: TimedPeer): void {
    for (const handler of this.#handlers.values()) handler.drained(peer)
  }
}

/** Bytes on their way beyond which an end is congested. */
const congestedBytes = 4 * 1024 * 1024

export class TimedPeer implements Peer {
  readonly name: string
  readonly incarnation: number
  readonly fromName: string
  isUp = true
  far: { readonly peers: TimedPeers; readonly end: TimedPeer } | null = null
  readonly #links: TimedLinks
  #bytesUnderway = 0
  #wasCongested = false
  #lastDueAt = 0
  #underway: { readonly service: Service; readonly bytes: Uint8Array }[] = []

  /** The end at `from` of its link to `to`. */
  constructor(links: TimedLinks, from: NodeIdentity, to: NodeIdentity) {
    this.#links = links
    this.fromName = from.name
    this.name = to.name
    this.incarnation = to.incarnation
  }

  get isCongested(): boolean {
    if (this.#bytesUnderway > congestedBytes) this.#wasCongested = true
    return this.#bytesUnderway > congestedBytes
  }

  send(service: Service, bytes: Uint8Array, start: number, end: number): void {
    if (!this.isUp) return
    if (end - start > messageBytesMax) throw new RangeError('a message is longer than messageBytesMax')
    const { clock } = this.#links
    this.#underway.push({ service, bytes: bytes.slice(start, end) })
    this.#bytesUnderway += end - start
    this.#lastDueAt = Math.max(this.#lastDueAt, clock.now() + this.#links.delayMs(this.fromName, this.name))
    clock.after(this.#lastDueAt - clock.now(), () => this.#arrive())
  }

  #arrive(): void {
    const message = this.#underway.shift()
    if (message === undefined || !this.isUp || this.far === null) return
    this.#bytesUnderway -= message.bytes.length
    this.#links.onMessage(this.fromName, this.name, message.bytes)
    this.far.peers.receive(this.far.end, message.service, message.bytes)
    if (!this.#wasCongested || this.#bytesUnderway > congestedBytes / 2 || !this.isUp) return
    this.#wasCongested = false
    const near = this.far.end.far?.peers
    near?.drained(this)
  }
}

function keyOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}
