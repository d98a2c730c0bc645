/**
 * Coordination over a key-value bucket of JetStream, one per cluster: `KV_warren-CLUSTER`, with as many copies as there
 * are servers, in files, and of each key only its last value.
 *
 * What the store says of a write is taken for what it is: an acknowledgement is proof, a refusal is not (it may answer
 * a second copy of a write that was stored, or name a number that never existed). A refusal counts only when the key can
 * be read at a later revision with something else in it; everything else has no known outcome.
 *
 * A key that was purged by hand leaves no trace that a watch would tell of. Whoever meets that leaves one, so that all nodes
 * hear of its removal; and a bucket that is gone is made again when somebody reads, empty.
 *
 * Give it a connection on which little else goes: renewals of the session wait behind what was written before them.
 */
import { JetStreamApiError, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type KV, type KvEntry, Kvm } from '@nats-io/kv'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination, CoordinationEntry, CoordinationWatch } from '../coordination.ts'
import { inDomain } from './account-check.ts'
import { BucketWatch } from './bucket-watch.ts'

export interface NatsCoordinationOptions {
  readonly connection: NatsConnection
  /** Letters, digits, `-` and `_`. */
  readonly clusterName: string
  /** Copies of the bucket. */
  readonly replicas: number
  /** JetStream domain; null: that of whom one is connected to. */
  readonly domain?: string | null
  readonly clock: Clock
  readonly logger: Logger
}

/** A store that has not answered for so long is not waited for. */
const timeoutMs = 2_000
const valueBytesMax = 4 * 1024
/** Of the bucket. Some entries for each node and each shard: it holds thousands of both. Some accounts demand a limit. */
const bucketBytesMax = 64 * 1024 * 1024
/** What the server says when a key is not at the revision that was asked for. */
const refusals: ReadonlySet<number> = new Set([10071, 10164])
const streamNotFound = 10_059
/** Tries to write a key whose removal is still in the bucket. */
const removedTriesMax = 3

/** Opens the bucket, or makes it if there is none. Rejects when the store does not answer. */
export async function natsCoordination(options: NatsCoordinationOptions): Promise<NatsCoordination> {
  const { replicas, logger } = options
  const kv = await openBucket(options)
  const status = await kv.status()
  if (status.replicas < replicas) {
    logger.warn({ bucket: status.bucket, copies: status.replicas, wanted: replicas }, 'the bucket has too few copies')
  }
  return new NatsCoordination(kv, options)
}

/** Whether the servers hold this log of the cluster. Rejects when they do not answer. */
export async function hasLog({ connection, clusterName, domain = null }: LogPlace, name: string): Promise<boolean> {
  const { streams } = await jetstreamManager(connection, { timeout: timeoutMs, ...inDomain(domain) })
  const prefix = `warren-${clusterName}`
  for await (const found of streams.names(`${prefix}.log.${name}`)) if (found === `${prefix}-log-${name}`) return true
  return false
}

type LogPlace = Pick<NatsCoordinationOptions, 'connection' | 'clusterName' | 'domain'>

function openBucket({ connection, clusterName, replicas, domain = null }: NatsCoordinationOptions): Promise<KV> {
  const store = new Kvm(jetstream(connection, { timeout: timeoutMs, ...inDomain(domain) }))
  // Not direct: a read is answered by the leader, where it is hardly ever old.
  return store.create(`warren-${clusterName}`, {
    description: `What the nodes of the Warren cluster '${clusterName}' agree on`,
    replicas,
    storage: 'file',
    history: 1,
    max_bytes: bucketBytesMax,
    maxValueSize: valueBytesMax,
    allow_direct: false,
  })
}

export class NatsCoordination implements Coordination {
  readonly #kv: KV
  readonly #watch: BucketWatch
  readonly #options: NatsCoordinationOptions

  constructor(kv: KV, options: NatsCoordinationOptions) {
    this.#kv = kv
    this.#options = options
    this.#watch = new BucketWatch(kv, options.clock, options.logger)
  }

  async get(key: string): Promise<CoordinationEntry | null> {
    const found = await this.#find(key)
    if (found === null || found.operation !== 'PUT') return null
    return { key, value: found.string(), revision: found.revision }
  }

  async put(key: string, value: string, revision: number): Promise<number | null> {
    let previousSeq = revision
    for (let tries = 0; ; tries++) {
      try {
        const written = await this.#kv.put(key, value, { previousSeq, timeout: timeoutMs })
        this.#watch.written(written)
        return written
      } catch (error) {
        const found = await this.#afterRefusal(key, error, previousSeq)
        const isRemoved = found !== null && found.operation !== 'PUT' && found.revision > previousSeq
        if (revision === 0 && isRemoved && tries < removedTriesMax) previousSeq = found.revision
        else if (isOfAnother(found, value, revision)) return null
        else throw error
      }
    }
  }

  async remove(key: string, revision: number): Promise<boolean> {
    try {
      await this.#kv.delete(key, { previousSeq: revision })
      return true
    } catch (error) {
      const found = await this.#afterRefusal(key, error, revision)
      if (isOfAnother(found, null, revision)) return false
      throw error
    }
  }

  watch(prefix: string, watch: CoordinationWatch): () => void {
    return this.#watch.add(prefix, watch)
  }

  /** Ends all watches. The connection stays. */
  close(): void {
    this.#watch.close()
  }

  /** What stands under the key, which was to be at this revision; throws `error` when it is no refusal. */
  async #afterRefusal(key: string, error: unknown, revision: number): Promise<KvEntry | null> {
    if (!(error instanceof JetStreamApiError && refusals.has(error.code))) throw error
    const found = await this.#find(key)
    if (found !== null || revision === 0) return found
    this.#options.logger.error({ key, revision }, 'a coordination key was purged by hand')
    // That it can be written proves that nothing was there.
    await this.#kv.delete(key, { previousSeq: 0 })
    return await this.#find(key)
  }

  async #find(key: string): Promise<KvEntry | null> {
    try {
      return await this.#kv.get(key)
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === streamNotFound)) throw error
      this.#options.logger.error({ key }, 'the bucket of what the nodes agree on is gone: it is made again')
      await openBucket(this.#options)
      return null
    }
  }
}

/** Whether it proves that somebody else has written since `revision`. What looks like our own write may be ours. */
function isOfAnother(found: KvEntry | null, value: string | null, revision: number): boolean {
  if (found === null || found.revision <= revision) return false
  return found.operation !== 'PUT' || value === null || found.string() !== value
}
