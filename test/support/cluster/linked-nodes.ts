/** Nodes that know of one another without a coordination service, for tests of the links between them. */
import assert from 'node:assert/strict'
import { type Clock, ManualClock } from '../../../src/base/clock.ts'
import type { Logger } from '../../../src/base/logger.ts'
import { MemoryNetwork } from '../../../src/base/memory-network.ts'
import type { Listener, Network, Socket, SocketReader } from '../../../src/base/network.ts'
import { SeededRandom } from '../../../src/base/random.ts'
import type { LinkLimits } from '../../../src/cluster/link/link-limits.ts'
import { Links } from '../../../src/cluster/link/links.ts'
import type { Member, Members, MembersListener } from '../../../src/cluster/members.ts'
import type { NodeIdentity } from '../../../src/cluster/node-identity.ts'
import { type Peer, type Service, type ServiceHandler, services } from '../../../src/cluster/peers.ts'

/** What one node believes of who is there. Tests write to it. */
export class ToldMembers implements Members {
  readonly self: NodeIdentity
  readonly live = new Map<string, Member>()
  readonly isCurrent = true
  readonly proofs: string[] = []
  readonly #listeners: MembersListener[] = []

  constructor(self: NodeIdentity) {
    this.self = self
  }

  listen(listener: MembersListener): void {
    this.#listeners.push(listener)
  }

  setDraining(): Promise<void> {
    return Promise.resolve()
  }

  provedDead(name: string, incarnation: number): void {
    this.proofs.push(`${name}#${incarnation}`)
    if (this.live.get(name)?.incarnation === incarnation) this.gone(name)
  }

