/** `warren cluster status | drain | remove | name`: the cluster as one of its nodes sees it, by the management API. */
import type { Command } from 'commander'
import { CommandFailure, misuse } from '../client/command-failure.ts'
import { addHttpOptions, type HttpFlags } from '../client/connection-options.ts'
import { HttpApi, isObject, type JsonObject } from '../client/http-api.ts'
import { seconds } from '../client/numbers.ts'
import { plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { type Cell, safe, tableLines } from '../client/table.ts'
import { ExitCode } from '../exit-code.ts'

interface StatusFlags extends HttpFlags {
  readonly json?: boolean
}

interface DrainFlags extends HttpFlags {
  readonly undo?: boolean
  /** Seconds. */
  readonly wait: number
}

const path = 'warren/cluster'
/** How often a drain looks whether it is done, in milliseconds. */
const lookMs = 500

export function configure(command: Command): void {
  const status = command
    .command('status')
    .description('nodes, shards with their owners, and NATS')
    .option('--json', 'all that the API says')
    .action((flags: StatusFlags) => run((context) => show(flags, context)))
  const drain = command
    .command('drain')
    .description('let the node of --http give its shards away, before it is stopped')
    .option('--undo', 'let it take shards again')
    .option('--wait <seconds>', 'how long to wait until it has none; 0 does not wait', seconds(0, 3600), 60)
    .action((flags: DrainFlags) => run((context) => drainNode(flags, context)))
  const remove = command
    .command('remove')
    .description('forget a node that was stopped for good')
    .argument('<node>', 'its name')
    .action((node: string, flags: HttpFlags) => run((context) => removeNode(node, flags, context)))
  const name = command
    .command('name')
    .description('print what the broker is called, or call it otherwise; a node on its own has a name too')
    .argument('[name]', 'the new name, 1 to 255 bytes; only shown: the option cluster-name stays')
    .action((given: string | undefined, flags: HttpFlags) => run((context) => nameCluster(given, flags, context)))
  for (const one of [status, drain, remove, name]) addHttpOptions(one).addHelpText('after', examples)
  command.addHelpText('after', examples)
}

const examples = `
Examples:
  warren cluster status --http http://n1:15672
  warren cluster drain --http http://admin:secret@n2:15672
  warren cluster remove n4 --http http://admin:secret@n1:15672
  warren cluster name 'three hares' --http http://admin:secret@n1:15672

status needs the tag monitoring and ends with 1 when something is wrong; the others need administrator, name only to change it.`

// ---------------------------------------------------------------- status

async function show(flags: StatusFlags, context: Run): Promise<ExitCode> {
  const report = await reportOf(flags, context)
  if (flags.json === true) context.printer.line(JSON.stringify(report, null, 2))
  else if (report['is_cluster'] !== true) context.printer.line(`${report['node']} is a single node`)
  else context.printer.write(`${statusLines(report, context).join('\n')}\n`)
  return report['is_cluster'] !== true || troubles(report).length === 0 ? ExitCode.done : ExitCode.failed
}

async function reportOf(flags: HttpFlags, context: Run): Promise<JsonObject> {
  const report = await new HttpApi(flags, context).get(path)
  if (isObject(report)) return report
  throw misuse('the answer is no report on a cluster; give --http the address of Warren')
}

function statusLines(report: JsonObject, { printer }: Run): string[] {
  const nodes = objects(report['nodes'])
  const shards = objects(report['shards'])
  const servers = objects(object(report['nats'])['servers'])
  const names = nodes.map(({ name }) => text(name))
  const [nodeHead = '', ...nodeRows] = tableLines(
    ['node', 'state', 'version', 'address', 'shards', 'NATS'],
    nodes.map((node) => nodeCells(node, servers)),
  )
  const [shardHead = '', ...shardRows] = tableLines(
    ['shard', 'owner', 'standby', 'epoch', ...names.map((name) => `log on ${name}`)],
    shards.map((shard) => shardCells(shard, names)),
  )
  const found = troubles(report)
  return [
    `cluster ${text(report['name'])}${calledOf(report)}, as ${text(report['node'])} sees it`,
    '',
    printer.bold(nodeHead),
    ...nodeRows,
    '',
    printer.bold(shardHead),
    ...shardRows,
    '',
    ...notes(nodes),
    ...(found.length === 0 ? [`all is well; last write to NATS ${ageOf(report)}`] : found),
  ]
}

/** The name it is shown by, where that is another than it is configured with. */
function calledOf({ name, cluster_name: shown }: JsonObject): string {
  return shown === undefined || shown === name ? '' : `, called '${safe(text(shown))}'`
}

function nodeCells(node: JsonObject, servers: readonly JsonObject[]): Cell[] {
  const server = servers.find(({ name }) => name === node['name'])
  const nats = server === undefined ? null : text(server['version'] ?? 'no answer')
  const owns = Array.isArray(node['owns']) ? node['owns'].length : 0
  const { name, state, version, host, port } = node
  return [text(name), text(state), text(version), `${text(host)}:${text(port)}`, owns, nats]
}

function shardCells(shard: JsonObject, names: readonly string[]): Cell[] {
  const positions = object(shard['positions'])
  const { name, owner, standby, epoch } = shard
  const logs = names.map((node) => {
    const position = positions[node]
    return typeof position === 'number' ? position : null
  })
  return [text(name), text(owner ?? 'nobody'), text(standby ?? ''), Number(epoch), ...logs]
}

/** What is not wrong and may surprise. */
function notes(nodes: readonly JsonObject[]): string[] {
  const unsteady = nodes.filter((node) => node['is_steady'] === false)
  return unsteady.map(
    ({ name }) => `${text(name)} has come and gone lately; it is given its part when it stays, in 32 s at most`,
  )
}

/** What is wrong, as sentences. */
function troubles(report: JsonObject): string[] {
  const nats = object(report['nats'])
  const problems = Array.isArray(nats['problems']) ? nats['problems'].map(text) : []
  const missing = objects(report['missing_links'])
  const orphans = objects(report['shards']).filter(({ owner }) => owner === null)
  const found = problems.map((problem) => `problem: ${problem}`)
  if (report['is_current'] !== true)
    found.push(`problem: ${text(report['node'])} cannot reach a majority; it serves nothing`)
  for (const { from, to, host, port } of missing) {
    const mend = `see that ${text(from)} reaches TCP ${text(host)}:${text(port)}`
    found.push(`problem: ${text(from)} and ${text(to)} have had no lasting link to each other; ${mend}`)
  }
  if (orphans.length > 0) {
    found.push(`problem: ${orphans.map(({ name }) => text(name)).join(', ')} have no owner; see the logs of the nodes`)
  }
  if (problems.length === 0 && nats['is_healthy'] !== true) {
    found.push(`problem: nothing was stored by a majority of NATS servers ${ageOf(report)}; look at them`)
  }
  return found
}

function ageOf(report: JsonObject): string {
  return `${(Number(object(report['nats'])['progress_age_ms'] ?? 0) / 1000).toFixed(1)} s ago`
}

// ---------------------------------------------------------------- drain and remove

async function drainNode(flags: DrainFlags, context: Run): Promise<ExitCode> {
  const { printer } = context
  const isDraining = flags.undo !== true
  await new HttpApi(flags, context).put(`${path}/drain`, { draining: isDraining })
  if (!isDraining || flags.wait === 0) {
    printer.line(isDraining ? 'the node gives its shards away' : 'the node takes shards again')
    return ExitCode.done
  }
  const { name, left } = await drained(flags, context)
  if (left === 0) {
    printer.line(`${name} owns no shard any more and can be stopped`)
    return ExitCode.done
  }
  const mend = 'another node must be there to take them; see `warren cluster status`'
  throw new CommandFailure(
    ExitCode.failed,
    `${name} still owns ${plural(left, 'shard')} after ${flags.wait} s; ${mend}`,
  )
}

/** Waits until the node owns nothing; `left` counts what it owns when the time is over. */
async function drained(flags: DrainFlags, context: Run): Promise<{ name: string; left: number }> {
  const { clock, stop } = context
  const end = clock.monotonic() + flags.wait * 1000
  for (;;) {
    const report = await reportOf(flags, context)
    const name = text(report['node'])
    const node = objects(report['nodes']).find((one) => one['name'] === name)
    const left = Array.isArray(node?.['owns']) ? node['owns'].length : 0
    if (left === 0 || clock.monotonic() >= end || stop.isMade) return { name, left }
    await stop.pause(lookMs, clock)
  }
}

async function removeNode(node: string, flags: HttpFlags, context: Run): Promise<ExitCode> {
  await new HttpApi(flags, context).delete(`${path}/nodes/${encodeURIComponent(node)}`)
  context.printer.line(`${node} does not count for a majority any more; its copies are made on the other nodes`)
  return ExitCode.done
}

async function nameCluster(given: string | undefined, flags: HttpFlags, context: Run): Promise<ExitCode> {
  const api = new HttpApi(flags, context)
  if (given !== undefined) await api.put('cluster-name', { name: given })
  const answer = object(await api.get('cluster-name'))
  context.printer.line(safe(text(answer['name'])))
  return ExitCode.done
}

// ---------------------------------------------------------------- JSON

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}

function object(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : String(value)
}
