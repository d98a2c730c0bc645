import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Network, Socket, SocketReader } from '../../base/network.ts'
import type { Member } from '../members.ts'
import type { NodeIdentity } from '../node-identity.ts'
import { isRefusalBy } from './connection-refused.ts'
import { HandshakeSocket } from './handshake-socket.ts'
import type { Intent } from './link-codec.ts'
import { DialingSide, type HandshakeResult, type HandshakeSelf } from './link-handshake.ts'
import type { LinkLimits } from './link-limits.ts'

/** What a dialer needs of the links. */
export interface DialerOwner {
  /** Who we are, with a nonce that is used this once. */
  introduce(): HandshakeSelf
  isLinked(member: Member): boolean
  /** The member has accepted; returns who reads from now on. */
  dialed(member: Member, socket: Socket): SocketReader | null
  /** The name of a node that is linked to the member; null when none says so in time. */
  witnessOf(member: Member): Promise<string | null>
  /** The process of the dialer's member is gone. */
  provedDead(member: Member, how: string): void
}

export interface DialerParts {
  readonly network: Network
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: LinkLimits
}

/**
 * Reaches one member, from when it is seen until it is gone.
 *
 * Of two nodes the one with the smaller name *links*: it tries until it has a link, and again when that is down. The
 * other one only *probes*: it goes through the same handshake and hangs up. So there is nothing to settle between two
 * connections, and yet both can tell whether the member's address leads to it, and whether its process is gone.
 *
 * A process is proved gone by
 * - another, later incarnation that proves itself at the member's address (or anywhere else, see `Links`);
 * - two refusals (`ECONNREFUSED`) in a row, `refusedAgainMs` apart, while there is no link, by the very address at which
 *   this incarnation has proved itself to us before, and no other node is linked to it: else a firewall has refused. An
 *   address that has never led to the member proves nothing: it may be wrong, and lead to a machine on which nothing
 *   listens. Silence proves nothing either.
 */
export class MemberDialer {
  readonly member: Member
  readonly #owner: DialerOwner
  readonly #parts: DialerParts
  readonly #links: boolean
  #timer: Timer | null = null
  #pauseMs: number
  #abort: AbortController | null = null
  #handshake: HandshakeSocket | null = null
  /** The numeric address at which the member has proved itself; null as long as it has not. */
  #verifiedAddress: string | null = null
  /** When the member's address refused us, by the monotonic clock, if that is the last we know of it. */
  #refusedAt: number | null = null
  #lastReason = ''
  #isTrying = false
  #isStopped = false

  constructor(member: Member, selfName: string, owner: DialerOwner, parts: DialerParts) {
    this.member = member
    this.#owner = owner
    this.#parts = parts
    this.#links = selfName < member.name
    this.#pauseMs = parts.limits.redialMsMin
    this.#after(this.#pauseMs)
  }

  /** Whether the member's address is known to lead to it: only then a refusal there proves anything. */
  get isVerified(): boolean {
    return this.#verifiedAddress !== null
  }

  /** Why the member cannot be reached, as far as the last try tells; empty when it can. */
  get trouble(): string {
    return this.#lastReason
  }

  /** The link is down. A link that lasted begins with short pauses again. */
  linkDown(lastedMs: number): void {
    const { silenceMsMax, redialMsMin, redialMsMax } = this.#parts.limits
    this.#pauseMs = lastedMs >= silenceMsMax ? redialMsMin : Math.min(this.#pauseMs, redialMsMax)
    this.#after(this.#pauseMs)
  }

