/** `warren get`: a few messages that are in a queue now; ends when there are no more. */
import type { Command } from 'commander'
import type { Delivery } from '../../client/driver/driver.ts'
import { addConnectionOptions, type ConnectionFlags } from '../client/connection-options.ts'
import { messageJson } from '../client/message-json.ts'
import { wholeNumber } from '../client/numbers.ts'
import type { Printer } from '../client/printer.ts'
import { printingProgress } from '../client/progress.ts'
import { type Run, run } from '../client/run.ts'
import { type Session, withSession } from '../client/session.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends ConnectionFlags {
  readonly count: number
  readonly json?: boolean
  readonly requeue?: boolean
}

export function configure(command: Command): void {
  command
    .argument('<queue>', 'queue')
    .option('--count <number>', 'so many at most', wholeNumber(1, 1e12), 1)
    .option('--json', 'a line of JSON for each message, with its properties')
    .option('--requeue', 'put them back: a look')
  addConnectionOptions(command)
  command.addHelpText('after', examples)
  command.action((queue: string, flags: Flags) =>
    run((context) => withSession('get', flags, context, (session) => get(queue, { flags, context, session }))),
  )
}

const examples = `
Examples:
  warren get orders
  warren get orders --count 5 --requeue --json
  while warren get jobs > job.txt; do ./work job.txt; done

A message is acknowledged when it has been written. Exit codes: 0 at least one, 11 the queue is empty, 8 there is no
such queue. A stream cannot be read so; take \`warren consume\`.`

interface Parts {
  readonly flags: Flags
  readonly context: Run
  readonly session: Session
}

async function get(queue: string, { flags, context, session }: Parts): Promise<ExitCode> {
  const { channel } = session
  const { clock, printer, stop } = context
  const progress = printingProgress({ clock, what: 'got', total: null }, printer.isTerminal)
  let found = 0
  try {
    while (found < flags.count && !stop.isMade) {
      const delivery = await channel.get(queue, { isNoAck: false })
      if (delivery === null) break
      const isWritten = await written(printer, delivery, flags.json === true)
      if (!isWritten) break
      found++
      progress?.at(found)
      if (flags.requeue !== true) channel.ack(delivery.deliveryTag, false)
    }
  } finally {
    progress?.end()
  }
  return found > 0 || stop.isMade ? ExitCode.done : ExitCode.empty
}

function written(printer: Printer, delivery: Delivery, isJson: boolean): Promise<boolean> {
  const chunk = isJson ? `${messageJson(delivery)}\n` : Buffer.concat([delivery.body, Uint8Array.of(0x0a)])
  return new Promise((resolve) => printer.write(chunk, resolve))
}
