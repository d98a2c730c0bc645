/**
 * What each node tells all others each second, and at once when it says so: its alarms, how far it has applied the
 * topology, how far its copies of the logs have come, and the highest frame that it knows to be committed of each.
 *
 * The last is what a lost end of a log is noticed by: whoever becomes the owner of a shard holds its log against the
 * highest mark that anybody knows, be it from a node that is gone.
 *
 * A lost message does no harm: the next one says all of it again.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { type Peer, type Peers, type ServiceHandler, services } from '../peers.ts'
import { decodeGossip, encodeGossip, type GossipMessage, type SharedAlarm } from './gossip-message.ts'
import type { LogMark } from './log-mark.ts'

/** What this node has to tell. Asked before each message. */
export interface GossipSource {
  /** Raised by this node itself: those it heard of from others would never end. */
  alarms(): Iterable<SharedAlarm>
  topologyPosition(): number
  /** By shard: the last committed frame of each log that is written or followed here. An ordinal below 0 is none. */
  copies(): Iterable<readonly [string, LogMark]>
}

export interface GossipListener {
  /** Alarms that are on at other nodes, each with their names in order. Empty: publishers here go on. */
  remoteAlarmsChanged(alarms: RemoteAlarms): void
  /** Two nodes hold different frames to be committed at one place: one of them has lost an end of the log. Told once per shard. */
  logsDisagree(shard: string, ordinal: number, node: string): void
}

export type RemoteAlarms = ReadonlyMap<SharedAlarm, readonly string[]>

export interface GossipOptions {
  readonly peers: Peers
  readonly clock: Clock
  readonly logger: Logger
  readonly source: GossipSource
  readonly listener: GossipListener
  /** Of the cluster; marks of others are passed over. */
  readonly shards: readonly string[]
}

const intervalMs = 1_000

export class Gossip implements ServiceHandler {
  readonly #options: GossipOptions
  readonly #shards: ReadonlySet<string>
  /** What each node whose link is up has said last, by name. */
  readonly #heard = new Map<string, GossipMessage>()
  readonly #known = new Map<string, LogMark>()
  readonly #disagreed = new Set<string>()
  #remoteAlarms: RemoteAlarms = new Map()
  #timer: Timer | null = null
  #isPending = false

  /** Before the links start. */
  constructor(options: GossipOptions) {
    this.#options = options
    this.#shards = new Set(options.shards)
    options.peers.serve(services.gossip, this)
  }

  start(): void {
    this.#timer = this.#options.clock.after(intervalMs, () => this.start())
    this.#tellAll()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Something that the others should hear of at once: they do at the end of this turn. */
  changed(): void {
    if (this.#isPending || this.#timer === null) return
    this.#isPending = true
    this.#options.clock.soon(() => {
      this.#isPending = false
      if (this.#timer !== null) this.#tellAll()
    })
  }

  get remoteAlarms(): RemoteAlarms {
    return this.#remoteAlarms
  }

  /** The last frame of the shard's log that any node is known to have seen committed; null when none is known. */
  highest(shard: string): LogMark | null {
    this.#lookAtOwn()
    return this.#known.get(shard) ?? null
  }

  /** All of them, to be stored beside the data: a cluster that is started anew must know them too. */
  get known(): ReadonlyMap<string, LogMark> {
    this.#lookAtOwn()
    return this.#known
  }

  /** What was stored, at the beginning. */
  restore(marks: Iterable<readonly [string, LogMark]>): void {
    for (const [shard, mark] of marks) this.#learn(shard, mark, 'this node before its restart')
  }

  /** By node: how far its copies of the logs have come, as it said last. */
  copies(): ReadonlyMap<string, ReadonlyMap<string, LogMark>> {
    return new Map([...this.#heard].map(([node, { copies }]) => [node, copies]))
  }

  /** By node: how far it has applied the topology, as it said last. */
  topologyPositions(): ReadonlyMap<string, number> {
    return new Map([...this.#heard].map(([node, { topologyPosition }]) => [node, topologyPosition]))
  }

  message(peer: Peer, bytes: Uint8Array, start: number, end: number): void {
    const message = decodeGossip(bytes.subarray(start, end))
    if (message === null) {
      this.#options.logger.warn({ node: peer.name, bytes: end - start }, 'what another node tells cannot be read')
      return
    }
    this.#heard.set(peer.name, message)
    for (const [shard, mark] of message.copies) this.#learn(shard, mark, peer.name)
    for (const [shard, mark] of message.known) this.#learn(shard, mark, peer.name)
    this.#gatherAlarms()
  }

  up(peer: Peer): void {
    this.#send(peer, encodeGossip(this.#ownMessage()))
  }

  /** Whoever is not there blocks nobody: what it should take is held anyway. */
  down(peer: Peer): void {
    this.#heard.delete(peer.name)
    this.#gatherAlarms()
  }

  drained(): void {}

  #tellAll(): void {
    const bytes = encodeGossip(this.#ownMessage())
    for (const peer of this.#options.peers.all) this.#send(peer, bytes)
  }

  #send(peer: Peer, bytes: Uint8Array): void {
    peer.send(services.gossip, bytes, 0, bytes.length)
  }

  #ownMessage(): GossipMessage {
    const { source } = this.#options
    this.#lookAtOwn()
    return {
      alarms: [...source.alarms()],
      topologyPosition: source.topologyPosition(),
      copies: new Map(ownCopies(source)),
      known: this.#known,
    }
  }

  #lookAtOwn(): void {
    for (const [shard, mark] of ownCopies(this.#options.source)) this.#learn(shard, mark, 'this node')
  }

  #learn(shard: string, mark: LogMark, node: string): void {
    if (!this.#shards.has(shard)) return
    const known = this.#known.get(shard)
    if (known === undefined || known.ordinal < mark.ordinal) this.#known.set(shard, mark)
    else if (known.ordinal === mark.ordinal && known.chain !== mark.chain && !this.#disagreed.has(shard)) {
      this.#disagreed.add(shard)
      this.#options.logger.error({ shard, node, known, mark }, `the end of the log of shard '${shard}' is in dispute`)
      this.#options.listener.logsDisagree(shard, mark.ordinal, node)
    }
  }

  #gatherAlarms(): void {
    const alarms = new Map<SharedAlarm, string[]>()
    for (const [node, message] of [...this.#heard].sort(([one], [other]) => (one < other ? -1 : 1))) {
      for (const alarm of message.alarms) alarms.set(alarm, [...(alarms.get(alarm) ?? []), node])
    }
    if (areAlike(alarms, this.#remoteAlarms)) return
    this.#remoteAlarms = alarms
    this.#options.listener.remoteAlarmsChanged(alarms)
  }
}

function* ownCopies(source: GossipSource): Iterable<readonly [string, LogMark]> {
  for (const [shard, { ordinal, chain }] of source.copies()) if (ordinal >= 0) yield [shard, { ordinal, chain }]
}

function areAlike(some: RemoteAlarms, others: RemoteAlarms): boolean {
  if (some.size !== others.size) return false
  return [...some].every(([alarm, nodes]) => others.get(alarm)?.join() === nodes.join())
}
