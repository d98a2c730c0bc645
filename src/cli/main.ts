#!/usr/bin/env node
/**
 * The command `warren`: reads the command line and hands over to `commands/`, each loaded only when it is asked for.
 * Wrong usage is one sentence on stderr and exit code 2, never a stack trace.
 */
import { Command, CommanderError } from 'commander'
import { version } from '../version.ts'
import { clientCommands, isClientCommand, loadCommand } from './command-table.ts'
import { describeOptions } from './describe-options.ts'
import { ExitCode } from './exit-code.ts'

const program = new Command('warren')
  .description('Warren: a durable message broker that RabbitMQ clients talk to')
  .version(version)
  .exitOverride()
  .showHelpAfterError('`warren --help` and `warren COMMAND --help` tell more')

program
  .command('serve')
  .description('run a broker')
  .option('--port <number>', 'TCP port for AMQP; 0 takes a free one, "none" is none (5672)')
  .option('--http-port <number>', 'TCP port for HTTP and AMQP over WebSocket; "none" is none (15672)')
  .option('--host <address>', 'address to listen on; * is every interface (*)')
  .option('--data <directory>', 'where everything is stored; made when missing (./data)')
  .option('--config <file>', 'TOML file with any of the options below')
  .option('--log-level <level>', 'debug, info, warn or error (info)')
  .option('--node-name <name>', 'as one node of a cluster: which')
  .option('--peers <nodes>', 'all nodes, NAME=HOST:PORT with commas between; each runs a nats-server of its own')
  .option('--cluster <servers>', 'instead of --peers: NATS servers that you run, with commas between')
  .option('--cluster-host <address>', 'with --cluster: where other nodes reach this one')
  .option('--cluster-port <number>', 'TCP port for other nodes (25672)')
  .option('--cluster-secret-file <file>', 'what all nodes know, in a file')
  .option('--cluster-replicas <number>', 'how many servers store each message; 1 is for trying out (3)')
  .option('--nats-server <path>', 'the program nats-server (looked for)')
  .option('--nats-credentials <file>', 'with --cluster: login to NATS')
  .option('--nats-system-credentials <file>', 'with --cluster: login to its system account, for checks')
  .option('--nats-monitor <urls>', 'with --cluster: monitoring addresses of the servers, for checks')
  .addHelpText('after', describeOptions)
  .action(async (flags: Readonly<Record<string, string>>) => {
    const { serve } = await import('./commands/serve.ts')
    process.exit(await serve(flags))
  })

program
  .command('fsck')
  .description('check every byte that is stored, without changing anything')
  .argument('<directory>', 'the data directory of a stopped broker')
  .option('--repair <directory>', 'write what is whole to this new directory')
  .option('--json', 'print the report as JSON')
  .action(async (directory: string, flags: { repair?: string; json?: boolean }) => {
    const { fsck } = await import('./commands/fsck.ts')
    process.exit(await fsck(directory, { repair: flags.repair ?? null, isJson: flags.json === true }))
  })

// Help may go to a reader that has enough (`| head`); commands that print more listen as well.
process.stdout.on('error', () => {})

for (const [name, about] of Object.entries(clientCommands)) program.command(name).description(about)

try {
  const [first, second] = process.argv.slice(2)
  const name = first === 'help' ? second : first
  const command = program.commands.find((one) => one.name() === name)
  if (command !== undefined && isClientCommand(name)) (await loadCommand(name)).configure(command)
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? ExitCode.done : ExitCode.usage
}
