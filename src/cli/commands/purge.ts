/** `warren purge`: takes all ready messages out of a queue. */
import type { Command } from 'commander'
import { addConnectionOptions, type ConnectionFlags } from '../client/connection-options.ts'
import { plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { withSession } from '../client/session.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends ConnectionFlags {
  readonly json?: boolean
}

export function configure(command: Command): void {
  command.argument('<queue>', 'queue').option('--json', 'the result as one line of JSON')
  addConnectionOptions(command)
  command.addHelpText('after', examples)
  command.action((queue: string, flags: Flags) => run((context) => purge(queue, flags, context)))
}

const examples = `
Examples:
  warren purge orders
  warren purge orders --json

Messages that consumers hold stay theirs. Exit code 8: there is no such queue.`

async function purge(queue: string, flags: Flags, context: Run): Promise<ExitCode> {
  const messages = await withSession('purge', flags, context, ({ channel }) => channel.purgeQueue(queue))
  context.printer.line(
    flags.json === true ? JSON.stringify({ queue, messages }) : `purged ${plural(messages, 'message')} of '${queue}'`,
  )
  return ExitCode.done
}
