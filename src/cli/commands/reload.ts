/** `warren reload`: a running node reads its configuration again, by the management API. */
import type { Command } from 'commander'
import { addHttpOptions, type HttpFlags } from '../client/connection-options.ts'
import { HttpApi, isObject } from '../client/http-api.ts'
import { type Run, run } from '../client/run.ts'
import { ExitCode } from '../exit-code.ts'

export function configure(command: Command): void {
  addHttpOptions(command)
    .action((flags: HttpFlags) => run((context) => reload(flags, context)))
    .addHelpText('after', examples)
}

const examples = `
Examples:
  warren reload
  warren reload --http https://admin:secret@n1:15671

Needs the tag administrator. The signal SIGHUP does the same. When the configuration has a mistake, or something in it cannot be
done, nothing of it is used and the mistake is printed.`

async function reload(flags: HttpFlags, { printer, ...context }: Run): Promise<ExitCode> {
  const report = await new HttpApi(flags, { printer, ...context }).ask('PUT', 'warren/reload')
  const texts = (name: string): string[] => {
    const value = isObject(report) ? report[name] : []
    return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
  }
  for (const warning of texts('warnings')) printer.line(`warning: ${warning}`)
  const [changed, later] = [texts('changed'), texts('needs_restart')]
  printer.line(changed.length === 0 ? 'nothing has changed' : `changed: ${changed.join(', ')}`)
  if (later.length > 0) printer.line(`needs a restart: ${later.join(', ')}`)
  return ExitCode.done
}
