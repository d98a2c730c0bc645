import type { Share } from './load/crew.ts'
import type { ConsumeJob, PublishJob } from './load/jobs.ts'
import type { Topology } from './load/topology.ts'
import type { Row } from './row.ts'
import type { AmqpAddress } from './wire/amqp-url.ts'

/** Where the messages go. */
type Names = Pick<Topology, 'queues' | 'exchange'>

export interface JobOptions {
  readonly address: AmqpAddress
  readonly runId: number
  readonly frameBytesMax: number
  /** Threads for each side. */
  readonly threads: number
}

/** Publisher i sends to queue i, counted round, or to the exchange that reaches all of them. */
export function publishJobs(row: Row, topology: Names, options: JobOptions): PublishJob[] {
  const copies = row.isFanout ? row.queues : 1
  return Array.from({ length: row.publishers }, (_, publisher) => ({
    address: options.address,
    publisher,
    runId: options.runId,
    exchange: topology.exchange,
    routingKey: row.isFanout ? '' : (topology.queues[publisher % row.queues] ?? ''),
    isPersistent: row.isPersistent,
    bodyBytes: row.bodyBytes,
    frameBytesMax: options.frameBytesMax,
    pack: row.pack,
    confirmWindow: row.confirmWindow,
    // Two packs must fit, or nothing could ever be sent.
    leadMax: row.leadMax === 0 ? 0 : Math.max(row.leadMax, 2 * row.pack * copies * row.publishers),
    copies,
    rate: row.rate / row.publishers,
    isCoarselyPaced: false,
    messagesMax: row.kind === 'flow' ? 0 : shareOf(row.messages, row.publishers, publisher),
    property: row.held?.property ?? null,
  }))
}

/** Consumer j takes from every queue whose index is j, counted round, or from one of them when it has to share. */
export function consumeJobs(row: Row, topology: Names, options: JobOptions): ConsumeJob[] {
  return Array.from({ length: row.consumers }, (_, consumer) => {
    const own = topology.queues.filter((_, index) => index % row.consumers === consumer)
    const shared = topology.queues[consumer % row.queues] ?? ''
    return {
      address: options.address,
      consumer,
      runId: options.runId,
      frameBytesMax: options.frameBytesMax,
      queues: own.length > 0 ? own : [shared],
      bodyBytes: row.bodyBytes,
      publishers: row.publishers,
      isAlone: row.consumers <= row.queues,
      isInOrder: row.held?.isInOrder ?? true,
      ackEvery: row.ackEvery,
      prefetchCount: row.prefetchCount,
    }
  })
}

/** Publishers in threads of their own, consumers likewise. */
export function shares(publish: readonly PublishJob[], consume: readonly ConsumeJob[], threads: number): Share[] {
  const publishing = deal(publish, threads).map((jobs) => ({ publish: jobs, consume: [] }))
  const consuming = deal(consume, threads).map((jobs) => ({ publish: [], consume: jobs }))
  return [...publishing, ...consuming]
}

/** A light connection pair: 500 small messages a second, timed from when they are really sent. */
export function quietRow(row: Row): Row {
  return {
    ...row,
    name: 'quiet',
    kind: 'flow',
    held: null,
    bodyBytes: 32,
    isPersistent: false,
    isFanout: false,
    queues: 1,
    publishers: 1,
    consumers: 1,
    pack: 1,
    confirmWindow: 0,
    ackEvery: 0,
    leadMax: 0,
    rate: 500,
  }
}

let lastRunId = process.pid

/** Queue names and messages of two runs never mix, of two generators hardly. */
export function nextRunId(): number {
  lastRunId = (lastRunId + 1) & 0xffff
  return lastRunId
}

function deal<T>(items: readonly T[], hands: number): T[][] {
  const dealt = Array.from({ length: Math.min(hands, items.length) }, (): T[] => [])
  for (const [index, item] of items.entries()) dealt[index % dealt.length]?.push(item)
  return dealt
}

function shareOf(total: number, parts: number, part: number): number {
  return Math.floor(total / parts) + (part < total % parts ? 1 : 0)
}
