/** `warren connections`: who is connected, by the management API. */
import type { Command } from 'commander'
import { configureListing } from '../client/listing.ts'

export function configure(command: Command): void {
  configureListing(command, {
    noun: 'connections',
    columns: {
      name: 'name',
      vhost: 'vhost',
      user: 'user',
      state: 'state',
      channels: 'channels',
      client: 'client_properties.product',
      version: 'client_properties.version',
      title: 'client_properties.connection_name',
      host: 'peer_host',
      port: 'peer_port',
      tls: 'ssl',
      protocol: 'protocol',
      heartbeat: 'timeout',
      received_rate: 'recv_oct_details.rate',
      sent_rate: 'send_oct_details.rate',
      node: 'node',
    },
    shown: ['vhost', 'user', 'host', 'port', 'state', 'channels', 'client', 'title'],
    sort: 'name',
    isHidden: null,
    examples: `
Examples:
  warren connections
  warren connections --sort -channels --columns user,host,channels,client
  warren connections --json | jq length`,
  })
}
