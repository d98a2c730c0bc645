/**
 * `npm run bench:cluster`: what a cluster of nodes on this machine does, beside three nodes of Debian's RabbitMQ with quorum
 * queues, in turns. Every process is its own, and ended with it. Exit code 0 when every run was sound, 1 when one was
 * not, 2 for wrong options, 130 after Ctrl-C.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { type ClusterResult, type Place, places, runCluster } from './cluster/cluster-run.ts'
import type { ClusterTarget } from './cluster/cluster-target.ts'
import { RabbitMqCluster } from './cluster/rabbitmq-cluster.ts'
import { WarrenCluster } from './cluster/warren-cluster.ts'
import { parseCount } from './options.ts'
import { formatCount, formatMs, formatSpread } from './report/format.ts'
import { describeMachine, showMachine } from './report/machine.ts'
import type { Row } from './row.ts'
import { scenarios } from './scenarios.ts'
import type { Percentiles } from './stats/histogram.ts'
import { type Spread, spread } from './stats/spread.ts'

const usage = `npm run bench:cluster -- [options]

1 KiB persistent messages with confirms over a cluster on this machine, 10 publishers, 10 consumers, 10 queues.

  --nodes LIST      sizes of clusters, with commas between (3)    --shards LIST     numbers of shards (16)
  --place LIST      where clients connect: right (the node that serves their queue), wrong (another one),
                    crossed (publishers and consumers each to another one) (right)
  --rate N          messages a second over all publishers, each with its intended time; 0: as many as possible (0)
  --seconds N       measured time of a run (10)                   --warm-up N       before it (3)
  --runs N          runs of each, of which the median counts (3)
  --queues N        with as many publishers and consumers (10)    --window N        unconfirmed publishes of each (1000)
  --pack N          messages per send (64)                        --size N          body bytes (1024)
  --rabbitmq        beside three nodes of Debian's RabbitMQ, with quorum queues
  --no-warren       only these
  --directory DIR   where temporary directories are made (the system's); must be a real disk
  --node-arg ARG    for the Node of each node; may be repeated
  --json FILE       all figures of all runs`

interface Options {
  readonly nodes: readonly number[]
  readonly shards: readonly number[]
  readonly places: readonly Place[]
  readonly row: Row
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly runs: number
  readonly hasRival: boolean
  readonly hasWarren: boolean
  readonly directory: string
  readonly nodeArgs: readonly string[]
  readonly jsonPath: string | null
}

interface Recorded {
  readonly target: string
  readonly place: Place
  readonly run: number
  readonly result: ClusterResult
}

function readOptions(args: readonly string[]): Options | null {
  const one = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      nodes: one,
      shards: one,
      place: one,
      rate: one,
      seconds: one,
      'warm-up': one,
      runs: one,
      queues: one,
      window: one,
      pack: one,
      size: one,
      rabbitmq: flag,
      'no-warren': flag,
      directory: one,
      'node-arg': { type: 'string', multiple: true },
      json: one,
      help: flag,
    },
  })
  if (values.help === true) return null
  const count = (name: keyof typeof values, standard: number, min: number, max: number): number => {
    const value = values[name]
    return typeof value === 'string' ? parseCount(name, value, min, max) : standard
  }
  const counts = (name: 'nodes' | 'shards', standard: number, max: number): number[] =>
    (values[name] ?? String(standard)).split(',').map((text) => parseCount(name, text, 1, max))
  const queues = count('queues', 10, 1, 1_000)
  const rate = count('rate', 0, 0, 1e6)
  const [base] = scenarios['queues-10x10'] as readonly [Row]
  const paced = rate > 0 ? { rate, pack: 1, leadMax: 0, ackEvery: 10 } : {}
  const row: Row = {
    ...base,
    ...paced,
    queues,
    publishers: queues,
    consumers: queues,
    bodyBytes: count('size', 1024, 64, 16e6),
    confirmWindow: count('window', 1000, 1, 1e6),
    ...(values.pack === undefined ? {} : { pack: count('pack', 64, 1, 10_000) }),
  }
  return {
    nodes: counts('nodes', 3, 9),
    shards: counts('shards', 16, 256),
    places: (values.place ?? 'right').split(',').map(placeNamed),
    row,
    seconds: count('seconds', 10, 1, 3600),
    warmUpSeconds: count('warm-up', 3, 0, 600),
    runs: count('runs', 3, 1, 100),
    hasRival: values.rabbitmq === true,
    hasWarren: values['no-warren'] !== true,
    directory: values.directory ?? tmpdir(),
    nodeArgs: values['node-arg'] ?? [],
    jsonPath: values.json ?? null,
  }
}

function placeNamed(text: string): Place {
  const place = places.find((one) => one === text)
  if (place === undefined) throw new Error(`--place wants ${places.join(', ')}, not '${text}'`)
  return place
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options | null
  try {
    options = readOptions(args)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nTry --help.`)
    return 2
  }
  if (options === null) {
    console.log(usage)
    return 0
  }
  mkdirSync(options.directory, { recursive: true })
  const machine = describeMachine(options.directory)
  console.log(showMachine(machine))
  const calledOff = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => calledOff.abort(new Error('called off')))
  }
  const recorded: Recorded[] = []
  let isSound = true
  // Two brokers at once would disturb each other even while idle, so of the rival every turn is a start of its own.
  for (let run = 1; run <= options.runs && !calledOff.signal.aborted; run++) {
    for (const start of starts(options)) {
      if (calledOff.signal.aborted) break
      isSound = (await turn(start, run, options, calledOff.signal, recorded)) && isSound
    }
  }
  console.log(`\n${table(recorded)}`)
  if (options.jsonPath !== null)
    writeFileSync(options.jsonPath, `${JSON.stringify({ machine, recorded }, toJson, 2)}\n`)
  return calledOff.signal.aborted ? 130 : isSound ? 0 : 1
}

type Start = () => Promise<ClusterTarget>

function starts({ nodes, shards, nodeArgs, directory, hasRival, hasWarren }: Options): Start[] {
  const own = nodes.flatMap((count) =>
    shards.map(
      (shardCount): Start =>
        () =>
          WarrenCluster.start({ directory, nodes: count, shards: shardCount, nodeArgs }),
    ),
  )
  return [...(hasWarren ? own : []), ...(hasRival ? [() => RabbitMqCluster.start(directory, 3)] : [])]
}

/** One start, measured at all places. False: something was not as it should be. */
async function turn(start: Start, run: number, options: Options, signal: AbortSignal, recorded: Recorded[]) {
  let target: ClusterTarget | null = null
  try {
    target = await start()
    let isSound = true
    for (const place of options.places) {
      const { row, seconds, warmUpSeconds } = options
      const result = await runCluster(target, { row, place, seconds, warmUpSeconds, signal, report: () => {} })
      recorded.push({ target: target.name, place, run, result })
      console.log(`${target.name} · ${place} · run ${run}/${options.runs}: ${describe(result)}`)
      isSound &&= result.problems.length === 0
    }
    return isSound
  } catch (error) {
    if (!signal.aborted) {
      const words = target?.lastWords ?? ''
      console.error(`(!) NOT MEASURED: ${error instanceof Error ? error.message : error}\n${words}`)
    }
    return false
  } finally {
    await target?.close()
  }
}