  come(member: Member): void {
    this.live.set(member.name, member)
    for (const listener of this.#listeners) listener.membersChanged()
  }

  gone(name: string): void {
    this.live.delete(name)
    for (const listener of this.#listeners) listener.membersChanged()
  }
}

/** Notes what a service is told, and checks what must hold of every link. */
export class NotedService implements ServiceHandler {
  readonly events: string[] = []
  readonly messages: Uint8Array[] = []
  /** Called for each message, after it has been noted. */
  onMessage: (peer: Peer, bytes: Uint8Array) => void = () => {}
  keepsMessages = true
  readonly #up = new Map<string, Peer>()

  message(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    assert.equal(this.#up.get(peer.name), peer, 'messages come between up and down only')
    if (!this.keepsMessages) return
    const message = bytes.slice(start, end)
    this.messages.push(message)
    this.onMessage(peer, message)
  }

  up(peer: Peer): void {
    assert.ok(!this.#up.has(peer.name), 'down is told before a later up')
    this.#up.set(peer.name, peer)
    this.events.push(`up ${peer.name}#${peer.incarnation}`)
  }

  down(peer: Peer): void {
    assert.equal(this.#up.get(peer.name), peer, 'down comes once, after up')
    assert.ok(!peer.isUp)
    this.#up.delete(peer.name)
    this.events.push(`down ${peer.name}#${peer.incarnation}`)
  }

  drained(peer: Peer): void {
    this.events.push(`drained ${peer.name}`)
  }

  get texts(): string[] {
    return this.messages.map((message) => Buffer.from(message).toString())
  }
}

/** Keeps lines for tests to look at. */
export class NotedLog implements Logger {
  readonly lines: string[] = []
  debug(): void {}
  info = (_fields: unknown, message: string): void => void this.lines.push(message)
  warn = (_fields: unknown, message: string): void => void this.lines.push(message)
  /** What our own code has thrown, assertions of noted services among it. Tests that mean it take it out. */
  readonly mistakes: unknown[] = []
  error = (fields: Readonly<Record<string, unknown>>, message: string): void => {
    this.lines.push(message)
    this.mistakes.push(fields['error'])
  }

  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length
  }
}

/**
 * A network whose wires can be taken down: then nothing arrives and nobody is told. A connection on which something was
 * lost stays silent in that direction: what is lost of a stream is its end, never a piece in the middle.
 */
export class FrailNetwork implements Network {
  readonly #network: Network
  /** Nothing gets through, in either direction, as long as it is set. */
  isSilent = false
  /** Connections are neither made nor refused. */
  isUnreachable = false
  /** Ports at which connections are refused, as by a firewall. */
  refuses: readonly number[] = []
  writes = 0
  readonly sockets: Socket[] = []

  constructor(network: Network) {
    this.#network = network
  }

  get arena(): Network['arena'] {
    return this.#network.arena
  }

  listen(address: { host: string; port: number }, accept: (socket: Socket) => void): Promise<Listener> {
    return this.#network.listen(address, (socket) => accept(this.#frail(socket)))
  }

  async connect(host: string, port: number, signal?: AbortSignal): Promise<Socket> {
    if (this.isUnreachable) {
      return new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    }
    return this.#frail(await this.#network.connect(host, this.refuses.includes(port) ? nobodysPort : port, signal))
  }

  #frail(socket: Socket): Socket {
    let isDeaf = false
    let isMute = false
    let opened: SocketReader | null = null
    const frail: Socket = {
      remoteAddress: socket.remoteAddress,
      remotePort: socket.remotePort,
      localAddress: socket.localAddress,
      localPort: socket.localPort,
      open: (reader: SocketReader) => {
        opened = reader
        socket.open({
          data: (buffer, start, end) => {
            isDeaf ||= this.isSilent
            if (!isDeaf) reader.data(buffer, start, end)
          },
          ended: () => {
            isDeaf ||= this.isSilent
            if (!isDeaf) reader.ended()
          },
          closed: (error) => opened?.closed(error),
        })
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      write: (bytes, written) => {
        this.writes++
        isMute ||= this.isSilent
        if (isMute) setImmediate(() => written(null))
        else socket.write(bytes, written)
      },
      end: () => socket.end(),
      // Where nothing gets through, the other end is not told that this one has gone.
      destroy: () => {
        isDeaf ||= this.isSilent
        if (!isDeaf) socket.destroy()
        else {
          const reader = opened
          opened = null
          setImmediate(() => reader?.closed(null))
        }
      },
    }
    this.sockets.push(socket)
    return frail
  }
}

/** Nobody listens there. */
const nobodysPort = 1

export interface NodeOptions {
  readonly network: Network
  readonly clock: Clock
  readonly secret?: string
  readonly clusterId?: string
  readonly limits?: Partial<LinkLimits>
  readonly port?: number
  readonly host?: string
}

let randomSeed = 1

/** One node: its links, its beliefs, and a noted service for each of the two that tests use. */
export class LinkedNode {
  readonly members: ToldMembers
  readonly links: Links
  readonly log = new NotedLog()
  readonly shards = new NotedService()
  readonly gossip = new NotedService()
  readonly bodies = new NotedService()
  port = 0
  readonly #host: string

  constructor(name: string, incarnation: number, options: NodeOptions) {
    this.#host = options.host ?? '127.0.0.1'
    this.members = new ToldMembers({ name, incarnation })
    this.links = new Links({
      members: this.members,
      network: options.network,
      clock: options.clock,
      random: new SeededRandom(randomSeed++),
      logger: this.log,
      clusterId: options.clusterId ?? 'test-cluster',
      secret: options.secret ?? 'a secret that is long enough',
      listen: { host: '127.0.0.1', port: options.port ?? 0 },
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    })
    this.links.serve(services.shards, this.shards)
    this.links.serve(services.gossip, this.gossip)
    this.links.serve(services.bodies, this.bodies)
  }

  async start(): Promise<this> {
    this.port = await this.links.start()
    return this
  }

  get member(): Member {
    const published = { host: this.#host, port: this.port, version: '0', isDraining: false, startedAt: 0 }
    return { ...this.members.self, ...published }
  }

  peer(name: string): Peer {
    const peer = this.links.find(name)
    assert.ok(peer !== null, `a link to ${name}`)
    return peer
  }

  send(name: string, text: string | Uint8Array, service: Service = services.shards): void {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text
    this.peer(name).send(service, bytes, 0, bytes.length)
  }
}

/** Each of them learns of all of them. */
export function introduce(...nodes: readonly LinkedNode[]): void {
  for (const node of nodes) for (const other of nodes) node.members.come(other.member)
}

/** Lets everything happen that needs no time. */
export async function turns(count = 40): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Moves time on in small steps, each with what comes of it. */
export async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(Math.min(stepMs, ms - passed))
    await turns(12)
  }
  await turns()
}

const stepMs = 25

/** A clock, a network in memory, and nodes on it. */
export class LinkWorld {
  readonly clock = new ManualClock()
  readonly network = new MemoryNetwork(this.clock)
  readonly #nodes: LinkedNode[] = []

  async node(name: string, incarnation: number, options: Partial<NodeOptions> = {}): Promise<LinkedNode> {
    const node = await new LinkedNode(name, incarnation, {
      network: this.network,
      clock: this.clock,
      ...options,
    }).start()
    this.#nodes.push(node)
    return node
  }

  /** Two nodes that are linked. */
  async pair(options: Partial<NodeOptions> = {}): Promise<[LinkedNode, LinkedNode]> {
    const a = await this.node('a', 1, options)
    const b = await this.node('b', 2, options)
    introduce(a, b)
    await this.pass(500)
    assert.ok(a.links.find('b') !== null && b.links.find('a') !== null, 'the two are linked')
    return [a, b]
  }

  pass(ms: number): Promise<void> {
    return pass(this.clock, ms)
  }

  async close(): Promise<void> {
    const closing = Promise.all(this.#nodes.map((node) => node.links.close()))
    await this.pass(1_100)
    await closing
    for (const { log } of this.#nodes) assert.deepEqual(log.mistakes, [])
  }
}
