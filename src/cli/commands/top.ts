/** `warren top`: the busiest queues, again and again. A screen on a terminal, plain lines where there is none. */
import type { Command } from 'commander'
import { CommandFailure, failureOf } from '../client/command-failure.ts'
import { addHttpOptions, type HttpFlags } from '../client/connection-options.ts'
import { HttpApi } from '../client/http-api.ts'
import { seconds, wholeNumber } from '../client/numbers.ts'
import { QueueRates, type QueueRow } from '../client/queue-rates.ts'
import { count, plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { tableLines } from '../client/table.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends HttpFlags {
  readonly vhost?: string
  readonly interval: number
  readonly count?: number
  readonly rows?: number
  readonly json?: boolean
}

/** Where there is no screen that sets a limit. */
const rowsDefault = 20
/** Lines of the screen that are no queues. */
const otherLines = 4

export function configure(command: Command): void {
  command
    .option('--vhost <name>', 'only queues of this vhost (all)')
    .option('--interval <seconds>', 'between two looks', seconds(0.2, 3_600), 2)
    .option('--count <number>', 'end after so many looks', wholeNumber(1, 1e9))
    .option('--rows <number>', 'queues at most (as fit the screen; 20 where there is none)', wholeNumber(1, 10_000))
    .option('--json', 'a line of JSON for each look')
  addHttpOptions(command)
  command.addHelpText('after', examples)
  command.action((flags: Flags) => run((context) => top(flags, context)))
}

const examples = `
Examples:
  warren top
  warren top --vhost orders --interval 10
  warren top --count 2 --json         two looks, for a script

The busiest queue stands first. Rates are messages a second since the look before, from the counters of the management
API; RabbitMQ renews them every five seconds. Ctrl-C ends it.`

async function top(flags: Flags, context: Run): Promise<ExitCode> {
  const api = new HttpApi(flags, context)
  const path = flags.vhost === undefined ? 'queues' : `queues/${encodeURIComponent(flags.vhost)}`
  const rates = new QueueRates()
  const { clock, printer, stop } = context
  const isScreen = printer.isTerminal && flags.json !== true
  for (let look = 1; !stop.isMade; look++) {
    const rows = await looked(api, path, look === 1)
    if (stop.isMade) break
    if (rows instanceof CommandFailure) printer.note(`warren: ${rows.message}`)
    else {
      const sorted = rates.look(rows, clock.monotonic()).sort(busiestFirst)
      printer.write(shown(sorted, flags, { isScreen, context }))
    }
    if (look === flags.count) break
    await stop.pause(flags.interval * 1000, clock)
  }
  return ExitCode.done
}

/** Once it has begun, a broker that restarts is waited for. */
async function looked(api: HttpApi, path: string, isFirst: boolean) {
  try {
    return await api.list(path)
  } catch (error) {
    const failure = failureOf(error)
    if (isFirst || failure.exitCode !== ExitCode.unreachable) throw failure
    return failure
  }
}

function busiestFirst(a: QueueRow, b: QueueRow): number {
  const activity = (row: QueueRow): number => (row.published ?? 0) + (row.delivered ?? 0)
  return activity(b) - activity(a) || b.ready + b.unacked - (a.ready + a.unacked) || (a.name < b.name ? -1 : 1)
}

function shown(
  all: readonly QueueRow[],
  flags: Flags,
  { isScreen, context }: { isScreen: boolean; context: Run },
): string {
  const { clock, printer } = context
  const time = new Date(clock.now()).toISOString()
  const rowsMax = flags.rows ?? (isScreen ? Math.max(1, printer.size.rows - otherLines) : rowsDefault)
  const rows = all.slice(0, rowsMax)
  if (flags.json === true) return `${JSON.stringify({ time, queues: rows })}\n`
  const sum = (field: (row: QueueRow) => number): string => count(all.reduce((total, row) => total + field(row), 0))
  const head = `${time}  ${plural(all.length, 'queue')}, ${sum((row) => row.ready)} ready, ${sum((row) => row.unacked)} unacked`
  const names = ['vhost', 'queue', 'ready', 'unacked', 'consumers', 'in/s', 'out/s', 'ack/s']
  const cells = rows.map((row) => [
    row.vhost,
    row.name,
    row.ready,
    row.unacked,
    row.consumers,
    row.published,
    row.delivered,
    row.acknowledged,
  ])
  const [columns = '', ...lines] = tableLines(names, cells)
  if (!isScreen) return `${[head, columns, ...lines, ''].join('\n')}\n`
  const fitting = [head, '', printer.bold(columns), ...lines].map((line) => cut(line, printer.size.columns))
  // From the top left corner; each line and what is below is wiped, so nothing flickers.
  return `\x1b[H${fitting.map((line) => `${line}\x1b[K`).join('\n')}\n\x1b[J`
}

/** Not within the marks of bold. */
function cut(line: string, columns: number): string {
  return line.startsWith('\x1b') || line.length <= columns ? line : line.slice(0, columns)
}
