/** `warren publish`: messages from an argument, a file or stdin to an exchange or a queue, each confirmed. */
import type { Command } from 'commander'
import type { MessageProperties } from '../../client/driver/properties.ts'
import { type Bodies, openBodies } from '../client/bodies.ts'
import { CommandFailure, misuse } from '../client/command-failure.ts'
import { addConnectionOptions, type ConnectionFlags } from '../client/connection-options.ts'
import { wholeNumber } from '../client/numbers.ts'
import { Progress } from '../client/progress.ts'
import { addPropertyOptions, type PropertyFlags, propertiesOf } from '../client/publish-flags.ts'
import { Publisher } from '../client/publisher.ts'
import { plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { Session } from '../client/session.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends ConnectionFlags, PropertyFlags {
  readonly queue?: string
  readonly exchange?: string
  readonly routingKey?: string
  readonly file?: string
  readonly lines?: boolean
  readonly count: number
  readonly confirm?: boolean
  /** Undefined: as it fits the target. */
  readonly mandatory?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
}

/** After a stop, confirms are waited for so long. */
const confirmMsMax = 10_000

export function configure(command: Command): void {
  command
    .argument('[body]', 'the body; without it, --file or stdin')
    .option('--queue <name>', 'straight to this queue')
    .option('--exchange <name>', 'to this exchange')
    .option('--routing-key <key>', 'with --exchange (empty)')
    .option('--file <path>', 'the body from a file; - is stdin')
    .option('--lines', 'a message for each line of stdin or --file')
    .option('--count <number>', 'send the body so many times', wholeNumber(1, 1e12), 1)
    .option('--confirm', 'wait until the broker has stored them (the default)')
    .option('--no-confirm', 'do not wait until the broker has stored them')
    .option('--mandatory', 'an error when no queue gets a message (the default with --queue)')
    .option('--no-mandatory', 'a message that no queue gets is dropped')
    .option('--json', 'the result as one line of JSON')
    .option('--quiet', 'no result, only errors')
  addPropertyOptions(command)
  addConnectionOptions(command)
  command.addHelpText('after', examples)
  command.action((body: string | undefined, flags: Flags) => run((context) => publish(body, flags, context)))
}

const examples = `
Examples:
  warren publish --queue orders '{"id":1}' --content-type application/json
  warren publish --exchange events --routing-key user.created --file event.json
  warren publish --queue lines --lines < access.log
  warren publish --queue reminders 'call back' --delay 2h
  warren publish --queue load --count 100000 --transient x

Ctrl-C reads no more, waits for the confirms and says how many messages are stored. Exit codes: 0 all stored,
10 some were returned (no queue) or not taken, 6 the connection was lost; the rest stands in docs/command-line.md.`

async function publish(body: string | undefined, flags: Flags, context: Run): Promise<ExitCode> {
  const target = targetOf(flags)
  const properties = propertiesOf(flags, context.clock.now())
  const bodies = openBodies({
    argument: body,
    file: flags.file,
    isLines: flags.lines === true,
    count: flags.count,
    stdin: process.stdin,
    stop: context.stop.signal,
  })
  const publisher = new Publisher({ isConfirmed: flags.confirm !== false })
  const session = await Session.open('publish', flags, context, publisher)
  const progress = new Progress({
    clock: context.clock,
    what: 'published',
    total: bodies.total,
    target: flags.quiet === true ? { write: () => undefined } : process.stderr,
  })
  try {
    await publisher.open(session.channel)
    await Promise.race([sendAll({ publisher, target, properties, bodies, progress }), session.failed])
    const settled = publisher.settled()
    await Promise.race([settled, session.failed, tooLate(context)])
  } catch (error) {
    progress.end()
    if (publisher.published > 1) context.printer.note(standing(publisher, flags))
    throw error
  } finally {
    progress.end()
    await session.close()
  }
  return report(publisher, { flags, seconds: progress.seconds, target, context })
}

interface Target {
  readonly exchange: string
  readonly routingKey: string
  readonly isMandatory: boolean
  /** For people. */
  readonly label: string
}

