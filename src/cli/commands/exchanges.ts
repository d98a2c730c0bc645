/** `warren exchanges`: the exchanges, by the management API. */
import type { Command } from 'commander'
import { configureListing } from '../client/listing.ts'

export function configure(command: Command): void {
  configureListing(command, {
    noun: 'exchanges',
    columns: {
      vhost: 'vhost',
      name: 'name',
      type: 'type',
      durable: 'durable',
      auto_delete: 'auto_delete',
      internal: 'internal',
      policy: 'policy',
      arguments: 'arguments',
      in_rate: 'message_stats.publish_in_details.rate',
      out_rate: 'message_stats.publish_out_details.rate',
    },
    shown: ['vhost', 'name', 'type', 'durable', 'auto_delete', 'internal', 'arguments'],
    sort: 'name',
    isHidden: ({ name }) => typeof name === 'string' && (name === '' || name.startsWith('amq.')),
    examples: `
Examples:
  warren exchanges
  warren exchanges --all --columns vhost,name,type
  warren exchanges --vhost / --json`,
  })
}
