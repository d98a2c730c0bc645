import { emptyTable } from '../../../src/amqp/field-table.ts'
import type { OpenConnection } from '../../../src/broker/connection-directory.ts'
import { MessageCounts } from '../../../src/broker/statistics/message-counts.ts'

/** A connection that notes why it is closed. */
export function connectionOf(username: string, closed: string[], vhost = '/'): OpenConnection {
  return {
    name: `${username} -> here`,
    username,
    vhost,
    peer: { address: '10.0.0.1', port: 1 },
    local: { address: '10.0.0.2', port: 2 },
    connectedAt: 0,
    state: 'running',
    mechanism: 'PLAIN',
    tls: null,
    clientProperties: emptyTable,
    bytesRead: 0,
    bytesWritten: 0,
    bytesWaiting: 0,
    traffic: { recent: null },
    channelCount: 1,
    channelsMax: 1,
    frameBytesMax: 4_096,
    heartbeatSeconds: 0,
    channels: () => [
      {
        number: 1,
        prefetchCount: 0,
        sharedPrefetchCount: 0,
        unacked: 0,
        unconfirmed: 0,
        isConfirming: false,
        isTransactional: false,
        state: 'running',
        consumers: [],
        consumerCount: 0,
        counts: new MessageCounts(),
      },
    ],
    close: (reason) => void closed.push(`${username}: ${reason}`),
  }
}
