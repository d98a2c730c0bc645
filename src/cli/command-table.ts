import type { Command } from 'commander'

/** A command in a file of its own, loaded only when it is asked for, or when all options are to be known. */
export interface CommandModule {
  /** Adds arguments, options, examples and the action to a command that has name and description. */
  configure(command: Command): void
}

/** What `warren --help` lists beside `serve` and `fsck`: name → what it does. */
export const clientCommands = {
  publish: 'send messages to an exchange or a queue',
  consume: 'print or handle the messages of a queue as they come',
  get: 'take a few messages that are in a queue now',
  queues: 'list queues',
  exchanges: 'list exchanges',
  bindings: 'list bindings',
  connections: 'list connections',
  purge: 'take all messages out of a queue',
  declare: 'make a queue, exchange or binding',
  delete: 'delete a queue, exchange or binding',
  webhooks: 'list, make, change, delete and try out webhooks',
  definitions: 'export or import all that exists',
  reload: 'let a running broker read its configuration again',
  backup: 'copy all that a running broker has stored into a file',
  restore: 'make a data directory of a backup',
  cluster: 'look at the nodes of a cluster, drain one, remove one, name it',
  migrate: 'move what a single node has stored into a cluster',
  top: 'watch the queues',
  bench: 'measure a broker, or two side by side',
  completion: 'print a completion script for bash, zsh or fish',
} as const

export type ClientCommand = keyof typeof clientCommands

export function isClientCommand(name: string | undefined): name is ClientCommand {
  return name !== undefined && Object.hasOwn(clientCommands, name)
}

/**
 * The commands are not part of the bundle `bin/warren.js`: what they import would be loaded with it by `warren serve`
 * too. They stand beside this file, or in `src/cli` beside `bin`.
 */
const home = /\/command-table\.[jt]s$/.test(import.meta.url) ? './commands/' : '../src/cli/commands/'

export async function loadCommand(name: ClientCommand): Promise<CommandModule> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return (await import(new URL(`${home}${name}.${extension}`, import.meta.url).href)) as CommandModule
}