function describe({ perSecond, confirm, micros, generatorMicros, problems }: ClusterResult): string {
  const parts = [...micros].map(([part, cpu]) => `${part} ${cpu.toFixed(1)}`)
  const costs = `µs/message: ${parts.join(', ')}, generator ${generatorMicros.toFixed(1)}`
  const faults = problems.map((problem) => `; PROBLEM: ${problem}`).join('')
  return `${formatCount(perSecond)}/s, confirms ${times(confirm)} ms, ${costs}${faults}`
}

function times(latency: Percentiles | null): string {
  return latency === null ? '–' : `${formatMs(latency.p50)} / ${formatMs(latency.p99)}`
}

/** Runs with problems do not count. */
function table(recorded: readonly Recorded[]): string {
  const head = [
    '| cluster | clients at | messages/s | confirm ms p50 / p99 | brokers µs/message | nats-servers | all |',
    '|---|---|---:|---:|---:|---:|---:|',
  ]
  const keys = new Map(recorded.map(({ target, place }) => [`${target}\n${place}`, { target, place }]))
  const rows = [...keys.values()].map(({ target, place }) => {
    const sound = recorded
      .filter((one) => one.target === target && one.place === place && one.result.problems.length === 0)
      .map(({ result }) => result)
    const over = (pick: (result: ClusterResult) => number): Spread | null => spread(sound.map(pick))
    const cpu = (part: string): string =>
      formatSpread(
        sound.some(({ micros }) => micros.has(part)) ? over(({ micros }) => micros.get(part) ?? 0) : null,
        one,
      )
    const all = over(({ micros }) => [...micros.values()].reduce((sum, each) => sum + each, 0))
    const p50 = over(({ confirm }) => confirm?.p50 ?? 0)
    const p99 = over(({ confirm }) => confirm?.p99 ?? 0)
    const latency = p50 === null || p99 === null ? '–' : `${formatMs(p50.median)} / ${formatMs(p99.median)}`
    const rate = formatSpread(
      over(({ perSecond }) => perSecond),
      formatCount,
    )
    return `| ${target} | ${place} | ${rate} | ${latency} | ${cpu('brokers')} | ${cpu('nats-servers')} | ${formatSpread(all, one)} |`
  })
  return [...head, ...rows].join('\n')
}

function one(value: number): string {
  return value.toFixed(1)
}

function toJson(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value
}

process.exitCode = await main(process.argv.slice(2))
