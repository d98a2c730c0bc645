/** Metrics of the node as a whole under RabbitMQ's names: what its dashboards draw. */
import type { LoginAttemptRows } from '../../broker/access/login-attempts.ts'
import type { MessageCounts } from '../../broker/statistics/message-counts.ts'
import { queueTypes } from '../../broker/topology/queue-arguments.ts'
import type { ApiParts } from '../api/route.ts'
import { permanentClusterId, shownClusterName } from '../cluster-name.ts'
import { churnOf, trafficOf } from '../statistics/sampler.ts'
import { bucketSamples, type Family, type Labels, type Sample, single } from './family.ts'
import { channelCounters } from './object-families.ts'
import type { NodeReadings } from './readings.ts'
import { deliveredOf, type NodeTotals } from './totals.ts'

/** Which of the pages a scrape asked for; dashboards choose by it. */
export type Endpoint = 'aggregated' | 'per-object' | 'detailed'

export function* identityFamilies({ names, node, cluster, broker }: ApiParts, endpoint: Endpoint): Generator<Family> {
  const build = {
    rabbitmq_version: names.rabbitVersion,
    prometheus_plugin_version: names.rabbitVersion,
    prometheus_client_version: names.productVersion,
    erlang_version: '0',
    product_name: 'Warren',
    product_version: names.productVersion,
  }
  const identity = {
    rabbitmq_node: node.name,
    rabbitmq_cluster: shownClusterName(broker.topology, cluster, node.name),
    rabbitmq_cluster_permanent_id: permanentClusterId(broker.topology, cluster, node.name),
    rabbitmq_endpoint: endpoint,
  }
  yield { name: 'rabbitmq_build_info', type: 'untyped', help: 'Versions of the broker', samples: [[build, 1]] }
  const help = 'Names of the node and its cluster'
  yield { name: 'rabbitmq_identity_info', type: 'untyped', help, samples: [[identity, 1]] }
}

/** What there is, whatever it is asked by. */
export function* nodeFamilies(parts: ApiParts, readings: NodeReadings, totals: NodeTotals): Generator<Family> {
  const { node, broker } = parts
  const { process, descriptors, diskFreeBytes } = readings
  const gauge = (name: string, help: string, value: number): Family => single('gauge', `rabbitmq_${name}`, help, value)
  yield gauge('alarms_free_disk_space_watermark', 'The disk alarm is on', Number(broker.ownAlarms.includes('disk')))
  yield gauge('alarms_memory_used_watermark', 'The memory alarm is on', Number(broker.ownAlarms.includes('memory')))
  yield gauge('alarms_file_descriptor_limit', 'Always 0', 0)
  yield gauge('connections', 'Connections currently open', totals.connections)
  yield gauge('channels', 'Channels currently open', totals.channels)
  yield gauge('consumers', 'Consumers currently connected', totals.consumers)
  yield gauge('queues', 'Queues available', totals.queues)
  yield gauge('process_open_fds', 'Open file descriptors', descriptors.open)
  yield gauge('process_max_fds', 'Open file descriptors limit', descriptors.max)
  yield gauge('process_open_tcp_sockets', 'Open connections of clients', totals.connections)
  yield gauge('process_max_tcp_sockets', 'Connections that are allowed', node.connectionsMax)
  yield gauge('process_resident_memory_bytes', 'Memory used in bytes', process.residentBytes)
  yield gauge('resident_memory_limit_bytes', 'Memory above which publishers are blocked', node.memoryBytesMax)
  yield gauge('disk_space_available_bytes', 'Disk space available in bytes', diskFreeBytes)
  yield gauge(
    'disk_space_available_limit_bytes',
    'Disk space below which publishers are blocked',
    node.diskFreeBytesMin,
  )
  const uptime = Math.max(0, parts.clock.now() - node.startedAt) / 1_000
  yield gauge('erlang_uptime_seconds', 'Time since the node started', uptime)
  yield* diskFamilies(readings)
}

function* diskFamilies({ io }: NodeReadings): Generator<Family> {
  if (io === null) return
  const counter = (name: string, help: string, value: number): Family =>
    single('counter', `rabbitmq_${name}`, help, value)
  yield counter('io_read_ops_total', 'Reads from files', io.reads)
  yield counter('io_read_bytes_total', 'Bytes read from files', io.readBytes)
  yield counter('io_read_time_seconds_total', 'Time spent reading files', io.readSeconds)
  yield counter('io_write_ops_total', 'Writes to files', io.writes)
  yield counter('io_write_bytes_total', 'Bytes written to files', io.writeBytes)
  yield counter(
    'io_write_time_seconds_total',
    'Time spent writing files, until they were stable where that is asked',
    io.writeSeconds,
  )
  yield counter('io_sync_ops_total', 'Syncs of files besides writes', io.syncs)
  yield counter('io_sync_time_seconds_total', 'Time spent in those', io.syncSeconds)
}

const churnFamilies = [
  ['connections_opened_total', 'Connections opened', 'connection_created'],
  ['connections_closed_total', 'Connections closed or terminated', 'connection_closed'],
  ['channels_opened_total', 'Channels opened', 'channel_created'],
  ['channels_closed_total', 'Channels closed', 'channel_closed'],
  ['queues_declared_total', 'Queues declared', 'queue_declared'],
  ['queues_created_total', 'Queues created', 'queue_created'],
  ['queues_deleted_total', 'Queues deleted', 'queue_deleted'],
] as const

export function* churn({ broker, connections }: ApiParts, prefix: string): Generator<Family> {
  const now = churnOf(broker, connections)
  for (const [name, help, key] of churnFamilies) yield single('counter', prefix + name, help, now[key])
}

