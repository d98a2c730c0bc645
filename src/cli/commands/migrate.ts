/** `warren migrate`: moves what a stopped single node has stored into a running cluster, and compares the counts. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { StartError } from '../../start-error.ts'
import { CommandFailure, failureOf, misuse } from '../client/command-failure.ts'
import { addTlsOptions, type ConnectionFlags, tlsOptions } from '../client/connection-options.ts'
import { HttpApi } from '../client/http-api.ts'
import { printingProgress } from '../client/progress.ts'
import { plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { tableLines } from '../client/table.ts'
import { ExitCode } from '../exit-code.ts'
import { Migration, type MovedQueue } from '../migrate/migration.ts'
import { newDefinitions } from '../migrate/new-definitions.ts'
import { StoppedNode } from '../migrate/stopped-node.ts'

interface Flags extends ConnectionFlags {
  readonly to?: string
  readonly http?: string
  readonly json?: boolean
}

export function configure(command: Command): void {
  command
    .argument('<directory>', 'the data directory of a stopped node')
    .requiredOption('--to <url>', 'a node of the cluster, amqp:// or amqps://, with a user who is administrator')
    .option('--http <url>', 'its management API (port 15672 of the host of --to)')
    .option('--json', 'the result as JSON')
  addTlsOptions(command)
  command.addHelpText('after', examples)
  command.action((directory: string, flags: Flags) =>
    run((context) => migrate(directory, flags, context).catch(inOurWords)),
  )
}

const examples = `
Examples:
  warren migrate ./data --to amqp://admin:secret@n1:5672
  warren migrate ./data --to amqps://admin:secret@n1:5671 --tls-ca ca.pem --http https://admin:secret@n1:15671

A message leaves the directory when the cluster has confirmed it, so the command may be run again after any end.
What is kept and what is not stands in docs/clustering.md. Exit code 1: the counts differ.`

async function migrate(directory: string, flags: Flags, context: Run): Promise<ExitCode> {
  const to = flags.to ?? ''
  const httpFlags = { url: to, timeout: flags.timeout, ...(flags.http === undefined ? {} : { http: flags.http }) }
  const api = new HttpApi(httpFlags, context)
  await api.get('whoami')
  const node = await opened(resolve(directory))
  try {
    const missing = newDefinitions(node.definitions, await api.get('definitions'))
    await api.post('definitions', Buffer.from(JSON.stringify(missing)))
    const results = await moved(node, to, flags, context)
    return report(results, flags, context)
  } finally {
    await node.close()
  }
}

/** What is `--url` to other commands is `--to` here. */
function inOurWords(error: unknown): never {
  const { exitCode, message } = failureOf(error)
  throw new CommandFailure(exitCode, message.replaceAll('--url', '--to'))
}

async function opened(directory: string): Promise<StoppedNode> {
  try {
    return await StoppedNode.open(directory)
  } catch (error) {
    if (error instanceof StartError) throw new CommandFailure(ExitCode.dataDirectory, error.message)
    if (error instanceof Error && 'syscall' in error) throw misuse(`${directory} cannot be read (${error.message})`)
    throw error
  }
}

async function moved(node: StoppedNode, to: string, flags: Flags, context: Run): Promise<readonly MovedQueue[]> {
  const { clock, printer, stop } = context
  const total = await totalOf(node)
  const progress = printingProgress({ clock, what: 'moved', total }, printer.isTerminal && flags.json === true)
  let count = 0
  const migration = new Migration({
    node,
    to,
    tls: tlsOptions(flags),
    clock,
    timeoutMs: flags.timeout * 1_000,
    stopped: stop.made.then(() => {
      const mend = 'run the command again to go on'
      throw new CommandFailure(stop.exitCode || ExitCode.failed, `stopped after ${plural(count, 'message')}; ${mend}`)
    }),
    moved: () => progress?.at(++count),
  })
  try {
    return await migration.run()
  } finally {
    progress?.end()
    await migration.close()
  }
}

/** Null: how much is in a stream is not known before it is read. */
async function totalOf({ queues }: StoppedNode): Promise<number | null> {
  if (queues.some(({ isStream }) => isStream)) return null
  let total = 0
  for (const queue of queues) total += queue.waiting() + (await queue.delayed())
  return total
}

// ---------------------------------------------------------------- the report

function report(results: readonly MovedQueue[], flags: Flags, { printer }: Run): ExitCode {
  const judged = results.map((result) => ({ ...result, verdict: verdictOf(result) }))
  const isEqual = judged.every(({ verdict }) => !verdict.startsWith('DIFFERENT'))
  if (flags.json === true) printer.line(JSON.stringify(judged, null, 2))
  else {
    const names = ['vhost', 'queue', 'waiting', 'moved', 'delayed', 'before', 'after', '']
    const rows = judged.map(({ vhost, name, waiting, moved: count, delayed, before, after, verdict }) => {
      return [vhost, name, waiting, count, delayed, before, after, verdict]
    })
    const [head = '', ...lines] = tableLines(names, rows)
    printer.write(`${[printer.bold(head), ...lines].join('\n')}\n`)
    const total = judged.reduce((sum, result) => sum + result.moved, 0)
    printer.note(`moved ${plural(total, 'message')} of ${plural(judged.length, 'queue')}`)
  }
  return isEqual ? ExitCode.done : ExitCode.failed
}

/**
 * What was moved must be at the cluster: all that was ready, and of what was delayed as much as has fallen due by now.
 */
function verdictOf({ moved: count, delayed, before, after, left, consumers }: MovedQueue): string {
  if (left > 0) return `DIFFERENT: ${plural(left, 'message')} left`
  if (consumers > 0) return `${plural(consumers, 'consumer')} at the cluster: not comparable`
  const least = before + count - delayed
  if (after >= least && after <= before + count) return 'equal'
  return `DIFFERENT: ${least} expected; expired, dropped by a limit, taken for duplicates, or used by others`
}
