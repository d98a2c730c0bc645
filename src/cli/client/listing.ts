/** What `queues`, `exchanges`, `bindings` and `connections` have in common: a list of the management API, as a table. */
import type { Command } from 'commander'
import { nearest } from '../../config/nearest.ts'
import { ExitCode } from '../exit-code.ts'
import { misuse } from './command-failure.ts'
import { addHttpOptions, type HttpFlags } from './connection-options.ts'
import { HttpApi, isObject, type JsonObject } from './http-api.ts'
import { type Run, run } from './run.ts'
import { type Cell, compareCells, tableLines } from './table.ts'

export interface Listing {
  /** The path of the API and the noun in its plural. */
  readonly noun: string
  /** Every column there is: name → where the API has it, with dots. */
  readonly columns: Readonly<Record<string, string>>
  /** Shown unless others are asked for. */
  readonly shown: readonly string[]
  readonly sort: string
  /** Rows that nobody wants to see unless asked for; null for none. */
  readonly isHidden: ((row: JsonObject) => boolean) | null
  readonly examples: string
}

interface Flags extends HttpFlags {
  readonly vhost?: string
  readonly json?: boolean
  readonly columns?: string
  readonly sort: string
  readonly all?: boolean
}

export function configureListing(command: Command, listing: Listing): void {
  command
    .option('--vhost <name>', 'only those of this vhost (all)')
    .option('--columns <names>', `with commas between, of: ${Object.keys(listing.columns).join(', ')}`)
    .option('--sort <column>', 'by this column; -COLUMN is the other way round', listing.sort)
    .option('--json', 'as a JSON array; without --columns all that the API says')
  if (listing.isHidden !== null) command.option('--all', 'also those that are there by themselves')
  addHttpOptions(command)
  command.addHelpText('after', listing.examples)
  command.action((flags: Flags) => run((context) => list(listing, flags, context)))
}

async function list(listing: Listing, flags: Flags, context: Run): Promise<ExitCode> {
  const columns = chosenColumns(listing, flags.columns)
  const sort = sortOf(listing, flags.sort)
  const path = flags.vhost === undefined ? listing.noun : pathInVhost(listing.noun, flags.vhost)
  const all = await new HttpApi(flags, context).list(path)
  const { isHidden } = listing
  const rows = (isHidden === null || flags.all === true ? all : all.filter((row) => !isHidden(row)))
    .map((row) => ({ row, key: cellAt(row, sort.path) }))
    .sort((a, b) => compareCells(a.key, b.key) * sort.sign)
    .map(({ row }) => row)
  const paths = columns.map((name) => listing.columns[name] ?? name)
  if (flags.json === true) {
    const objects =
      flags.columns === undefined
        ? rows
        : rows.map((row) =>
            Object.fromEntries(columns.map((name, at) => [name, valueAt(row, paths[at] ?? '') ?? null])),
          )
    context.printer.line(JSON.stringify(objects, null, 2))
    return ExitCode.done
  }
  if (rows.length === 0)
    context.printer.note(`no ${listing.noun}${flags.vhost === undefined ? '' : ` in '${flags.vhost}'`}`)
  else {
    const cells = rows.map((row) => paths.map((one) => cellAt(row, one)))
    const [head = '', ...lines] = tableLines(columns, cells)
    context.printer.write(`${[context.printer.bold(head), ...lines].join('\n')}\n`)
  }
  return ExitCode.done
}

/** RabbitMQ lists connections of a vhost elsewhere than all others. */
function pathInVhost(noun: string, vhost: string): string {
  const name = encodeURIComponent(vhost)
  return noun === 'connections' ? `vhosts/${name}/connections` : `${noun}/${name}`
}

function chosenColumns(listing: Listing, text: string | undefined): readonly string[] {
  if (text === undefined) return listing.shown
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  if (names.length === 0) throw misuse('--columns names no column; leave it out for the usual ones')
  for (const name of names) check('--columns', name, listing)
  return names
}

function sortOf(listing: Listing, text: string): { path: string; sign: 1 | -1 } {
  const name = text.replace(/^-/, '')
  check('--sort', name, listing)
  return { path: listing.columns[name] ?? name, sign: text.startsWith('-') ? -1 : 1 }
}

function check(option: string, name: string, { columns, noun }: Listing): void {
  if (Object.hasOwn(columns, name)) return
  const near = nearest(name, Object.keys(columns))
  const mend = near === null ? `there are ${Object.keys(columns).join(', ')}` : `did you mean ${near}?`
  throw misuse(`${option}: ${noun} have no column '${name}'; ${mend}`)
}

export function valueAt(row: JsonObject, path: string): unknown {
  let value: unknown = row
  for (const name of path.split('.')) value = isObject(value) ? value[name] : undefined
  return value
}

function cellAt(row: JsonObject, path: string): Cell {
  const value = valueAt(row, path)
  if (value === undefined || value === null) return null
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  if (isObject(value) && Object.keys(value).length === 0) return null
  return JSON.stringify(value)
}
