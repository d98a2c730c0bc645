/** `warren delete queue | exchange | binding`. AMQP finds nothing wrong with deleting what is not there; people do. */
import type { Command } from 'commander'
import { addConnectionOptions, type ConnectionFlags } from '../client/connection-options.ts'
import { repeated } from '../client/numbers.ts'
import { plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { withSession } from '../client/session.ts'
import { typedTable, typedValueHelp } from '../client/typed-value.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends ConnectionFlags {
  readonly ifUnused?: boolean
  readonly ifEmpty?: boolean
}

interface BindingFlags extends ConnectionFlags {
  readonly key: string
  readonly toExchange?: boolean
  readonly arg?: readonly string[]
}

export function configure(command: Command): void {
  const queue = command
    .command('queue')
    .description('a queue or stream, with its messages')
    .argument('<name>', 'its name')
    .option('--if-unused', 'only when it has no consumer')
    .option('--if-empty', 'only when it has no message')
    .action((name: string, flags: Flags) => run((context) => deleteQueue(name, flags, context)))
  const exchange = command
    .command('exchange')
    .description('an exchange, with its bindings')
    .argument('<name>', 'its name')
    .option('--if-unused', 'only when nothing is bound to it')
    .action((name: string, flags: Flags) => run((context) => deleteExchange(name, flags, context)))
  const binding = command
    .command('binding')
    .description('a binding, by all that it was made with')
    .argument('<exchange>', 'where messages come from')
    .argument('<destination>', 'where they go')
    .option('--key <key>', 'binding key', '')
    .option('--to-exchange', 'the destination is an exchange')
    .option('--arg <name=value>', `an argument; may be repeated. ${typedValueHelp}`, repeated)
    .action((source: string, destination: string, flags: BindingFlags) =>
      run((context) => deleteBinding({ source, destination }, flags, context)),
    )
  for (const one of [queue, exchange, binding]) addConnectionOptions(one).addHelpText('after', examples)
  command.addHelpText('after', examples)
}

const examples = `
Examples:
  warren delete queue orders --if-empty
  warren delete exchange events --if-unused
  warren delete binding events orders --key 'order.*'

Exit codes: 8 there is no such queue or exchange, 9 it is in use or not empty.`

async function deleteQueue(name: string, flags: Flags, context: Run): Promise<ExitCode> {
  const { ifUnused = false, ifEmpty = false } = flags
  const messages = await withSession('delete', flags, context, async ({ channel }) => {
    await channel.checkQueue(name)
    return await channel.deleteQueue(name, { ifUnused, ifEmpty })
  })
  context.printer.line(`deleted queue '${name}' with ${plural(messages, 'message')}`)
  return ExitCode.done
}

async function deleteExchange(name: string, flags: Flags, context: Run): Promise<ExitCode> {
  await withSession('delete', flags, context, async ({ channel }) => {
    await channel.checkExchange(name)
    await channel.deleteExchange(name, { ifUnused: flags.ifUnused ?? false })
  })
  context.printer.line(`deleted exchange '${name}'`)
  return ExitCode.done
}

async function deleteBinding(
  { source, destination }: { source: string; destination: string },
  flags: BindingFlags,
  context: Run,
): Promise<ExitCode> {
  const binding = { source, destination, bindingKey: flags.key, arguments: typedTable('--arg', flags.arg ?? []) }
  await withSession('delete', flags, context, ({ channel }) =>
    flags.toExchange === true ? channel.unbindExchange(binding) : channel.unbindQueue(binding),
  )
  context.printer.line(`exchange '${source}' is not bound to '${destination}' with key '${flags.key}' any more`)
  return ExitCode.done
}
