/** `warren bindings`: what leads where, by the management API. */
import type { Command } from 'commander'
import { configureListing } from '../client/listing.ts'

export function configure(command: Command): void {
  configureListing(command, {
    noun: 'bindings',
    columns: {
      vhost: 'vhost',
      source: 'source',
      destination: 'destination',
      type: 'destination_type',
      key: 'routing_key',
      arguments: 'arguments',
    },
    shown: ['vhost', 'source', 'key', 'destination', 'type', 'arguments'],
    sort: 'source',
    isHidden: ({ source }) => source === '',
    examples: `
Examples:
  warren bindings
  warren bindings --sort destination --columns source,key,destination
  warren bindings --all --json        with those of the default exchange`,
  })
}
