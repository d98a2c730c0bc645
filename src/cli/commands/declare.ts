/** `warren declare queue | exchange | binding`: makes what is missing; what exists must be the same. */
import type { Command } from 'commander'
import { misuse } from '../client/command-failure.ts'
import { addConnectionOptions, type ConnectionFlags } from '../client/connection-options.ts'
import { repeated } from '../client/numbers.ts'
import { type Run, run } from '../client/run.ts'
import { withSession } from '../client/session.ts'
import { typedTable, typedValueHelp } from '../client/typed-value.ts'
import { ExitCode } from '../exit-code.ts'

interface QueueFlags extends ConnectionFlags {
  readonly type?: string
  readonly transient?: boolean
  readonly autoDelete?: boolean
  readonly arg?: readonly string[]
}

interface ExchangeFlags extends QueueFlags {
  readonly internal?: boolean
}

interface BindingFlags extends ConnectionFlags {
  readonly key: string
  readonly toExchange?: boolean
  readonly arg?: readonly string[]
}

const argumentHelp = `an argument; may be repeated. ${typedValueHelp}`

export function configure(command: Command): void {
  const queue = command
    .command('queue')
    .description('a queue or stream')
    .argument('<name>', 'its name')
    .option('--type <type>', 'classic, quorum or stream (the default of the vhost)')
    .option('--transient', 'not kept over a restart of the broker')
    .option('--auto-delete', 'goes with its last consumer')
    .option('--arg <name=value>', argumentHelp, repeated)
    .action((name: string, flags: QueueFlags) => run((context) => declareQueue(name, flags, context)))
  const exchange = command
    .command('exchange')
    .description('an exchange')
    .argument('<name>', 'its name')
    .option('--type <type>', 'direct, fanout, topic, headers, or another that the broker knows', 'direct')
    .option('--transient', 'not kept over a restart of the broker')
    .option('--auto-delete', 'goes with its last binding')
    .option('--internal', 'only other exchanges publish to it')
    .option('--arg <name=value>', argumentHelp, repeated)
    .action((name: string, flags: ExchangeFlags) => run((context) => declareExchange(name, flags, context)))
  const binding = command
    .command('binding')
    .description('a way from an exchange to a queue, or to another exchange')
    .argument('<exchange>', 'where messages come from')
    .argument('<destination>', 'where they go')
    .option('--key <key>', 'binding key; * and # in topic exchanges', '')
    .option('--to-exchange', 'the destination is an exchange')
    .option('--arg <name=value>', argumentHelp, repeated)
    .action((source: string, destination: string, flags: BindingFlags) =>
      run((context) => declareBinding({ source, destination }, flags, context)),
    )
  for (const one of [queue, exchange, binding]) addConnectionOptions(one).addHelpText('after', examples)
  command.addHelpText('after', examples)
}

const examples = `
Examples:
  warren declare queue orders --type quorum --arg x-delivery-limit=5
  warren declare queue events --type stream --arg x-max-age=7D
  warren declare exchange events --type topic
  warren declare binding events orders --key 'order.*'

Done again with the same properties it changes nothing; with others it is refused: exit code 9.`

async function declareQueue(name: string, flags: QueueFlags, context: Run): Promise<ExitCode> {
  const table = typedTable('--arg', flags.arg ?? [])
  if (flags.type !== undefined && 'x-queue-type' in table)
    throw misuse('--type is --arg x-queue-type; give one of them')
  const declaration = {
    isDurable: flags.transient !== true,
    isExclusive: false,
    isAutoDelete: flags.autoDelete === true,
    arguments: flags.type === undefined ? table : { ...table, 'x-queue-type': flags.type },
  }
  const made = await withSession('declare', flags, context, ({ channel }) => channel.declareQueue(name, declaration))
  context.printer.line(`queue '${made.name}' is there`)
  return ExitCode.done
}

async function declareExchange(name: string, flags: ExchangeFlags, context: Run): Promise<ExitCode> {
  const declaration = {
    type: flags.type ?? 'direct',
    isDurable: flags.transient !== true,
    isAutoDelete: flags.autoDelete === true,
    isInternal: flags.internal === true,
    arguments: typedTable('--arg', flags.arg ?? []),
  }
  await withSession('declare', flags, context, ({ channel }) => channel.declareExchange(name, declaration))
  context.printer.line(`exchange '${name}' is there`)
  return ExitCode.done
}

async function declareBinding(
  { source, destination }: { source: string; destination: string },
  flags: BindingFlags,
  context: Run,
): Promise<ExitCode> {
  const binding = { source, destination, bindingKey: flags.key, arguments: typedTable('--arg', flags.arg ?? []) }
  await withSession('declare', flags, context, ({ channel }) =>
    flags.toExchange === true ? channel.bindExchange(binding) : channel.bindQueue(binding),
  )
  const what = flags.toExchange === true ? 'exchange' : 'queue'
  context.printer.line(`exchange '${source}' is bound to ${what} '${destination}' with key '${flags.key}'`)
  return ExitCode.done
}
