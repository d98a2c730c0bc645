/** `warren consume`: the messages of a queue as they come, on stdout or each to a command. */
import type { Command } from 'commander'
import { misuse } from '../client/command-failure.ts'
import { addConnectionOptions, type ConnectionFlags } from '../client/connection-options.ts'
import { type AckMode, Consumption } from '../client/consumption.ts'
import { seconds, wholeNumber } from '../client/numbers.ts'
import { type Progress, printingProgress } from '../client/progress.ts'
import { type Run, run } from '../client/run.ts'
import { Session } from '../client/session.ts'
import { streamOffset } from '../client/stream-offset.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends ConnectionFlags {
  readonly count?: number
  readonly json?: boolean
  readonly ack?: boolean
  readonly requeue?: boolean
  readonly prefetch?: number
  readonly offset?: string
  readonly idle?: number
  readonly exec?: string
  readonly concurrency: number
  readonly onFailure: string
  readonly quiet?: boolean
}

const prefetchDefault = 100

export function configure(command: Command): void {
  command
    .argument('<queue>', 'queue or stream')
    .option('--count <number>', 'end after so many messages', wholeNumber(1, 1e12))
    .option('--json', 'a line of JSON for each message, with its properties')
    .option('--ack', 'acknowledge when printed, or when the command ended well (the default)')
    .option('--no-ack', 'acknowledge on arrival: what is not printed for a failure of ours is lost')
    .option('--requeue', 'acknowledge nothing: all go back to the queue at the end')
    .option('--prefetch <number>', `unacknowledged messages at most (${prefetchDefault})`, wholeNumber(1, 65_535))
    .option('--offset <where>', 'streams: first, last, next, an offset, a date, or a span like 1h (next)')
    .option('--idle <seconds>', 'end when nothing has come for so long', seconds(0.1, 86_400))
    .option('--exec <command>', 'run this by the shell for each message, its body on stdin; acknowledge on exit code 0')
    .option('--concurrency <number>', 'commands at once', wholeNumber(1, 1_000), 1)
    .option('--on-failure <what>', 'when the command fails: requeue, or reject (to the dead letters)', 'requeue')
    .option('--quiet', 'no progress, only errors')
  addConnectionOptions(command)
  command.addHelpText('after', examples)
  command.action((queue: string, flags: Flags) => run((context) => consume(queue, flags, context)))
}

const examples = `
Examples:
  warren consume orders
  warren consume orders --count 10 --json | jq -r .payload
  warren consume orders --requeue --idle 1          look, and leave everything where it is
  warren consume events --offset first --count 100  the first hundred of a stream
  warren consume mails --exec './send-mail.sh' --concurrency 4

The command of --exec finds MESSAGE_ROUTING_KEY, MESSAGE_EXCHANGE, MESSAGE_QUEUE, MESSAGE_REDELIVERED, MESSAGE_ID,
MESSAGE_CORRELATION_ID, MESSAGE_CONTENT_TYPE and MESSAGE_TYPE in its environment.
Ctrl-C takes nothing more, finishes what is in hand, and gives the rest back: exit code 130.`

async function consume(queue: string, flags: Flags, context: Run): Promise<ExitCode> {
  const settings = settingsOf(queue, flags)
  const offset = flags.offset === undefined ? {} : { 'x-stream-offset': streamOffset(flags.offset) }
  const session = await Session.open('consume', flags, context)
  const consumption = new Consumption(session.channel, settings, context)
  const progress = progressOf(flags, context)
  const counting = (): void => progress?.at(consumption.taken)
  try {
    await session.channel.qos(prefetchOf(flags))
    const options = { isNoAck: false, isExclusive: false, arguments: offset }
    const tag = await Promise.race([
      session.channel.consume(queue, options, {
        delivered: (delivery) => {
          consumption.delivered(delivery)
          counting()
        },
        cancelled: consumption.cancelled,
      }),
      session.failed,
    ])
    await Promise.race([consumption.ended, context.stop.made, idle(flags, consumption, context), session.failed])
    consumption.end()
    await Promise.race([session.channel.cancel(tag), session.failed])
    await Promise.race([consumption.finished(), session.failed])
  } finally {
    progress?.end()
    await session.close()
  }
  return consumption.failures > 0 ? ExitCode.failed : ExitCode.done
}

function settingsOf(queue: string, flags: Flags) {
  if (flags.requeue === true && flags.ack === false) throw misuse('--requeue and --no-ack exclude each other; give one')
  if (flags.exec === undefined && flags.concurrency > 1) throw misuse('--concurrency is for --exec; leave it out')
  if (flags.exec !== undefined && flags.json === true) throw misuse('--json is for stdout; leave it out with --exec')
  const onFailure = flags.onFailure
  if (onFailure !== 'requeue' && onFailure !== 'reject') {
    throw misuse(`--on-failure '${onFailure}' is not known; give requeue or reject`)
  }
  const mode: AckMode = flags.requeue === true ? 'never' : flags.ack === false ? 'on-arrival' : 'when-done'
  const { exec = null, count = null, concurrency } = flags
  return { queue, mode, count, isJson: flags.json === true, exec, concurrency, onFailure } as const
}

/** No more than are wanted, so that few are given back; with commands, only what is being worked on. */
function prefetchOf({ prefetch, count, exec, concurrency, requeue }: Flags): number {
  if (prefetch !== undefined) return prefetch
  const usual = exec === undefined ? prefetchDefault : concurrency
  // Those that go back at the end must all be out until then.
  if (requeue === true) return Math.min(count ?? 65_535, 65_535)
  return Math.min(usual, count ?? usual)
}

function progressOf({ count, quiet, exec }: Flags, { clock, printer }: Run): Progress | null {
  if (quiet === true || exec !== undefined) return null
  return printingProgress({ clock, what: 'consumed', total: count ?? null }, printer.isTerminal)
}

async function idle(flags: Flags, consumption: Consumption, { clock }: Run): Promise<void> {
  const { idle: idleSeconds } = flags
  if (idleSeconds === undefined) return await new Promise(() => {})
  const idleMs = idleSeconds * 1000
  await new Promise<void>((resolve) => {
    const look = (): void => {
      const restMs = consumption.lastAt + idleMs - clock.monotonic()
      if (restMs <= 0) resolve()
      else clock.after(restMs, look)
    }
    look()
  })
}
