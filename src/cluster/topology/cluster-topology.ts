import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Route } from '../../broker/commands.ts'
import type { Message } from '../../broker/message.ts'
import type { Reply } from '../../broker/ports.ts'
import { CaughtUp } from '../../broker/topology/caught-up.ts'
import type { QueueDefinition } from '../../broker/topology/queue-definition.ts'
import type { Topology } from '../../broker/topology/topology.ts'
import type { ChangeResult, TopologyAuthority, TopologyChange } from '../../broker/topology-authority.ts'
import type { Log, LogListener, Position } from '../../log/log.ts'
import type { Members, MembersListener } from '../members.ts'
import { idsPerIncarnation, type NodeIdentity } from '../node-identity.ts'
import { type Peer, type Peers, type ServiceHandler, services } from '../peers.ts'
import { Answering } from './answering.ts'
import { Asker } from './asker.ts'
import { decodeAnswer } from './change-codec.ts'
import { EndedNodes } from './ended-nodes.ts'
import { Lane } from './lane.ts'
import type { ClusterTopologyCommands, FollowedRecords } from './ports.ts'
import { Settling } from './settling.ts'
import { answerIn, type MessageKind, messageKinds, noteMessage, numberOf, readAsk } from './topology-message.ts'

/** How soon a shard is asked again that nobody serves, in milliseconds. */
const lookAgainMs = 1_000

/**
 * The topology on one node of a cluster. One node owns it: it makes all changes and writes them to the log. All others
 * apply what is committed, ask the owner for changes, and tell it how far they have come.
 *
 *     entry node                         owner                              every node
 *     ask ───────────────────────► make, append
 *                                  committed ─────── log ───────────────► apply
 *     ◄──────────────────── answer                 ◄────────────────────── applied(position)
 *     give the answer once         settled = least of committed and applied
 *     it is applied and settled ◄── settled(position) ───────────────────► …
 *
 * So what was answered on one node is known on all. A node counts from its `node` record on, which the owner writes when
 * it hears of it first: whoever lets clients in after applying its own record knows all that was settled before, and
 * all that comes after waits for it.
 */
export class ClusterTopology implements ClusterTopologyCommands, ServiceHandler, MembersListener {
  readonly #parts: ClusterTopologyParts
  readonly #topology: Topology
  readonly #lanes = new Map<Peer, Lane>()
  readonly #asker: Asker
  readonly #answering: Answering
  readonly #settling: Settling
  readonly #ended: EndedNodes
  readonly #caughtUp = new CaughtUp()
  /** This node has the log and may make changes while its session is current. */
  #ownsLog = false
  /** The node that makes changes, if that is another one. */
  #ownerLane: Lane | null = null
  /** Owners have growing terms: one of an older term has not noticed yet. */
  #termMax = 0
  /** What is known of who has the lease. */
  #expected: NodeIdentity | null = null
  #toldApplied: Position = 0
  #toldSettled: Position = 0
  /** Heard while the own session was not current. */
  #heardSettled: Position = 0
  #isScheduled = false
  #isClosed = false
  #awaitReady: (() => void)[] = []

