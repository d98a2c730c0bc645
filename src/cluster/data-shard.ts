/**
 * What a node does for one data shard: knows its queues, keeps a copy of its log as a standby, serves it as the owner.
 * Whoever uses the shard holds its lasting face, the placed shard, and is told through it who serves.
 */
import type { Timer } from '../base/clock.ts'
import type { Queue, QueueStatus, ShardTopology } from '../broker/ports.ts'
import type { ShardOptions } from '../broker/shard/shard-options.ts'
import type { StreamLogs } from '../broker/stream/streams.ts'
import { isStream } from '../broker/topology/queue-arguments.ts'
import type { QueueDefinition } from '../broker/topology/queue-definition.ts'
import type { FrameMark, Replica, ReplicaListener, ReplicatedLog } from '../log/jetstream/replica.ts'
import { LogDeposed } from '../log/log.ts'
import type { ShardQueues } from './cluster-shards.ts'
import type { LogMark } from './membership/log-mark.ts'
import { LeaseBehind, type ShardHost, type ShardHostListener } from './membership/shard-host.ts'
import type { PlacedShard } from './placed-shard/placed-shard.ts'
import { ServedShard, type ShardWorld } from './served-shard.ts'

export interface DataShardParts extends ShardWorld {
  readonly shardId: number
  /** Of its log and its lease. */
  readonly name: string
  /** The lasting face of the shard on this node. */
  readonly placed: PlacedShard
  readonly topology: ShardTopology
  readonly listener: ShardHostListener
  openReplica(listener: ReplicaListener): Promise<Replica>
  openScratch(): Promise<ShardOptions['scratch']>
  readonly streamLogs: StreamLogs
  /** Resolves when the topology here is level with that of the whole cluster as it is now. */
  topologyCaughtUp(): Promise<void>
  /** What anybody in the cluster knows of the log; null: nothing. */
  knownMark(): LogMark | null
  /** What earlier owners have told of a queue; null: nothing. */
  toldOf(id: number): QueueStatus | null
  /** What is in a stream that this node served until now. */
  servedLast(id: number, status: QueueStatus): void
  congestionChanged(isCongested: boolean): void
  roomChanged(isFull: boolean): void
  /** The log went back, or is damaged: nobody may serve it before somebody has looked. */
  alarm(error: Error): void
}

/** A copy that failed is made again after so long, in milliseconds. */
const followAgainMs = 5_000
const nobody: QueueStatus = { ready: 0, unacked: 0, consumers: 0 }

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'following'; readonly replica: Promise<Replica> }
  | { readonly kind: 'opening'; log: ReplicatedLog | null; served: ServedShard | null }
  | { readonly kind: 'serving'; readonly log: ReplicatedLog; readonly served: ServedShard }
  | { readonly kind: 'closing' }

export class DataShard implements ShardHost, ShardQueues {
  readonly shard: string
  readonly #parts: DataShardParts
  readonly #definitions = new Map<number, QueueDefinition>()
  #state: State = { kind: 'idle' }
  /** Counts openings, so that a late word of an earlier one says nothing of this. */
  #opening = 0
  #isWanted = false
  #isStopped = false
  #followAgain: Timer | null = null
  #lastCommitted: FrameMark | null = null
  /** Done when whoever had the copy's directory last has closed it: one at a time may. */
  #released: Promise<void> = Promise.resolve()

  constructor(parts: DataShardParts) {
    this.#parts = parts
    this.shard = parts.name
  }

  // ---------------------------------------------------------------- queues

  addQueue(definition: QueueDefinition): Queue {
    this.#definitions.set(definition.id, definition)
    this.#served?.open(definition)
    return this.#parts.placed.open(definition)
  }

  dropQueue(queue: Queue): void {
    this.#definitions.delete(queue.definition.id)
    this.#parts.placed.drop(queue)
    this.#served?.drop(queue)
  }

  statusNow(queue: Queue): QueueStatus {
    return this.#served?.statusNow(queue) ?? nobody
  }

  settingsChanged(queue: Queue): void {
    this.#served?.settingsChanged(queue)
  }