/** As RabbitMQ calls what people log in by. */
export const loginProtocols = { amqp: 'amqp091', http: 'http' } as const

/** Who tried to log in. Each request by HTTP is a login. */
export function* loginFamilies({ broker }: ApiParts, prefix: string): Generator<Family> {
  const family = (name: string, help: string, value: (row: LoginAttemptRows['amqp']) => number): Family => ({
    name: `${prefix}auth_attempts${name}_total`,
    type: 'counter',
    help,
    samples: Object.entries(broker.loginAttempts).map(([via, row]) => [
      { protocol: loginProtocols[via as keyof LoginAttemptRows] },
      value(row),
    ]),
  })
  yield family('', 'Total number of authorization attempts', ({ succeeded, failed }) => succeeded + failed)
  yield family('_succeeded', 'Total number of successful authentication attempts', ({ succeeded }) => succeeded)
  yield family('_failed', 'Total number of failed authentication attempts', ({ failed }) => failed)
}

/** Queues, channels and connections added up; counts are of all there have been, so that they never fall. */
export function* aggregatedFamilies({ connections }: ApiParts, totals: NodeTotals): Generator<Family> {
  const { ready, unacked, consumers, unconfirmed, counts, channels } = totals
  const gauge = (name: string, help: string, value: number): Family => single('gauge', `rabbitmq_${name}`, help, value)
  yield gauge('queue_messages_ready', 'Messages ready to be delivered to consumers', ready)
  yield gauge('queue_messages_unacked', 'Messages delivered to consumers but not yet acknowledged', unacked)
  yield gauge('queue_messages', 'Sum of ready and unacknowledged messages', ready + unacked)
  yield gauge('queue_consumers', 'Consumers on queues', consumers)
  yield gauge('channel_consumers', 'Consumers on channels', consumers)
  yield gauge('channel_messages_unacked', 'Delivered but not yet acknowledged messages', unacked)
  yield gauge('channel_messages_unconfirmed', 'Published but not yet confirmed messages', unconfirmed)
  yield gauge('connection_channels', 'Channels on connections', channels)
  for (const { name, help, value } of channelCounters)
    yield single('counter', `rabbitmq_${name}`, help, value({ counts }))
  yield single('counter', 'rabbitmq_queue_messages_published_total', 'Messages published to queues', counts.publish)
  const { bytesRead, bytesWritten } = trafficOf(connections)
  yield single('counter', 'rabbitmq_connection_incoming_bytes_total', 'Bytes received on connections', bytesRead)
  yield single('counter', 'rabbitmq_connection_outgoing_bytes_total', 'Bytes sent on connections', bytesWritten)
}

const protocol: Labels = { protocol: 'amqp091' }
const perType = 'per type'

const globals: readonly (readonly [
  name: string,
  help: string,
  labels: Labels | typeof perType,
  value: (counts: MessageCounts) => number,
])[] = [
  ['acknowledged_total', 'Messages acknowledged by consumers', perType, ({ ack }) => ack],
  ['confirmed_total', 'Messages confirmed to publishers', protocol, ({ confirm }) => confirm],
  ['delivered_consume_auto_ack_total', 'Messages delivered, acknowledged at once', perType, (one) => one.deliverNoAck],
  ['delivered_consume_manual_ack_total', 'Messages delivered to be acknowledged', perType, ({ deliver }) => deliver],
  ['delivered_get_auto_ack_total', 'Messages fetched, acknowledged at once', perType, ({ getNoAck }) => getNoAck],
  ['delivered_get_manual_ack_total', 'Messages fetched to be acknowledged', perType, ({ get }) => get],
  ['delivered_total', 'Messages delivered or fetched', perType, deliveredOf],
  ['get_empty_total', 'Times basic.get fetched no message', perType, ({ getEmpty }) => getEmpty],
  ['received_confirm_total', 'Messages received that were confirmed', protocol, ({ confirm }) => confirm],
  ['received_total', 'Messages received from publishers', protocol, ({ publish }) => publish],
  ['redelivered_total', 'Messages delivered again', perType, ({ redeliver }) => redeliver],
  [
    'routed_total',
    'Messages routed to queues',
    protocol,
    (one) => one.publish - one.returnUnroutable - one.dropUnroutable,
  ],
  ['unroutable_dropped_total', 'Messages dropped as unroutable', protocol, ({ dropUnroutable }) => dropUnroutable],
  ['unroutable_returned_total', 'Messages returned as unroutable', protocol, (one) => one.returnUnroutable],
]

/** A kind that nobody has used is told as well, as RabbitMQ does. */
function samplesOf(byType: NodeTotals['byType'], value: (counts: MessageCounts) => number): Sample[] {
  return queueTypes.map((type) => [{ ...protocol, queue_type: `rabbit_${type}_queue` }, value(byType[type])])
}

export function* globalFamilies({ counts, byType, publishers, consumers }: NodeTotals): Generator<Family> {
  for (const [name, help, labels, value] of globals) {
    const samples: Sample[] = labels === perType ? samplesOf(byType, value) : [[labels, value(counts)]]
    yield { name: `rabbitmq_global_messages_${name}`, type: 'counter', help, samples }
  }
  const gauge = (name: string, help: string, value: number): Family => ({
    name: `rabbitmq_global_${name}`,
    type: 'gauge',
    help,
    samples: [[protocol, value]],
  })
  yield gauge('publishers', 'Channels that have published', publishers)
  yield gauge('consumers', 'Consumers currently connected', consumers)
  yield {
    name: 'rabbitmq_message_size_bytes',
    type: 'histogram',
    help: 'Size of messages that were put into queues',
    samples: bucketSamples(counts.sizes, protocol),
  }
}
