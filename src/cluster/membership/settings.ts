/** What holds for the whole life of a cluster: written once, by its first node, and read by all. */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Coordination } from '../coordination.ts'
import { CannotJoin } from './cannot-join.ts'
import { fieldsOf, isCount } from './entry-fields.ts'
import { pause } from './pause.ts'

export interface ClusterSettings {
  /** Random; tells this cluster from every other, also from one of the same name that was made anew. */
  readonly clusterId: string
  /** How many data shards there are. */
  readonly shards: number
  /** Of what the nodes store and say to one another. */
  readonly format: number
}

export interface SettingsRequest {
  readonly coordination: Coordination
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  /** What a new cluster is made of. */
  readonly fresh: ClusterSettings
  /** What the operator asked for in so many words; null: as the cluster has it. */
  readonly shardsAsked: number | null
  /** Of the cluster that this node's data directory belongs to; null when it belongs to none yet. */
  readonly knownClusterId: string | null
  /** How many data shards that cluster has; null when the directory does not say. */
  readonly knownShards: number | null
  /** Whether the servers hold the logs of a cluster of this name: if so they are no others than ours were. */
  hasLogs(): Promise<boolean>
}

const key = 'settings'
const retryMs = 200
/** A store that lags behind may not show them yet: reads before we believe that there are none. */
const absentReadsMax = 25

/** Tries until the store answers. Throws `CannotJoin` when this node does not fit. */
export async function agreeOnSettings(request: SettingsRequest): Promise<ClusterSettings> {
  const { coordination, clock, logger, signal, knownClusterId } = request
  for (let absentReads = 0; ; ) {
    signal.throwIfAborted()
    try {
      const entry = await coordination.get(key)
      if (entry !== null) return checked(settingsOf(entry.value), request)
      const wanted = knownClusterId === null || ++absentReads > absentReadsMax ? await toWrite(request) : null
      // Even if the read was old: then the write is refused, and the next read says why.
      if (wanted !== null && (await coordination.put(key, JSON.stringify(wanted), 0)) !== null) return wanted
    } catch (error) {
      if (error instanceof CannotJoin) throw error
      logger.debug({ error }, 'the settings of the cluster cannot be read yet')
    }
    await pause(clock, retryMs, signal)
  }
}

/** Of a new cluster; or, where its logs are there and what the nodes agree on is not, of the one that this node is of. */
async function toWrite({
  fresh,
  knownClusterId,
  knownShards,
  hasLogs,
  logger,
}: SettingsRequest): Promise<ClusterSettings> {
  if (knownClusterId === null) return fresh
  if (knownShards === null || !(await hasLogs())) throw new CannotJoin(lostSentence(knownClusterId))
  logger.error(
    { clusterId: knownClusterId },
    'what the nodes agree on is gone, but the logs are there: it is made anew',
  )
  return { ...fresh, clusterId: knownClusterId, shards: knownShards }
}

function settingsOf(value: string): ClusterSettings {
  const { clusterId, shards, format } = fieldsOf(value) ?? {}
  if (typeof clusterId === 'string' && isCount(shards) && isCount(format)) return { clusterId, shards, format }
  throw new CannotJoin(
    `the coordination key '${key}' holds ${value}, which are no settings of a cluster; remove the key, then its nodes write it anew`,
  )
}

function checked(settings: ClusterSettings, { fresh, shardsAsked, knownClusterId }: SettingsRequest): ClusterSettings {
  const { clusterId, shards, format } = settings
  if (format !== fresh.format) {
    const mend = format > fresh.format ? 'start this node with the newer version too' : 'upgrade the cluster first'
    throw new CannotJoin(`the cluster has format ${format}, this version of Warren has ${fresh.format}: ${mend}`)
  }
  if (knownClusterId !== null && knownClusterId !== clusterId) {
    const mend = 'start it with the NATS servers of its own cluster, or with an empty data directory'
    throw new CannotJoin(
      `this node's data directory is of cluster ${knownClusterId}, but this is ${clusterId}: ${mend}`,
    )
  }
  if (shardsAsked !== null && shardsAsked !== shards) {
    const mend = 'the number cannot be changed; leave the option out'
    throw new CannotJoin(`the cluster has ${shards} shards, but this node was started with ${shardsAsked}: ${mend}`)
  }
  return settings
}

function lostSentence(clusterId: string): string {
  const mend =
    'start it with the NATS servers of its own cluster; if their store was lost, restore it, or begin anew with empty data directories'
  return `this node's data directory is of cluster ${clusterId}, but the coordination store knows of no cluster: ${mend}`
}