  constructor(parts: ClusterTopologyParts) {
    this.#parts = parts
    const { topology, changes, clock, members, peers, logger } = parts
    this.#topology = topology
    this.#answering = new Answering(topology, changes)
    this.#ended = new EndedNodes({ topology, members, clock, logger, changed: () => this.#schedule() })
    this.#settling = new Settling(topology, members.self, (node) => this.#ended.isLive(node))
    this.#asker = new Asker({
      clock,
      maker: (isAgain) => this.#answering.maker(isAgain),
      caughtUpTo: (position, done) => this.caughtUpTo(position, done),
      whetherDue: (id, answer) => this.#whetherUnused(id, answer),
      whoIsAwaited: () => this.#whoIsAwaited(),
    })
    topology.hearCommits(() => this.#schedule())
    members.listen(this)
    peers.serve(services.topology, this)
  }

  // ---------------------------------------------------------------- for the broker and the shards

  ask(change: TopologyChange, reply: Reply<ChangeResult>): void {
    this.#asker.ask(change, reply)
  }

  get appended(): Position {
    return this.#topology.appended
  }

  get committed(): Position {
    return this.#topology.committed
  }

  reroute(vhost: string, exchange: string, keys: readonly string[], message: Message, route: Route): boolean {
    return this.#topology.reroute(vhost, exchange, keys, message, route)
  }

  expireQueue({ id }: QueueDefinition): void {
    this.ask({ kind: 'remove', id, ifUnused: false, isOwed: true }, nobody)
  }

  /** While its end was waited for, somebody may have come to use the queue: its shard knows, wherever that is served. */
  #whetherUnused(id: number, answer: (isUnused: boolean) => void): void {
    const definition = this.#topology.definition(id)
    const queue = definition?.kind === 'queue' ? definition.queue : null
    if (queue === null) return answer(false)
    queue.shard.status(queue, {
      done: ({ consumers }) => answer(consumers === 0),
      failed: () => {
        if (!this.#isClosed) this.#parts.clock.after(lookAgainMs, () => this.#whetherUnused(id, answer))
      },
    })
  }

  caughtUpTo(position: Position, done: () => void): void {
    if (position <= this.#topology.appended) done()
    else this.#caughtUp.add(position, done)
  }

  /** Changes of this node that are not answered. */
  get askedCount(): number {
    return this.#asker.count
  }

  // ---------------------------------------------------------------- follow

  following(): FollowedRecords {
    const { log } = this.#topology
    log.follow()
    return {
      record: (position, buffer, start, end) => {
        log.applyRecord(position, buffer, start, end)
        this.#schedule()
      },
      caughtUp: () => {
        log.caughtUp()
        this.#schedule()
      },
    }
  }

  ownerChanged(owner: NodeIdentity | null): void {
    this.#expected = owner
  }

  #whoIsAwaited(): string {
    if (!this.#parts.members.isCurrent) return 'this node to reach the cluster again'
    return this.#expected === null ? 'a node to take them over' : `node '${this.#expected.name}' to take them over`
  }

  ready(): Promise<void> {
    return new Promise((resolve) => {
      this.#awaitReady.push(resolve)
      this.#schedule()
    })
  }

  get #isReady(): boolean {
    return this.#topology.log.isCaughtUp && this.#topology.nodes.has(this.#parts.members.self.incarnation)
  }

  // ---------------------------------------------------------------- own

  async becomeOwner(log: Log & { listener: LogListener | null }): Promise<void> {
    const topology = this.#topology
    const { incarnation, name } = this.#parts.members.self
    log.listener = topology.logListener
    await topology.log.becomeOwner(log)
    this.#termMax = Math.max(this.#termMax, topology.term)
    this.#ownsLog = true
    this.#ended.begin(topology.term * idsPerIncarnation)
    if (!topology.nodes.has(incarnation)) topology.addNode(incarnation, name)
    this.#serve()
  }

  /** Makes what is asked for, here and by others, as long as the session is current. */
  #serve(): void {
    if (!this.#ownsLog || !this.#parts.members.isCurrent) return
    this.#ownerLane = null
    this.#answering.begin()
    this.#tellAll(messageKinds.owner, this.#topology.term)
    this.#addNodes()
    this.#asker.ownerIs({ kind: 'self' })
    this.#schedule()
  }

  /** Those that have said how far they have come count from now on. */
  #addNodes(): void {
    const live = new Map([...this.#parts.members.live.values()].map((member) => [member.incarnation, member.name]))
    for (const incarnation of this.#settling.heardOf) {
      const name = live.get(incarnation)
      if (name !== undefined && !this.#topology.nodes.has(incarnation)) this.#topology.addNode(incarnation, name)
    }
  }

  async stepDown(): Promise<void> {
    const { log, term } = this.#topology
    this.#stopMaking()
    await log.stepDown()
    this.#answering.end()
    this.#tellAll(messageKinds.resigned, term)
    this.#schedule()
    if (log.mustRestart) this.#parts.mustRestart(new Error('changes of definitions could not be stored'))
  }

  /** Who has heard of the next owner already has stopped then, and asks that one. */
  #stopMaking(): void {
    if (!this.#ownsLog) return
    this.#ownsLog = false
    this.#ended.end()
    this.#answering.stop()
    this.#asker.ownerIs(null)
  }

  logFailed(error: Error): void {
    this.#stopMaking()
    this.#answering.end()
    this.#tellAll(messageKinds.resigned, this.#topology.term)
    if (this.#topology.log.mustRestart) this.#parts.mustRestart(error)
  }

  close(): void {
    this.#isClosed = true
    if (this.#ownsLog) this.#tellAll(messageKinds.resigned, this.#topology.term)
    this.#stopMaking()
    this.#answering.end()
    this.#asker.close()
  }

  // ---------------------------------------------------------------- members

  membersChanged(): void {
    this.#ended.noteLive()
    if (!this.#ownsLog) return
    this.#ended.look()
    this.#settling.keepOnly(new Set([...this.#parts.members.live.values(), ...this.#lanes.keys()].map(incarnationIn)))
    if (this.#parts.members.isCurrent) this.#addNodes()
    this.#schedule()
  }

  currentChanged(isCurrent: boolean): void {
    if (!isCurrent) {
      this.#answering.stop()
      this.#asker.ownerIs(null)
      return
    }
    this.#topology.log.holdSettled(this.#heardSettled)
    if (this.#ownsLog) this.#serve()
    else if (this.#ownerLane !== null) this.#asker.ownerIs({ kind: 'peer', lane: this.#ownerLane })
  }

  sessionLost(): void {
    this.currentChanged(false)
  }

  // ---------------------------------------------------------------- other nodes

  up(peer: Peer): void {
    const lane = new Lane(peer)
    this.#lanes.set(peer, lane)
    if (!this.#ownsLog || !this.#parts.members.isCurrent) return
    lane.send(noteMessage(messageKinds.owner, this.#topology.term))
    lane.send(noteMessage(messageKinds.settled, this.#toldSettled))
  }

  down(peer: Peer): void {
    const lane = this.#lanes.get(peer)
    this.#lanes.delete(peer)
    if (lane !== undefined) this.#ownerGone(lane)
  }

  drained(peer: Peer): void {
    this.#lanes.get(peer)?.drained()
  }

  message(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const lane = this.#lanes.get(peer)
    const message = lane?.received(bytes, start, end) ?? null
    if (lane === undefined || message === null || this.#isClosed) return
    switch (message[0]) {
      case messageKinds.ask:
        return this.#answering.asked(lane, readAsk(message))
      case messageKinds.answer:
        return this.#asker.answered(lane, numberOf(message), decodeAnswer(answerIn(message)))
      case messageKinds.applied:
        return this.#heardApplied(peer, numberOf(message))
      case messageKinds.settled:
        return this.#heardSettledUpTo(numberOf(message))
      case messageKinds.owner:
        return this.#ownerIs(lane, numberOf(message))
      case messageKinds.resigned:
        return this.#ownerGone(lane)
      default:
        throw new RangeError(`message ${message[0]} about the topology is unknown`)
    }
  }

  #heardApplied({ incarnation }: Peer, position: Position): void {
    this.#settling.heard(incarnation, position)
    if (this.#ownsLog && this.#parts.members.isCurrent && !this.#topology.nodes.has(incarnation)) this.#addNodes()
    this.#schedule()
  }

  #heardSettledUpTo(position: Position): void {
    this.#heardSettled = Math.max(this.#heardSettled, position)
    if (this.#parts.members.isCurrent) this.#topology.log.holdSettled(position)
  }

  #ownerIs(lane: Lane, term: number): void {
    if (term < this.#termMax) return
    this.#termMax = term
    // The log will say so too.
    if (this.#ownsLog) this.#stopMaking()
    this.#ownerLane = lane
    this.#toldApplied = 0
    if (this.#parts.members.isCurrent) this.#asker.ownerIs({ kind: 'peer', lane })
    this.#schedule()
  }

  #ownerGone(lane: Lane): void {
    if (this.#ownerLane !== lane) return
    this.#ownerLane = null
    this.#asker.ownerIs(null)
  }

  #tellAll(kind: MessageKind, value: number): void {
    for (const lane of this.#lanes.values()) lane.send(noteMessage(kind, value))
  }

  // ---------------------------------------------------------------- once per turn

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#parts.clock.soon(this.#turn)
  }

  readonly #turn = (): void => {
    this.#isScheduled = false
    if (this.#isClosed) return
    this.#topology.log.tellFollowed()
    this.#caughtUp.release(this.#topology.appended)
    if (this.#ownsLog) this.#settle()
    else this.#report()
    if (!this.#isReady) return
    for (const ready of this.#awaitReady.splice(0)) ready()
  }

  /** A node whose session is not current does not know who counts. */
  #settle(): void {
    if (!this.#parts.members.isCurrent) return
    const { settled } = this.#settling
    this.#topology.log.holdSettled(settled)
    if (settled <= this.#toldSettled) return
    this.#toldSettled = settled
    this.#heardSettled = Math.max(this.#heardSettled, settled)
    this.#tellAll(messageKinds.settled, settled)
  }

  #report(): void {
    const applied = this.#topology.committed
    if (this.#ownerLane === null || !this.#topology.log.isCaughtUp || applied === this.#toldApplied) return
    this.#toldApplied = applied
    this.#ownerLane.send(noteMessage(messageKinds.applied, applied))
  }
}

export interface ClusterTopologyParts {
  readonly topology: Topology
  /** Makes changes in this topology, while this node owns it. */
  readonly changes: TopologyAuthority
  readonly members: Members
  readonly peers: Peers
  readonly clock: Clock
  readonly logger: Logger
  /** What this node has applied is not in the log: whatever it knows must be built anew. Nothing was answered of it. */
  mustRestart(error: Error): void
}

const incarnationIn = ({ incarnation }: NodeIdentity): number => incarnation

const nobody: Reply<ChangeResult> = { done: () => {}, failed: () => {} }
