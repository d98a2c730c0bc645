/**
 * What a node does for the topology's log: it follows it for as long as it is there, and writes it while it is its owner.
 */
import type { Logger } from '../base/logger.ts'
import type { Replica, ReplicaListener, ReplicatedLog } from '../log/jetstream/replica.ts'
import { LogDeposed } from '../log/log.ts'
import type { LogMark } from './membership/log-mark.ts'
import { LeaseBehind, type ShardHost, type ShardHostListener } from './membership/shard-host.ts'
import type { ClusterTopologyCommands } from './topology/ports.ts'

export interface TopologyHostParts {
  readonly topology: ClusterTopologyCommands
  openReplica(listener: ReplicaListener): Promise<Replica>
  /** What anybody in the cluster knows of the log; null: nothing. */
  knownMark(): LogMark | null
  readonly listener: ShardHostListener
  readonly logger: Logger
  /** The copy of the topology cannot go on, so this node cannot: it must begin anew. */
  failed(error: Error): void
}

export const topologyShard = 'topology'

export class TopologyHost implements ShardHost {
  readonly shard = topologyShard
  readonly #parts: TopologyHostParts
  #replica: Replica | null = null
  #log: ReplicatedLog | null = null
  #isClosing = false
  #opening: Promise<void> = Promise.resolve()

  constructor(parts: TopologyHostParts) {
    this.#parts = parts
  }

  /** Of the last frame that is committed, for gossip; null while there is none. */
  get lastCommitted(): { readonly ordinal: number; readonly chain: number } | null {
    return this.#log?.lastCommitted ?? this.#replica?.lastCommitted ?? null
  }

  get isStalled(): boolean {
    return this.#log?.isStalled ?? false
  }

  /** Follows the log. Resolves when all is known that the log held. */
  async start(): Promise<void> {
    await this.#follow()
    const replica = this.#replica
    try {
      await replica?.caughtUp()
    } catch (error) {
      // It has become the log that this node writes, and nothing is missing then.
      if (this.#replica === replica) throw error
    }
  }

  async #follow(): Promise<void> {
    const { topology, openReplica, failed } = this.#parts
    const followed = topology.following()
    this.#replica = await openReplica({
      record: (position, buffer, start, end) => followed.record(position, buffer, start, end),
      failed: (error) => {
        if (!this.#isClosing) failed(error)
      },
    })
    await this.#replica.caughtUp()
    followed.caughtUp()
  }

  /** Every node follows the topology, whether it may become its owner or not. */
  follow(): void {}
  unfollow(): void {}

  /** Everything that the log held when this was called is known here. */
  async caughtUp(): Promise<void> {
    if (this.#log === null) await this.#replica?.caughtUp()
  }

  async open(leaseEpoch: number, signal: AbortSignal): Promise<void> {
    const replica = this.#replica
    if (replica === null) throw new Error('the topology is not followed')
    this.#replica = null
    const opening = this.#open(replica, leaseEpoch, signal)
    this.#opening = opening.catch(() => {})
    await opening
  }

  async #open(replica: Replica, leaseEpoch: number, signal: AbortSignal): Promise<void> {
    const { topology, knownMark, failed } = this.#parts
    try {
      const log = await this.#takeOver(replica, leaseEpoch, signal)
      this.#log = log
      const mark = knownMark()
      if (mark !== null) await log.verify(mark)
      await topology.becomeOwner(log)
    } catch (error) {
      // Half an owner is none: what it applied may not be in the log. A node that never got the log just follows on.
      const log = this.#log
      this.#log = null
      if (log === null) await this.#follow()
      else {
        log.abandon('the topology could not be opened')
        failed(error instanceof Error ? error : new Error(String(error)))
      }
      throw error
    }
  }

  async #takeOver(replica: Replica, leaseEpoch: number, signal: AbortSignal): Promise<ReplicatedLog> {
    const log = await replica.takeOver(leaseEpoch, signal)
    const { term } = log
    if (term <= leaseEpoch) return log
    log.abandon('its lease was set back')
    await log.close().catch(() => {})
    throw new LeaseBehind(this.shard, leaseEpoch, term)
  }

  async close(): Promise<void> {
    await this.#opening
    if (this.#log === null) return
    await this.#parts.topology.stepDown()
    this.#log = null
    if (!this.#isClosing) await this.#follow()
  }

  /** What was applied and not stored cannot be taken back: the node begins anew. */
  abandon(): void {
    const log = this.#log
    if (log === null) return
    this.#log = null
    log.abandon('another node may own the topology')
    this.#parts.failed(new Error('this node owned the topology and its session ended'))
  }

  /** The log cannot go on. What was never stored of what was applied makes the node begin anew; else it follows again. */
  logFailed(error: Error): void {
    const log = this.#log
    if (log === null) return
    this.#log = null
    const { listener, failed } = this.#parts
    const loss = error instanceof LogDeposed ? 'deposed' : 'failed'
    listener.hostLost(this.shard, loss, error.message)
    void log
      .close()
      .catch(() => {})
      .then(() => (this.#isClosing ? undefined : this.#follow()))
      .catch((reason: unknown) => failed(reason instanceof Error ? reason : new Error(String(reason))))
  }

  hold(): void {}
  resume(): void {}

  /** The end of the node. */
  async stop(): Promise<void> {
    this.#isClosing = true
    await this.#opening
    if (this.#log !== null) await this.#parts.topology.stepDown()
    await this.#replica?.close()
  }
}
