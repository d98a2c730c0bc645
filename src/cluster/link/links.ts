import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { ListenAddress, Listener, Network, Socket, SocketReader } from '../../base/network.ts'
import type { Random } from '../../base/random.ts'
import { RunQueue } from '../../base/run-queue.ts'
import type { Member, Members, MembersListener } from '../members.ts'
import type { NodeIdentity } from '../node-identity.ts'
import type { Peer, Peers, Service, ServiceHandler } from '../peers.ts'
import { HandshakeSocket } from './handshake-socket.ts'
import { Link, type LinkOwner } from './link.ts'
import { type Intent, isClusterId, isNodeName, nonceBytes, type Verdict } from './link-codec.ts'
import { clusterMarkOf, type HandshakeResult, type HandshakeSelf, ListeningSide } from './link-handshake.ts'
import { defaultLinkLimits, type LinkLimits } from './link-limits.ts'
import { type DialerOwner, MemberDialer } from './member-dialer.ts'
import { RefusalLog } from './refusal-log.ts'
import { ServiceHandlers } from './service-handlers.ts'
import { Witnesses } from './witnesses.ts'

/** Shortest cluster secret, in bytes of UTF-8. */
export const secretBytesMin = 16

export interface LinksOptions {
  readonly members: Members
  /** Where the links listen and connect: `SystemNetwork`, or `TlsNetwork` for mutual TLS. */
  readonly network: Network
  readonly clock: Clock
  /** Nonces are taken from it: not predictable outside of tests. */
  readonly random: Random
  readonly logger: Logger
  /** The node's own, so that links take turns with its other long work. */
  readonly runQueue?: RunQueue
  /** Visible ASCII, at most 64 characters; nodes of another cluster are refused. */
  readonly clusterId: string
  /** The same on all nodes, at least `secretBytesMin` bytes. */
  readonly secret: string
  readonly listen: ListenAddress
  readonly limits?: Partial<LinkLimits>
}

export interface Reach {
  /** Its published address is known to lead to it. */
  readonly isVerified: boolean
  /** Why it cannot be reached, as far as the last try tells; empty when it can. */
  readonly trouble: string
}

/**
 * All links of a node: one connection to each other live member, and the port on which those arrive.
 *
 * Links are made once this node is among the live members itself. Its session may begin before `start` or after it: an
 * address that refuses and has never led to this incarnation proves nothing. `close` says to all who ask that this process is gone (its port refuses from then on):
 * it is for a node that has given up what it owned.
 */
export class Links implements Peers, LinkOwner, DialerOwner, MembersListener {
  readonly #options: LinksOptions
  readonly #limits: LinkLimits
  readonly #runQueue: RunQueue
  readonly #secret: Uint8Array
  readonly #clusterMark: Uint8Array
  readonly #handlers: ServiceHandlers
  readonly #refusals: RefusalLog
  readonly #witnesses: Witnesses
  readonly #links = new Map<string, Link>()
  readonly #dialers = new Map<string, MemberDialer>()
  /** The last incarnation of each name that was proved gone: said once, however often it is proved. */
  readonly #provedDead = new Map<string, number>()
  readonly #handshakes = new Set<HandshakeSocket>()
  readonly #handshakesOf = new Map<string, number>()
  /** Links whose socket is not gone yet. */
  readonly #sockets = new Set<Link>()
  #listener: Listener | null = null
  #isStarted = false
  #isClosed = false
  #whenGone: (() => void) | null = null

