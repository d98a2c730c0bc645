/** `warren definitions export | import`: RabbitMQ's definitions document, by the management API. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { misuse } from '../client/command-failure.ts'
import { addHttpOptions, type HttpFlags } from '../client/connection-options.ts'
import { HttpApi, isObject, type JsonObject } from '../client/http-api.ts'
import { plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { ExitCode } from '../exit-code.ts'

interface Flags extends HttpFlags {
  readonly vhost?: string
}

const fileBytesMax = 64 * 1024 * 1024

export function configure(command: Command): void {
  const exporting = command
    .command('export')
    .description('write all that exists, without messages')
    .argument('[file]', 'where to; - or nothing is stdout')
    .option('--vhost <name>', 'only this vhost, without users')
    .action((file: string | undefined, flags: Flags) => run((context) => exportAll(file, flags, context)))
  const importing = command
    .command('import')
    .description('make what a document says and is missing')
    .argument('<file>', 'where from; - is stdin')
    .option('--vhost <name>', 'into this vhost, which the document was exported from one')
    .action((file: string, flags: Flags) => run((context) => importAll(file, flags, context)))
  for (const one of [exporting, importing]) addHttpOptions(one).addHelpText('after', examples)
  command.addHelpText('after', examples)
}

const examples = `
Examples:
  warren definitions export definitions.json
  warren definitions export --vhost orders | jq .queues
  warren definitions import definitions.json --http http://admin:secret@host:15672

The user needs the tag administrator. What the document means stands in docs/definitions.md.`

async function exportAll(file: string | undefined, flags: Flags, context: Run): Promise<ExitCode> {
  const document = await new HttpApi(flags, context).get(pathOf(flags))
  if (!isObject(document)) throw misuse('the answer is no definitions document; give --http a management API')
  const text = `${JSON.stringify(document, null, 2)}\n`
  if (file === undefined || file === '-') {
    context.printer.write(text)
    return ExitCode.done
  }
  try {
    // There are password hashes in it.
    writeFileSync(file, text, { mode: 0o600 })
  } catch (error) {
    throw misuse(`${file} cannot be written (${codeOf(error)}); give a file that can`)
  }
  context.printer.note(`exported ${contents(document)} to ${file}`)
  return ExitCode.done
}

async function importAll(file: string, flags: Flags, context: Run): Promise<ExitCode> {
  const text = read(file)
  const document = parsed(text, file)
  await new HttpApi(flags, context).post(pathOf(flags), text)
  context.printer.note(`imported ${contents(document)} from ${file === '-' ? 'stdin' : file}`)
  return ExitCode.done
}

function pathOf({ vhost }: Flags): string {
  return vhost === undefined ? 'definitions' : `definitions/${encodeURIComponent(vhost)}`
}

function read(file: string): Buffer {
  try {
    if (file !== '-' && statSync(file).size > fileBytesMax) {
      throw misuse(`${file} has more than 64 MiB; import it in parts`)
    }
    return readFileSync(file === '-' ? 0 : file)
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
    throw misuse(`${file} cannot be read (${codeOf(error)}); give a file that can`)
  }
}

function parsed(text: Buffer, file: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text.toString())
    if (isObject(value)) return value
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw misuse(`${file} is no JSON (${why}); give a document of \`warren definitions export\``)
  }
  throw misuse(`${file} holds no JSON object; give a document of \`warren definitions export\``)
}

function contents(document: JsonObject): string {
  const counts = ['vhosts', 'users', 'policies', 'exchanges', 'queues', 'bindings'].flatMap((name) => {
    const list = document[name]
    if (!Array.isArray(list) || list.length === 0) return []
    return [plural(list.length, name === 'policies' ? 'policie' : name.replace(/s$/, ''))]
  })
  return counts.length === 0 ? 'nothing' : counts.join(', ').replace(/\b1 policie\b/, '1 policy')
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
