import type { Endpoint, OpenChannel, OpenConnection } from '../broker/connection-directory.ts'
import type { Consumer } from '../broker/ports.ts'
import type { Channel } from './channel.ts'
import type { Connection } from './connection.ts'

/** What can be said of a connection with an open vhost; null for all others. */
export function factsOf(connection: Connection): OpenConnection | null {
  const { session, output, channels, client } = connection
  if (session === null || connection.stateName === 'closed') return null
  const [peer = '', local = ''] = connection.name.split(' -> ')
  return {
    name: connection.name,
    username: session.principal.username,
    vhost: session.vhost.name,
    peer: endpointOf(peer),
    local: endpointOf(local),
    connectedAt: connection.connectedAt,
    state: stateOf(connection),
    clientProperties: client.properties,
    bytesRead: connection.bytesRead,
    bytesWritten: output.bytesWritten,
    bytesWaiting: output.waitingBytes,
    channelCount: channels.count,
    channelsMax: channels.countMax,
    frameBytesMax: output.frameBytesMax,
    heartbeatSeconds: connection.heartbeat?.intervalSeconds ?? 0,
    channels: () => channelsOf(connection),
    close: (reason) => connection.contain(() => connection.closeForced(reason)),
  }
}

/** The address may have colons of its own. */
function endpointOf(text: string): Endpoint {
  const at = text.lastIndexOf(':')
  return { address: text.slice(0, at), port: Number(text.slice(at + 1)) }
}

/** A publisher that an alarm holds back is `blocked`. */
function stateOf({ stateName, broker, publishedBytes }: Connection): OpenConnection['state'] {
  if (stateName !== 'running') return 'closing'
  return broker.publishGate === 'blocked' && publishedBytes > 0 ? 'blocked' : 'running'
}

function* channelsOf({ channels }: Connection): Generator<OpenChannel> {
  for (const channel of channels.values()) yield channelFacts(channel)
}

function channelFacts(channel: Channel): OpenChannel {
  const { confirms, transaction } = channel.publisher
  return {
    number: channel.id,
    prefetchCount: channel.prefetchCount,
    sharedPrefetchCount: channel.sharedCredit.limit,
    unacked: channel.unacked.count,
    unconfirmed: confirms?.waiting ?? 0,
    isConfirming: confirms !== null,
    isTransactional: transaction !== null,
    state: channel.isOpen ? 'running' : 'closing',
    consumers: consumersOf(channel),
    consumerCount: channel.consumers.size,
  }
}

function* consumersOf(channel: Channel): Generator<Consumer> {
  for (const { consumer } of channel.consumers.values()) if (consumer !== null) yield consumer
}