  /** Throws `TypeError` with a sentence when name, cluster id or secret cannot be used. */
  constructor(options: LinksOptions) {
    this.#options = options
    this.#limits = { ...defaultLinkLimits, ...options.limits }
    this.#runQueue = options.runQueue ?? new RunQueue(options.clock)
    this.#secret = new TextEncoder().encode(options.secret)
    this.#clusterMark = clusterMarkOf(options.clusterId)
    this.#handlers = new ServiceHandlers(options.logger)
    this.#refusals = new RefusalLog(options.clock, options.logger)
    checkOptions(options, this.#secret)
    const waitMsMax = this.#limits.witnessMsMax
    const isLinked = (member: NodeIdentity): boolean => this.isLinked(member)
    this.#witnesses = new Witnesses({ peers: this, clock: options.clock, isLinked, waitMsMax })
  }

  // ---------------------------------------------------------------- start

  serve(service: Service, handler: ServiceHandler): void {
    if (this.#isStarted) throw new TypeError('services are named before the links start')
    this.#handlers.serve(service, handler)
  }

  /** Listens; resolves with the port. Rejects with the system's error (`EADDRINUSE`, `EACCES`, …). */
  async start(): Promise<number> {
    const { network, listen, members } = this.#options
    this.#isStarted = true
    const listener = await network.listen(listen, (socket) => this.#accept(socket))
    this.#listener = listener
    members.listen(this)
    this.membersChanged()
    return listener.port
  }

  // ---------------------------------------------------------------- use

  find(name: string): Peer | null {
    return this.#links.get(name) ?? null
  }

  get all(): Iterable<Link> {
    return this.#links.values()
  }

  /** How this member is reached, for people; null for one that is not live. */
  reach(name: string): Reach | null {
    const dialer = this.#dialers.get(name)
    return dialer === undefined ? null : { isVerified: dialer.isVerified, trouble: dialer.trouble }
  }

  // ---------------------------------------------------------------- close

  /**
   * Listens no more and takes all links down; what services have sent before still goes out, within `closeMsMax`.
   * Resolves when all sockets are gone.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#listener?.close()
    for (const dialer of this.#dialers.values()) dialer.stop()
    this.#dialers.clear()
    for (const handshake of this.#handshakes) handshake.abandon()
    this.#handshakes.clear()
    for (const link of [...this.#links.values()]) link.close('this node closes')
    if (this.#sockets.size === 0) return
    await new Promise<void>((resolve) => {
      this.#whenGone = resolve
    })
  }

  // ---------------------------------------------------------------- members

  membersChanged(): void {
    if (this.#isClosed || !this.#isMember) return
    const { members, network, clock, logger } = this.#options
    for (const [name, dialer] of this.#dialers) {
      if (isSameMember(members.live.get(name), dialer.member)) continue
      dialer.stop()
      this.#dialers.delete(name)
    }
    for (const link of [...this.#links.values()]) {
      if (members.live.get(link.name)?.incarnation !== link.incarnation) link.cut('it is no live member any more')
    }
    const parts = { network, clock, logger, limits: this.#limits }
    for (const member of members.live.values()) {
      if (member.name === members.self.name || this.#dialers.has(member.name)) continue
      this.#dialers.set(member.name, new MemberDialer(member, members.self.name, this, parts))
    }
  }

  currentChanged(): void {}

  /** The links of a session end with it: under its incarnation nothing may be said any more. */
  sessionLost(): void {
    void this.close()
  }

  /** Whether this node's own session is among the live ones. */
  get #isMember(): boolean {
    const { live, self } = this.#options.members
    return live.get(self.name)?.incarnation === self.incarnation
  }

  // ---------------------------------------------------------------- accepting

  #accept(socket: Socket): void {
    const address = socket.remoteAddress
    const ofAddress = this.#handshakesOf.get(address) ?? 0
    if (this.#handshakes.size >= this.#limits.handshakesMax || ofAddress >= this.#limits.handshakesPerAddressMax) {
      this.#refusals.refused(address, 'too many connections have not proved who they are yet')
      socket.destroy()
      return
    }
    const side = new ListeningSide(this.introduce(), (peer, intent) => this.#judge(peer, intent))
    const owner = {
      shaken: (result: HandshakeResult) => {
        this.#handshakeOver(handshake, address)
        return this.#accepted(result, socket)
      },
      failed: (reason: string) => {
        this.#handshakeOver(handshake, address)
        this.#refusals.refused(address, reason)
      },
    }
    const handshake = new HandshakeSocket(socket, side, owner, this.#options.clock, this.#limits.handshakeMsMax)
    this.#handshakes.add(handshake)
    this.#handshakesOf.set(address, ofAddress + 1)
    handshake.begin()
  }

  #handshakeOver(handshake: HandshakeSocket, address: string): void {
    this.#handshakes.delete(handshake)
    const left = (this.#handshakesOf.get(address) ?? 1) - 1
    if (left > 0) this.#handshakesOf.set(address, left)
    else this.#handshakesOf.delete(address)
  }

  /** The answer to a node that has proved who it is. */
  #judge(peer: NodeIdentity, intent: Intent): { verdict: Verdict; sentence: string } {
    const { members } = this.#options
    const self = members.self.name
    if (this.#isClosed || !this.#isMember) return refusal('notReady', `node '${self}' has no session now`)
    const known = Math.max(
      members.live.get(peer.name)?.incarnation ?? 0,
      this.#links.get(peer.name)?.incarnation ?? 0,
      peer.name === self ? members.self.incarnation : 0,
    )
    if (known > peer.incarnation) {
      return refusal('superseded', `node '${self}' knows incarnation ${known} of '${peer.name}', a later one`)
    }
    if (members.live.get(peer.name)?.incarnation !== peer.incarnation || peer.name === self) {
      return refusal('unknownMember', `node '${self}' does not know incarnation ${peer.incarnation} of '${peer.name}'`)
    }
    if (intent === 'link' && peer.name > self) {
      return refusal('wrongDirection', `node '${self}' links to '${peer.name}', not the other way round`)
    }
    return { verdict: 'accepted', sentence: '' }
  }

  #accepted({ peer, intent, verdict, sentence }: HandshakeResult, socket: Socket): SocketReader | null {
    const { members } = this.#options
    if (verdict !== 'accepted') this.#refusals.refused(socket.remoteAddress, sentence)
    const member = members.live.get(peer.name)
    if (verdict === 'unknownMember' && member !== undefined && peer.name !== members.self.name) {
      this.provedDead(member, 'a later incarnation has come')
    }
    if (verdict !== 'accepted') return null
    if (intent === 'link') return this.#open(peer, socket)
    this.#dialers.get(peer.name)?.nudge()
    return null
  }

  // ---------------------------------------------------------------- dialing

  introduce(): HandshakeSelf {
    const { members, random } = this.#options
    const nonce = random.bytes(nonceBytes)
    return { self: members.self, clusterMark: this.#clusterMark, secret: this.#secret, nonce }
  }

  isLinked(member: NodeIdentity): boolean {
    return this.#links.get(member.name)?.incarnation === member.incarnation
  }

  dialed(member: Member, socket: Socket): SocketReader | null {
    return this.isLinked(member) ? null : this.#open(member, socket)
  }

  witnessOf(member: Member): Promise<string | null> {
    return this.#witnesses.find(member)
  }

  provedDead(member: Member, how: string): void {
    const { name, incarnation } = member
    if (this.#provedDead.get(name) !== incarnation) {
      this.#provedDead.set(name, incarnation)
      this.#options.logger.warn({ node: name, incarnation }, `node '${name}' is gone: ${how}`)
    }
    this.#links.get(name)?.cut(how)
    this.#options.members.provedDead(name, incarnation)
  }

  // ---------------------------------------------------------------- links

  /** Whoever dials has no link: one that is still thought to be up here is not. */
  #open(peer: NodeIdentity, socket: Socket): Link {
    const { clock, network, logger } = this.#options
    this.#links.get(peer.name)?.cut('the other node has made a new link')
    const parts = { clock, runQueue: this.#runQueue, arena: network.arena, limits: this.#limits }
    const link = new Link(peer, socket, parts, this)
    this.#links.set(peer.name, link)
    this.#sockets.add(link)
    const address = socket.remoteAddress
    logger.info({ node: peer.name, incarnation: peer.incarnation, address }, `linked to node '${peer.name}'`)
    this.#handlers.up(link)
    return link
  }

  message(link: Link, service: number, buffer: Uint8Array, start: number, end: number): void {
    this.#handlers.message(link, service, buffer, start, end)
  }

  linkDrained(link: Link): void {
    this.#handlers.drained(link)
  }

  linkDown(link: Link, reason: string): void {
    const { clock, logger } = this.#options
    if (this.#links.get(link.name) === link) this.#links.delete(link.name)
    logger.info(
      { node: link.name, incarnation: link.incarnation },
      `the link to node '${link.name}' is down: ${reason}`,
    )
    this.#handlers.down(link)
    this.#dialers.get(link.name)?.linkDown(clock.monotonic() - link.upSince)
  }

  linkGone(link: Link): void {
    this.#sockets.delete(link)
    if (this.#sockets.size === 0) this.#whenGone?.()
  }
}

function refusal(verdict: Verdict, sentence: string): { verdict: Verdict; sentence: string } {
  return { verdict, sentence }
}

function isSameMember(one: Member | undefined, other: Member): boolean {
  return one?.incarnation === other.incarnation && one.host === other.host && one.port === other.port
}

function checkOptions({ members, clusterId }: LinksOptions, secret: Uint8Array): void {
  const { name } = members.self
  if (!isNodeName(name)) throw new TypeError(`'${name}' is no node name: letters, digits, '-', '_', '.', at most 64`)
  if (!isClusterId(clusterId)) throw new TypeError(`'${clusterId}' is no cluster id: visible ASCII, at most 64`)
  if (secret.length >= secretBytesMin) return
  throw new TypeError(
    `the cluster secret has ${secret.length} bytes; give at least ${secretBytesMin}, better random ones`,
  )
}
