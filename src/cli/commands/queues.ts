/** `warren queues`: the queues and what is in them, by the management API. */
import type { Command } from 'commander'
import { configureListing } from '../client/listing.ts'

export function configure(command: Command): void {
  configureListing(command, {
    noun: 'queues',
    columns: {
      vhost: 'vhost',
      name: 'name',
      type: 'type',
      state: 'state',
      messages: 'messages',
      ready: 'messages_ready',
      unacked: 'messages_unacknowledged',
      consumers: 'consumers',
      bytes: 'message_bytes',
      durable: 'durable',
      auto_delete: 'auto_delete',
      exclusive: 'exclusive',
      policy: 'policy',
      arguments: 'arguments',
      publish_rate: 'message_stats.publish_details.rate',
      deliver_rate: 'message_stats.deliver_get_details.rate',
      ack_rate: 'message_stats.ack_details.rate',
      node: 'node',
    },
    shown: ['vhost', 'name', 'type', 'ready', 'unacked', 'messages', 'consumers', 'state'],
    sort: 'name',
    isHidden: null,
    examples: `
Examples:
  warren queues
  warren queues --sort -ready --columns name,ready,consumers
  warren queues --vhost / --json | jq -r '.[] | select(.consumers == 0) | .name'`,
  })
}
