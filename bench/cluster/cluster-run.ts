import { Crew } from '../load/crew.ts'
import { monotonicMs } from '../load/monotonic-time.ts'
import type { Row } from '../row.ts'
import { consumeJobs, nextRunId, publishJobs, shares } from '../row-jobs.ts'
import { findFaults } from '../run-result.ts'
import type { Percentiles } from '../stats/histogram.ts'
import { Watch } from '../watch.ts'
import type { AmqpAddress } from '../wire/amqp-url.ts'
import * as frames from '../wire/method-frames.ts'
import { MethodId } from '../wire/method-ids.ts'
import { RawConnection } from '../wire/raw-connection.ts'
import type { ClusterTarget } from './cluster-target.ts'
import { cpuSeconds } from './cpu-time.ts'

/**
 * To which node the clients of a queue connect: the one that serves it (`right`), the one after it (`wrong`), publishers to
 * the one after it and consumers to the one after that (`crossed`).
 */
export const places = ['right', 'wrong', 'crossed'] as const
export type Place = (typeof places)[number]

export interface ClusterRunOptions {
  readonly row: Row
  readonly place: Place
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly signal: AbortSignal
  report(text: string): void
}

export interface ClusterResult {
  readonly perSecond: number
  readonly confirm: Percentiles | null
  readonly deliver: Percentiles | null
  /** CPU seconds of each part per million messages delivered, or microseconds per message. */
  readonly micros: ReadonlyMap<string, number>
  readonly generatorMicros: number
  readonly problems: readonly string[]
}

const frameBytesMax = 131_072

/** Publishes and consumes at once over all queues, measures for a time, waits until all has come, and checks it. */
export async function runCluster(target: ClusterTarget, options: ClusterRunOptions): Promise<ClusterResult> {
  const runId = nextRunId()
  const queues = chooseQueues(target, options.row.queues, runId)
  const homes = queues.map((queue, index) => target.homeOf(queue, index % target.nodes.length))
  await declare(target, queues, homes)
  try {
    return await measured(target, { ...options, queues, homes, runId })
  } finally {
    // A broker that has died takes its queues along; the run's own error says more.
    await remove(target, queues).catch(() => {})
  }
}

/** Names of which as many are served by one node as by another, and as many by each shard, as far as that goes. */
function chooseQueues(target: ClusterTarget, count: number, runId: number): string[] {
  const names: string[] = []
  const taken = new Map<string, number>()
  for (let attempt = 0; names.length < count; attempt++) {
    const name = `bench-${runId.toString(16)}-${attempt}`
    const place = target.placeOf(name)
    const least = Math.floor(names.length / target.places)
    if (place !== null && (taken.get(place) ?? 0) > least) continue
    if (place !== null) taken.set(place, (taken.get(place) ?? 0) + 1)
    names.push(name)
  }
  return names
}

interface Planned extends ClusterRunOptions {
  readonly queues: readonly string[]
  readonly homes: readonly number[]
  readonly runId: number
}

async function measured(target: ClusterTarget, plan: Planned): Promise<ClusterResult> {
  const { seconds, warmUpSeconds, signal, report } = plan
  const crew = await Crew.start(jobs(target, plan))
  const { board } = crew
  const watch = new Watch(signal, report)
  try {
    await watch.wait(crew.order('consume', 'consuming'), [crew])
    let isPublished = false
    const end = (): void => {
      isPublished = true
    }
    crew.order('publish', 'published').then(end, end)
    await watch.sleep(warmUpSeconds, [crew])
    const before = look(target, board.delivered())
    board.measuredFrom = monotonicMs()
    await watch.sleep(seconds, [crew])
    const after = look(target, board.delivered())
    board.measuredUntil = monotonicMs()
    board.stop()
    await watch.until(
      () => isPublished && board.delivered() >= board.sent(),
      () => board.confirmed() + board.delivered(),
      [crew],
    )
    const outcome = await watch.wait(crew.finish(), [crew])
    const faults = findFaults({ due: board.sent(), came: board.delivered(), copies: 1 }, outcome)
    const messages = after.delivered - before.delivered
    const per = (cpu: number): number => (messages === 0 ? 0 : (cpu * 1e6) / messages)
    return {
      perSecond: (messages * 1000) / (after.at - before.at),
      confirm: outcome.confirmLatency.percentiles(),
      deliver: outcome.deliverLatency.percentiles(),
      micros: new Map([...after.cpu].map(([part, cpu]) => [part, per(cpu - (before.cpu.get(part) ?? 0))])),
      generatorMicros: per(after.generator - before.generator),
      problems: [...outcome.problems, ...faults],
    }
  } finally {
    await crew.end()
  }
}

function look(target: ClusterTarget, delivered: number) {
  const { user, system } = process.cpuUsage()
  return { at: monotonicMs(), delivered, cpu: cpuSeconds(target.parts), generator: (user + system) / 1e6 }
}

/** Publisher i sends to queue i and consumer i takes from it, counted round. */
function jobs({ nodes }: ClusterTarget, { row, queues, homes, place, runId }: Planned) {
  const topology = { queues, exchange: '' }
  const [first] = nodes as readonly [AmqpAddress]
  const common = { address: first, runId, frameBytesMax, threads: 1 }
  const at = (queue: number, away: number): AmqpAddress => nodes[((homes[queue] ?? 0) + away) % nodes.length] ?? first
  const away = { right: [0, 0], wrong: [1, 1], crossed: [1, 2] }[place] as [number, number]
  const publish = publishJobs(row, topology, common).map((job) => ({
    ...job,
    address: at(job.publisher % row.queues, away[0]),
  }))
  const consume = consumeJobs(row, topology, common).map((job) => ({
    ...job,
    address: at(job.consumer % row.queues, away[1]),
  }))
  return shares(publish, consume, 1)
}

async function declare(target: ClusterTarget, queues: readonly string[], homes: readonly number[]): Promise<void> {
  for (const [node, address] of target.nodes.entries()) {
    await onConnection(address, async (connection) => {
      for (const queue of queues.filter((_, index) => homes[index] === node)) {
        const frame = frames.queueDeclare(connection.channel, queue, true, target.queueArguments)
        await connection.call(frame, MethodId.QueueDeclareOk)
      }
    })
  }
}

async function remove({ nodes }: ClusterTarget, queues: readonly string[]): Promise<void> {
  const [address] = nodes
  if (address === undefined) return
  await onConnection(address, async (connection) => {
    for (const queue of queues) {
      await connection.call(frames.queueDelete(connection.channel, queue), MethodId.QueueDeleteOk)
    }
  })
}

async function onConnection(address: AmqpAddress, work: (connection: RawConnection) => Promise<void>): Promise<void> {
  const connection = await RawConnection.open(address, { name: 'bench control', frameBytesMax })
  try {
    await work(connection)
  } finally {
    await connection.close()
  }
}