  redeclared(queue: Queue): void {
    this.#parts.placed.redeclared(queue)
  }

  topologyCommitted(): void {
    this.#served?.topologyCommitted()
  }

  get #served(): ServedShard | null {
    return this.#state.kind === 'serving' ? this.#state.served : null
  }

  // ---------------------------------------------------------------- what is told of it

  get definitions(): Iterable<QueueDefinition> {
    return this.#definitions.values()
  }

  get placed(): PlacedShard {
    return this.#parts.placed
  }

  get isServing(): boolean {
    return this.#state.kind === 'serving'
  }

  get isFollowing(): boolean {
    return this.#state.kind === 'following'
  }

  /** Of the last committed frame that this node knows of; null: of none. */
  get lastCommitted(): FrameMark | null {
    return this.#state.kind === 'serving' ? this.#state.log.lastCommitted : this.#lastCommitted
  }

  /** Its log waits for the outcome of a write, or for room. */
  get isStalled(): boolean {
    return this.#state.kind === 'serving' && this.#state.log.isStalled
  }

  // ---------------------------------------------------------------- standby

  follow(): void {
    this.#isWanted = true
    if (this.#state.kind === 'idle') this.#beginFollowing()
  }

  unfollow(): void {
    this.#isWanted = false
    void this.#endFollowing()
  }

  #beginFollowing(): Promise<Replica> {
    const replica = this.#openReplica()
    this.#state = { kind: 'following', replica }
    replica.catch((error: unknown) => this.#replicaFailed(replica, error))
    return replica
  }

  async #openReplica(): Promise<Replica> {
    let opened: Replica | null = null
    const listener: ReplicaListener = {
      advanced: () => {
        this.#lastCommitted = opened?.lastCommitted ?? this.#lastCommitted
      },
      failed: (error) => {
        const { replica } = this.#state.kind === 'following' ? this.#state : { replica: null }
        if (replica !== null) this.#replicaFailed(replica, error)
      },
    }
    await this.#released
    opened = await this.#parts.openReplica(listener)
    return opened
  }

  #replicaFailed(replica: Promise<Replica>, error: unknown): void {
    if (this.#state.kind !== 'following' || this.#state.replica !== replica) return
    this.#state = { kind: 'idle' }
    this.#closeReplica(replica)
    if (error instanceof Error && isAlarming(error)) this.#parts.alarm(error)
    this.#parts.logger.warn({ error, shard: this.shard }, 'the copy of a shard cannot go on; it is made again')
    this.#followLater()
  }

  #followLater(): void {
    this.#followAgain?.cancel()
    this.#followAgain = this.#parts.clock.after(followAgainMs, () => {
      if (this.#isWanted && !this.#isStopped && this.#state.kind === 'idle') void this.#beginFollowing()
    })
  }

  async #endFollowing(): Promise<void> {
    if (this.#state.kind !== 'following') return
    const { replica } = this.#state
    this.#state = { kind: 'idle' }
    this.#closeReplica(replica)
    await this.#released
  }

  #closeReplica(replica: Promise<Replica>): void {
    this.#released = replica.then((open) => open.close()).catch(() => {})
  }

  // ---------------------------------------------------------------- owner

  async open(leaseEpoch: number, signal: AbortSignal): Promise<void> {
    const opening = ++this.#opening
    // One that is still closing what it had lets go of the directory first.
    const following = this.#state.kind === 'following' ? this.#state.replica : this.#openReplica()
    const state: State = { kind: 'opening', log: null, served: null }
    this.#state = state
    try {
      const replica = await following
      if (signal.aborted) {
        await replica.close()
        throw new Error(`${this.shard}: told to stop while its copy was opened`)
      }
      const log = await replica.takeOver(leaseEpoch, signal)
      state.log = log
      if (log.term > leaseEpoch) throw new LeaseBehind(this.shard, leaseEpoch, log.term)
      const served = await this.#serve(log, leaseEpoch, opening)
      state.served = served
      if (signal.aborted || opening !== this.#opening) {
        throw new Error(`${this.shard}: told to stop while it was opened`)
      }
      served.hasOnly(this.#definitions)
      this.#state = { kind: 'serving', log, served }
      this.#parts.placed.servedHere(served.local)
    } catch (error) {
      await this.#letGo(state, error)
      throw error
    }
  }

  async #serve(log: ReplicatedLog, epoch: number, opening: number): Promise<ServedShard> {
    const { topologyCaughtUp, knownMark, openScratch, streamLogs } = this.#parts
    const mark = knownMark()
    if (mark !== null) await log.verify(mark)
    // Records of queues that the topology does not know are dead: it must know all that the log was written under.
    await topologyCaughtUp()
    return await ServedShard.open({
      ...this.#parts,
      epoch,
      log,
      scratch: await openScratch(),
      streamLogs,
      definitions: this.#definitions.values(),
      awaitsClaims: true,
      hadConsumers: [...this.#definitions.values()].filter(
        ({ id, isAutoDelete }) => isAutoDelete && (this.#parts.toldOf(id)?.consumers ?? 0) > 0,
      ),
      failed: (error) => {
        if (opening === this.#opening) this.#failed(error)
      },
    })
  }

  async #letGo(state: State & { readonly kind: 'opening' }, error: unknown): Promise<void> {
    if (error instanceof Error && isAlarming(error)) this.#parts.alarm(error)
    state.log?.abandon('it could not be opened')
    this.#released = closeAll(state.served, state.log)
    await this.#released
    if (this.#state === state) this.#becomeIdle()
  }

  /** Whatever of it failed: nobody may hear of it as served any more, and its owner is looked for again. */
  #failed(error: Error): void {
    if (this.#state.kind !== 'serving') return
    this.#end('it has failed')
    if (isAlarming(error)) this.#parts.alarm(error)
    const loss = error instanceof LogDeposed ? 'deposed' : 'failed'
    this.#parts.listener.hostLost(this.shard, loss, error.message)
  }

  async close(): Promise<void> {
    if (this.#state.kind !== 'serving') return
    const { served } = this.#state
    this.#opening++
    this.#noteStreams(served)
    this.#parts.placed.servedByNobody()
    this.#state = { kind: 'closing' }
    const closing = served.close()
    this.#released = closing.catch(() => {})
    try {
      await closing
    } finally {
      this.#becomeIdle()
    }
  }

  abandon(): void {
    if (this.#state.kind === 'opening') {
      this.#opening++
      this.#state.log?.abandon('told to stop')
    } else if (this.#state.kind === 'serving') this.#end('told to stop')
  }

  #end(reason: string): void {
    if (this.#state.kind !== 'serving') return
    const { log, served } = this.#state
    this.#opening++
    this.#noteStreams(served)
    this.#parts.placed.servedByNobody()
    this.#state = { kind: 'closing' }
    log.abandon(reason)
    this.#released = closeAll(served, log)
    void this.#released.then(() => {
      if (this.#state.kind === 'closing') this.#becomeIdle()
    })
  }

  /** Whoever serves them next, perhaps this node again, knows it only when it has looked at them. */
  #noteStreams(served: ServedShard): void {
    for (const definition of this.#definitions.values()) {
      if (definition.queue === null || !isStream(definition)) continue
      const { ready } = served.statusNow(definition.queue)
      this.#parts.servedLast(definition.id, { ready, unacked: 0, consumers: 0 })
    }
  }

  #becomeIdle(): void {
    this.#state = { kind: 'idle' }
    this.#parts.congestionChanged(false)
    this.#parts.roomChanged(false)
    if (this.#isWanted && !this.#isStopped) void this.#beginFollowing()
  }

  hold(): void {}
  resume(): void {}

  /** The end of the node. What is served must have been closed. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#followAgain?.cancel()
    await this.#endFollowing()
  }
}

/** After an abandonment: what fails has failed already. */
async function closeAll(served: ServedShard | null, log: ReplicatedLog | null): Promise<void> {
  await served?.close().catch(() => {})
  await log?.close().catch(() => {})
}

/** Something that no other owner would find in better order. */
function isAlarming(error: Error): boolean {
  return 'code' in error && (error.code === 'LOG_WENT_BACK' || error.code === 'LOG_DAMAGED')
}
