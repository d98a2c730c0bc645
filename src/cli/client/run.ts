import { type Clock, SystemClock } from '../../base/clock.ts'
import { KeepAlive } from '../../base/keep-alive.ts'
import { processEnvironment } from '../../config.ts'
import { ExitCode } from '../exit-code.ts'
import { failureOf } from './command-failure.ts'
import { Printer } from './printer.ts'
import { StopRequest } from './stop-request.ts'

/** What every command gets. */
export interface Run {
  readonly clock: Clock
  readonly printer: Printer
  readonly stop: StopRequest
}

/** Runs a command to its end and ends the process: with its code, or with a sentence and the code of what it threw. */
export async function run(work: (run: Run) => Promise<ExitCode>): Promise<never> {
  const stop = new StopRequest()
  const hasColour = (processEnvironment()['NO_COLOR'] ?? '') === ''
  const printer = new Printer(process, { hasColour, gone: () => stop.outputGone() })
  const keepAlive = new KeepAlive()
  const code = await ended(work({ clock: new SystemClock(), printer, stop }), printer)
  await printer.flushed()
  keepAlive.release()
  process.exit(code === ExitCode.done ? stop.exitCode : code)
}

async function ended(work: Promise<ExitCode>, printer: Printer): Promise<ExitCode> {
  try {
    return await work
  } catch (error) {
    const failure = failureOf(error)
    printer.note(`warren: ${failure.message}`)
    return failure.exitCode
  }
}