function targetOf({ queue, exchange, routingKey, mandatory }: Flags): Target {
  if (queue !== undefined && (exchange !== undefined || routingKey !== undefined)) {
    throw misuse('--queue goes without --exchange and --routing-key; give one or the other')
  }
  if (queue !== undefined) {
    return { exchange: '', routingKey: queue, isMandatory: mandatory ?? true, label: `queue '${queue}'` }
  }
  if (exchange === undefined)
    throw misuse('nobody is to get it; give --queue NAME, or --exchange NAME --routing-key KEY')
  return { exchange, routingKey: routingKey ?? '', isMandatory: mandatory ?? false, label: `exchange '${exchange}'` }
}

interface Sending {
  readonly publisher: Publisher
  readonly target: Target
  readonly properties: MessageProperties
  readonly bodies: Bodies
  readonly progress: Progress
}

async function sendAll({ publisher, target, properties, bodies, progress }: Sending): Promise<void> {
  const { exchange, routingKey, isMandatory } = target
  for await (const body of bodies.read()) {
    const room = publisher.send({ exchange, routingKey, isMandatory, properties, body })
    progress.at(publisher.published, bodies.share())
    if (room !== null) await room
  }
}

/** Rejects some time after a stop: a blocked broker may never confirm. */
async function tooLate({ stop, clock }: Run): Promise<never> {
  await stop.made
  return await new Promise((_, reject) => {
    const sentence = 'the broker has not confirmed everything in time; what is not confirmed may or may not be stored'
    clock.after(confirmMsMax, () => reject(new CommandFailure(stop.exitCode || ExitCode.failed, sentence)))
  })
}

function standing({ published, confirmedCount }: Publisher, { confirm, lines }: Flags): string {
  const unit = lines === true ? 'line' : 'message'
  if (confirm === false)
    return `published ${plural(published, unit)}; without confirms nobody knows how many are stored`
  return `published ${plural(published, unit)}, ${confirmedCount} of them confirmed`
}

interface Outcome {
  readonly flags: Flags
  readonly seconds: number
  readonly target: Target
  readonly context: Run
}

function report(publisher: Publisher, { flags, seconds, target, context }: Outcome): ExitCode {
  const { published, confirmedCount, nackedCount, returnedCount, firstReturned } = publisher
  const { printer, stop } = context
  const lost = returnedCount + nackedCount
  const isConfirmed = flags.confirm !== false
  if (flags.json === true) {
    const confirmed = isConfirmed ? confirmedCount : null
    const counts = { published, confirmed, returned: returnedCount, nacked: nackedCount }
    printer.line(JSON.stringify({ ...counts, seconds: Number(seconds.toFixed(3)), stopped: stop.isMade }))
  } else if (flags.quiet !== true && (lost === 0 || published > 1)) {
    const rate = published > 1 ? `, ${Math.round(published / Math.max(seconds, 0.001))}/s` : ''
    const taken = lost === 0 ? 'all confirmed' : `${confirmedCount - returnedCount} of them taken`
    const stored = isConfirmed ? taken : 'not confirmed'
    const early = stop.isMade ? '; stopped before the end' : ''
    printer.note(`published ${plural(published, 'message')} to ${target.label}, ${stored}${rate}${early}`)
  }
  if (lost === 0) return ExitCode.done
  if (firstReturned !== null) {
    const { replyText, replyCode } = firstReturned
    const mend = flags.queue === undefined ? 'bind a queue with a fitting key' : 'declare it first, or correct its name'
    const who = flags.queue === undefined ? `${target.label} with routing key '${target.routingKey}'` : target.label
    printer.note(
      `warren: ${plural(returnedCount, 'message')} came back from ${who} (${replyCode} ${replyText}); ${mend}`,
    )
  }
  if (nackedCount > 0) {
    const mend = 'the queue is full, or its log has failed; the rest is stored'
    printer.note(`warren: the broker did not take ${plural(nackedCount, 'message')} (basic.nack); ${mend}`)
  }
  return ExitCode.undelivered
}
