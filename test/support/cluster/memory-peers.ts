/**
 * Links between nodes in one process: messages arrive in order, whole and some turns of the event loop later, or the link
 * is down. It can be cut and mended, slowed, and a node killed.
 */
import type { NodeIdentity } from '../../../src/cluster/node-identity.ts'
import type { Peer, Peers, Service, ServiceHandler } from '../../../src/cluster/peers.ts'

/** Bytes on their way to one peer above which it is congested. */
const congestedBytes = 4 * 1024 * 1024

export class MemoryNetwork {
  readonly #nodes = new Map<string, MemoryPeers>()
  /** Turns of the event loop that a message takes; a function, so that it may be random. */
  turns: () => number = () => 0

  join(identity: NodeIdentity): MemoryPeers {
    const node = new MemoryPeers(identity, this)
    this.#nodes.set(identity.name, node)
    return node
  }

  /** Brings the link of each pair up that is down. */
  connectAll(): void {
    const nodes = [...this.#nodes.values()]
    nodes.forEach((node, index) => {
      for (const other of nodes.slice(index + 1)) node.connect(other)
    })
  }

  /** What is under way is lost. */
  cut(one: string, other: string): void {
    this.#nodes.get(one)?.disconnect(other)
    this.#nodes.get(other)?.disconnect(one)
  }

  mend(one: string, other: string): void {
    const first = this.#nodes.get(one)
    const second = this.#nodes.get(other)
    if (first !== undefined && second !== undefined) first.connect(second)
  }

  /** The process is gone: its links are down, and it hears of nothing any more. */
  kill(name: string): void {
    const node = this.#nodes.get(name)
    this.#nodes.delete(name)
    for (const other of this.#nodes.values()) other.disconnect(name)
    node?.silence()
  }
}

export class MemoryPeers implements Peers {
  readonly identity: NodeIdentity
  readonly network: MemoryNetwork
  readonly #peers = new Map<string, MemoryPeer>()
  readonly handlers = new Map<Service, ServiceHandler>()

  constructor(identity: NodeIdentity, network: MemoryNetwork) {
    this.identity = identity
    this.network = network
  }

  find(name: string): Peer | null {
    return this.#peers.get(name) ?? null
  }

  get all(): Iterable<Peer> {
    return this.#peers.values()
  }

  serve(service: Service, handler: ServiceHandler): void {
    this.handlers.set(service, handler)
  }

  connect(other: MemoryPeers): void {
    if (this.#peers.has(other.identity.name)) return
    const there = new MemoryPeer(other.identity, this, other)
    const here = new MemoryPeer(this.identity, other, this)
    there.counterpart = here
    here.counterpart = there
    this.#peers.set(other.identity.name, there)
    other.#peers.set(this.identity.name, here)
    for (const handler of this.handlers.values()) handler.up(there)
    for (const handler of other.handlers.values()) handler.up(here)
  }

  disconnect(name: string): void {
    const peer = this.#peers.get(name)
    if (peer === undefined) return
    this.#peers.delete(name)
    peer.isUp = false
    for (const handler of this.handlers.values()) handler.down(peer)
  }

  silence(): void {
    this.handlers.clear()
    for (const peer of this.#peers.values()) peer.isUp = false
    this.#peers.clear()
  }
}

interface OnItsWay {
  readonly service: Service
  readonly bytes: Uint8Array
}

/** The other node as one node sees it. */
class MemoryPeer implements Peer {
  readonly name: string
  readonly incarnation: number
  isUp = true
  /** How the other node sees this one. */
  counterpart: MemoryPeer | null = null
  readonly #here: MemoryPeers
  readonly #there: MemoryPeers
  #onItsWay: OnItsWay[] = []
  #bytes = 0
  #wasCongested = false
  #isMoving = false

  constructor({ name, incarnation }: NodeIdentity, here: MemoryPeers, there: MemoryPeers) {
    this.name = name
    this.incarnation = incarnation
    this.#here = here
    this.#there = there
  }

  get isCongested(): boolean {
    if (this.#bytes > congestedBytes) this.#wasCongested = true
    return this.#bytes > congestedBytes
  }

  send(service: Service, bytes: Uint8Array, start: number, end: number): void {
    if (!this.isUp) return
    this.#onItsWay.push({ service, bytes: bytes.slice(start, end) })
    this.#bytes += end - start
    if (!this.#isMoving) this.#move(this.#here.network.turns())
  }

  #move(turns: number): void {
    this.#isMoving = true
    setImmediate(() => {
      if (turns > 0) return this.#move(turns - 1)
      this.#isMoving = false
      const arrived = this.#onItsWay
      this.#onItsWay = []
      this.#bytes = 0
      for (const message of arrived) this.#arrive(message)
      if (this.#wasCongested && this.isUp) {
        this.#wasCongested = false
        for (const handler of this.#here.handlers.values()) handler.drained(this)
      }
    })
  }

  #arrive({ service, bytes }: OnItsWay): void {
    const { counterpart } = this
    if (!this.isUp || counterpart === null || !counterpart.isUp) return
    this.#there.handlers.get(service)?.message(counterpart, bytes, 0, bytes.length)
  }
}
