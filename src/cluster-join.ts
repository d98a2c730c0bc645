/** How a node becomes a member: what holds for the whole cluster, its directory, its session, its links. */
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { Network } from './base/network.ts'
import { type Random, randomName } from './base/random.ts'
import type { RunQueue } from './base/run-queue.ts'
import { TlsNetwork } from './base/tls-network.ts'
import type { Coordination } from './cluster/coordination.ts'
import { keepTrying } from './cluster/keep-trying.ts'
import { Links } from './cluster/link/links.ts'
import type { Members, MembersListener } from './cluster/members.ts'
import { Membership } from './cluster/membership/membership.ts'
import { agreeOnSettings, type ClusterSettings as SharedSettings } from './cluster/membership/settings.ts'
import { hasLog, natsCoordination } from './cluster/nats/nats-coordination.ts'
import { accountRefusal, cannotStore } from './cluster/nats/refusals.ts'
import { readClusterSecret } from './cluster/nats/secret.ts'
import { readSmallFile } from './cluster/nats/small-file.ts'
import type { Nats } from './cluster/nats/start-nats.ts'
import { topologyShard } from './cluster/topology-host.ts'
import { ClusterDirectory } from './cluster-directory.ts'
import type { ClusterSettings, Config } from './config.ts'
import { errorName, StartError } from './start-error.ts'
import { version } from './version.ts'

export interface JoinParts {
  /** What links and sessions go by. */
  readonly upkeepClock: Clock
  readonly random: Random
  readonly files: Files
  readonly network: Network
  readonly logger: Logger
  readonly runQueue: RunQueue
  readonly config: Config
  readonly settings: ClusterSettings
  readonly nats: Nats
  /** Ends what waits for others. */
  readonly stopAsked?: AbortSignal
}

export interface Joined {
  readonly coordination: Coordination
  readonly shared: SharedSettings
  readonly membership: Membership
  readonly directory: ClusterDirectory
  readonly links: Links
  /** What all nodes of the cluster know; also where no secret is needed. */
  readonly secret: string
}

/** Of what the nodes store and say to one another. */
const clusterFormat = 1
const defaultShards = 16

/** Rejects with `CannotJoin` or `StartError`. What was opened is closed by `closers`. */
export async function join(parts: JoinParts, closers: (() => Promise<void> | void)[]): Promise<Joined> {
  const { upkeepClock: clock, random, files, config, settings, nats } = parts
  const logger = logOf(parts.logger, 'cluster')
  const tooLate = AbortSignal.timeout(config.clusterStartMsMax)
  const signal = parts.stopAsked === undefined ? tooLate : AbortSignal.any([tooLate, parts.stopAsked])
  const directory = new ClusterDirectory(files, config.dataDirectory)
  const known = await directory.open(settings.nodeName)
  const { control: connection, replicas, domain } = nats
  const { clusterName } = settings
  const coordination = await keepTrying(
    'opening what the nodes agree on',
    () => natsCoordination({ connection, clusterName, replicas, domain, clock, logger }),
    { clock, logger, signal, isFinal: (error) => accountRefusal(error) !== null },
  ).catch((error: unknown) => {
    throw cannotStore(error)
  })
  closers.push(() => coordination.close())
  const shared = await agreeOnSettings({
    coordination,
    clock,
    logger,
    signal,
    fresh: { clusterId: randomName(random, 22), shards: settings.shardCount, format: clusterFormat },
    shardsAsked: settings.shardCount === defaultShards ? null : settings.shardCount,
    knownClusterId: known?.clusterId ?? null,
    knownShards: known?.shards ?? null,
    hasLogs: () => hasLog({ connection, clusterName, domain }, topologyShard),
  })
  const { clusterId, shards } = shared
  const { nodeName: node, host, port, sessionMs } = settings
  const membership = await Membership.start({
    coordination,
    clock,
    logger,
    signal,
    node: { name: node, host, port, version },
    predecessor: known?.incarnation ?? null,
    incarnationSeen: known?.incarnationSeen ?? 0,
    remember: (incarnation) => directory.remember({ clusterId, node, incarnation, shards }),
    sessionMs,
  })
  closers.push(() => membership.stop())
  membership.listen(rememberingOthers(membership, directory, logger))
  // Nodes that are all on one machine need no secret of the operator's; they still must be of one cluster.
  const given = await readClusterSecret(settings, files)
  const secret = given === '' ? `warren on this machine: ${clusterId}` : given
  const links = new Links({
    members: membership,
    network: await linkNetwork(parts),
    clock,
    random,
    logger,
    runQueue: parts.runQueue,
    clusterId,
    secret,
    listen: { host: settings.listenHost, port },
  })
  return { coordination, shared, membership, directory, links, secret: `${secret} ${clusterId}` }
}

function rememberingOthers(members: Members, directory: ClusterDirectory, logger: Logger): MembersListener {
  const remember = (): void => {
    const highest = Math.max(0, ...[...members.live.values()].map(({ incarnation }) => incarnation))
    directory.sawIncarnation(highest).catch((error: unknown) => {
      logger.warn({ error }, 'the incarnations of other nodes cannot be written down')
    })
  }
  remember()
  return { membersChanged: remember, currentChanged: () => {}, sessionLost: () => {} }
}

async function linkNetwork({ settings: { tls }, network, files }: JoinParts): Promise<Network> {
  if (tls === null) return network
  const { certificate, key, ca } = tls
  if (certificate === null || key === null || ca === null) {
    throw new StartError('cluster', 'TLS between nodes needs cluster-tls-cert, cluster-tls-key and cluster-tls-ca')
  }
  try {
    const [cert, keyText, caText] = await Promise.all([certificate, key, ca].map((path) => readSmallFile(files, path)))
    return new TlsNetwork({ cert: cert ?? '', key: keyText ?? '', ca: caText ?? '' }, network.arena)
  } catch (error) {
    const mend = 'see that cluster-tls-cert, cluster-tls-key and cluster-tls-ca name PEM files that this user may read'
    throw new StartError('cluster', `TLS between nodes cannot be used (${errorName(error)}); ${mend}`, error)
  }
}
