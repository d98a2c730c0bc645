import { mkdirSync, writeFileSync } from 'node:fs'
import { type Options, parseOptions, usage } from './options.ts'
import { describeMachine, hasRealDisk, type Machine, showMachine } from './report/machine.ts'
import { Progress } from './report/progress.ts'
import { renderTable } from './report/table.ts'
import type { Row } from './row.ts'
import { chooseRows } from './scenarios.ts'
import { plannedSeconds, Session } from './session.ts'
import { RabbitMq } from './target/rabbitmq.ts'
import { RemoteSource, type TargetSource, WarrenSource } from './target/target.ts'

/**
 * `npm run bench` and `warren bench`: measures one broker, or two in turns, and prints a table. Exit code 0 when every
 * run was sound, 1 when one was not, 2 for wrong options, 130 after Ctrl-C. `command` is what people typed for it.
 */
export async function bench(args: readonly string[], command: string): Promise<number> {
  let options: Options | null
  let rows: readonly Row[]
  try {
    options = parseOptions(args)
    rows = options === null ? [] : chooseRows(options)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nTry --help.`)
    return 2
  }
  if (options === null) {
    console.log(usage(command))
    return 0
  }
  return await measure(options, rows)
}

async function measure(options: Options, rows: readonly Row[]): Promise<number> {
  mkdirSync(options.directory, { recursive: true })
  shortenSleeps()
  const machine = describeMachine(options.directory)
  console.log(showMachine(machine))
  if (!hasRealDisk(machine)) console.log('Note: a sync costs nothing on tmpfs; give --directory on a disk.')
  const calledOff = new AbortController()
  const stop = (): void => calledOff.abort(new Error('called off'))
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const rabbit = options.startsRabbitMq ? await RabbitMq.start(options.directory) : null
  const sources = makeSources(options, rabbit)
  const seconds = rows.reduce((sum, row) => sum + plannedSeconds(row, options), 0) * options.runs * sources.length
  const progress = new Progress(process.stdout, seconds)
  const session = new Session(options, sources, progress, calledOff.signal)
  try {
    await session.measure(rows)
  } finally {
    progress.clear()
    for (const source of sources) await source.close()
    await rabbit?.stop()
  }
  report(session, options, machine)
  if (calledOff.signal.aborted) return 130
  return session.recorded.some(({ result }) => result.problems.length > 0) ? 1 : 0
}

function makeSources(options: Options, rabbit: RabbitMq | null): TargetSource[] {
  const { directory, nodeArgs, serveArgs, url, name } = options
  const own = url === null ? new WarrenSource(name, { directory, nodeArgs, serveArgs }) : new RemoteSource(url, name)
  const rivalUrl = rabbit?.url ?? options.against
  return rivalUrl === null ? [own] : [own, new RemoteSource(rivalUrl, options.againstName)]
}

function report(session: Session, options: Options, machine: Machine): void {
  const summaries = session.summaries()
  if (summaries.length > 0) console.log(`\n${renderTable(summaries)}`)
  for (const { row, target, problems } of summaries) {
    for (const problem of problems) console.log(`(!) ${row}, ${target}: ${problem}`)
  }
  if (options.jsonPath === null) return
  const file = { machine, at: new Date().toISOString(), options, summaries, runs: session.recorded }
  writeFileSync(options.jsonPath, `${JSON.stringify(file, null, 2)}\n`)
}

/** Lets sleeps of some 50 µs last about that long (Linux rounds them up by as much); threads started later inherit it. */
function shortenSleeps(): void {
  try {
    writeFileSync('/proc/self/timerslack_ns', '1')
  } catch {
    // Not Linux, or not allowed: paced rows are a little coarser.
  }
}