  /** The member shows that it can be reached: worth a try now. */
  nudge(): void {
    if (!this.#isTrying && !this.#owner.isLinked(this.member)) this.#after(0)
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#abort?.abort()
    this.#handshake?.abandon()
  }

  // ---------------------------------------------------------------- tries

  #after(ms: number): void {
    if (this.#isStopped || this.#isTrying) return
    this.#timer?.cancel()
    this.#timer = this.#parts.clock.after(ms, () => void this.#try())
  }

  async #try(): Promise<void> {
    this.#timer = null
    if (this.#isStopped || this.#isDone) return
    const { network, clock, limits } = this.#parts
    const { host, port } = this.member
    const abort = new AbortController()
    const timer = clock.after(limits.handshakeMsMax, () => abort.abort())
    this.#isTrying = true
    this.#abort = abort
    try {
      const socket = await network.connect(host, port, abort.signal)
      if (!this.#isStopped && !abort.signal.aborted) this.#connected(socket)
      else {
        socket.destroy()
        abort.signal.throwIfAborted()
      }
    } catch (error) {
      if (isRefusalBy(this.#verifiedAddress, error)) this.#refused()
      else this.#failed(abort.signal.aborted ? `no connection within ${limits.handshakeMsMax} ms` : messageOf(error))
    } finally {
      timer.cancel()
      this.#abort = null
    }
  }

  /** Linked, and its address known to lead to it. */
  get #isDone(): boolean {
    return this.#verifiedAddress !== null && this.#owner.isLinked(this.member)
  }

  #tryAgain(): void {
    this.#isTrying = false
    const { redialMsMax, verifyMsMax } = this.#parts.limits
    const pauseMsMax = this.#owner.isLinked(this.member) ? verifyMsMax : redialMsMax
    this.#after(this.#pauseMs)
    this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMsMax)
  }

  #failed(reason: string): void {
    this.#refusedAt = null
    if (this.#isStopped) return
    this.#say(reason)
    this.#tryAgain()
  }

  // ---------------------------------------------------------------- handshake

  #connected(socket: Socket): void {
    const side = new DialingSide(this.#owner.introduce(), (greeted) => this.#intentFor(greeted))
    const owner = {
      shaken: (result: HandshakeResult) => this.#shaken(result, socket),
      failed: (reason: string) => {
        this.#handshake = null
        this.#failed(reason)
      },
    }
    const { clock, limits } = this.#parts
    this.#handshake = new HandshakeSocket(socket, side, owner, clock, limits.handshakeMsMax)
    this.#handshake.begin()
  }

  /** Somebody else is still asked for a proof: it may prove that our member is gone. */
  #intentFor(greeted: NodeIdentity): Intent {
    const { name, incarnation } = this.member
    const isMember = greeted.name === name && greeted.incarnation === incarnation
    return isMember && this.#links && !this.#owner.isLinked(this.member) ? 'link' : 'probe'
  }

  #shaken({ peer, intent, verdict, sentence }: HandshakeResult, socket: Socket): SocketReader | null {
    const { name, incarnation } = this.member
    this.#handshake = null
    this.#refusedAt = null
    if (peer.name !== name) {
      this.#failed(`its address leads to node '${peer.name}': each node must publish an address of its own`)
      return null
    }
    if (peer.incarnation !== incarnation) {
      this.#failed(`incarnation ${peer.incarnation} of it answers, not ${incarnation}`)
      if (peer.incarnation > incarnation) this.#owner.provedDead(this.member, 'a later incarnation answers')
      return null
    }
    this.#verifiedAddress = socket.remoteAddress
    if (verdict === 'accepted') this.#lastReason = ''
    else this.#say(sentence)
    const reader = verdict === 'accepted' && intent === 'link' ? this.#owner.dialed(this.member, socket) : null
    this.#tryAgain()
    return reader
  }

  // ---------------------------------------------------------------- refused

  #refused(): void {
    if (this.#isStopped) return
    const { clock, limits } = this.#parts
    const now = clock.monotonic()
    const provesNothing = this.#verifiedAddress === null || this.#owner.isLinked(this.member)
    if (!provesNothing && this.#refusedAt !== null && now - this.#refusedAt >= limits.refusedAgainMs) {
      void this.#askOthers()
      return
    }
    this.#say('its address refuses connections')
    if (provesNothing) this.#tryAgain()
    else {
      this.#refusedAt ??= now
      this.#isTrying = false
      this.#after(limits.refusedAgainMs)
    }
  }

  async #askOthers(): Promise<void> {
    const witness = await this.#owner.witnessOf(this.member)
    if (this.#isStopped) return
    this.#tryAgain()
    if (this.#owner.isLinked(this.member)) return
    if (witness === null) this.#owner.provedDead(this.member, 'its address refuses connections')
    else
      this.#say(`its address refuses connections, and node '${witness}' is linked to it: a firewall in between rejects`)
  }

  /** Once for each reason, until there is another. */
  #say(reason: string): void {
    if (reason === this.#lastReason) return
    this.#lastReason = reason
    const { name, incarnation, host, port } = this.member
    this.#parts.logger.info({ node: name, incarnation, host, port }, `node '${name}' cannot be reached: ${reason}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
