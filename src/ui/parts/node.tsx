/** One node: whether it runs, and how much it has left of what it needs. */
import type { JSX } from 'preact'
import { path } from '../core/api.ts'
import { bytes, duration, rate, visible, whole } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { type Range, rateOf, type Stats } from '../core/samples.ts'
import type { AlarmedNode } from './alarms.tsx'
import { Card, Chip, type Fact, Facts } from './card.tsx'
import { LevelsChart } from './chart.tsx'

/** Of a node that does not run there is nothing but its name. */
export interface NodeData extends AlarmedNode {
  readonly running: boolean
  readonly uptime: number
  readonly os_pid: string
  readonly fd_used: number
  readonly fd_total: number
  readonly sockets_used: number
  readonly sockets_total: number
  readonly processors: number
  readonly io_read_count?: number
  readonly io_read_avg_time?: number
  readonly io_write_count?: number
  readonly io_write_avg_time?: number
}

/** `more` stands below what every such card says. */
export function NodeCard({ node, more = [] }: { node: NodeData; more?: readonly Fact[] }): JSX.Element {
  if (!node.running) {
    return (
      <Card title="node" more={<Chip kind="bad">{t('noAnswerShort')}</Chip>}>
        <Facts of={[[t('name'), visible(node.name)]]} />
      </Card>
    )
  }
  const hasAlarm = node.mem_alarm || node.disk_free_alarm
  return (
    <Card title="node" more={<Chip kind={hasAlarm ? 'bad' : 'good'}>{t(hasAlarm ? 'alarm' : 'running')}</Chip>}>
      <Facts
        of={[
          [t('name'), visible(node.name)],
          [t('uptime'), duration(node.uptime)],
          used('memory', { used: node.mem_used, limit: node.mem_limit, show: bytes, isAlarm: node.mem_alarm }),
          [
            t('disk'),
            node.disk_free === undefined
              ? t('diskLimit', { limit: bytes(node.disk_free_limit) })
              : t('diskFree', { free: bytes(node.disk_free), limit: bytes(node.disk_free_limit) }),
          ],
          used('descriptors', { used: node.fd_used, limit: node.fd_total, show: whole }),
          used('connections', { used: node.sockets_used, limit: node.sockets_total, show: whole }),
          [t('processId'), node.os_pid],
          ...more,
        ]}
      />
    </Card>
  )
}

interface Used {
  readonly used: number
  readonly limit: number
  readonly show: (value: number) => string
  readonly isAlarm?: boolean
}

/** From here on the rest is soon used up. */
const muchShare = 0.9

function used(name: Key, { used: now, limit, show, isAlarm }: Used): Fact {
  const share = Math.min(1, now / Math.max(1, limit))
  return [
    t(name),
    <>
      {t('ofLimit', { used: show(now), limit: show(limit) })}
      <div class={`meter ${(isAlarm ?? share >= muchShare) ? 'bad' : ''}`} aria-hidden="true">
        <div style={{ width: `${share * 100}%` }} />
      </div>
    </>,
  ]
}

// ---------------------------------------------------------------- more of it

interface MemoryData {
  readonly memory: {
    readonly total: { readonly rss: number }
    readonly heap: number
    readonly binary: number
  }
}

const churns: readonly (readonly [things: Key, name: string])[] = [
  ['connections', 'connection'],
  ['channels', 'channel'],
]

/** One node with what its memory is made of and how that went, what it did on its disk, and how many came and went. */
export function NodeCourse({ node, range }: { node: NodeData; range: Range }): JSX.Element {
  const { age, incr } = range
  const at = `/nodes${path(node.name)}`
  const query = `?node_stats_age=${age}&node_stats_incr=${incr}`
  const { data } = usePoll<NodeData & Stats>(node.running ? at + query : null)
  const parts = usePoll<MemoryData>(node.running ? `${at}/memory` : null).data?.memory
  const more: readonly Fact[] = [
    [t('processors'), whole(node.processors)],
    ...(parts === undefined ? [] : partsOf(parts)),
    ...diskOf(node),
    ...churns.map(([things, name]): Fact => [t('sinceStart', { things: t(things) }), churnOf(data ?? {}, name)]),
  ]
  return (
    <div class="cols">
      <NodeCard node={node} more={more} />
      {node.running && (
        <LevelsChart title="memory" stats={data ?? undefined} age={age} counts={memoryLine} show={bytes} />
      )}
    </div>
  )
}

const memoryLine = [['mem_used', 'memory', 'ack']] as const

function partsOf({ heap, binary, total }: MemoryData['memory']): readonly Fact[] {
  return [
    [t('memoryHeap'), bytes(heap)],
    [t('memoryBuffers'), bytes(binary)],
    [t('memoryRest'), bytes(Math.max(0, total.rss - heap - binary))],
  ]
}

/** How often, and how long one took on average. */
function diskOf(node: NodeData): readonly Fact[] {
  const fact = (name: Key, count: number | undefined, ms = 0): readonly Fact[] =>
    count === undefined ? [] : [[t(name), `${whole(count)} · ${ms.toFixed(2)} ms`]]
  return [
    ...fact('diskReads', node.io_read_count, node.io_read_avg_time),
    ...fact('diskWrites', node.io_write_count, node.io_write_avg_time),
  ]
}

function churnOf(stats: Stats, name: string): string {
  const [opened, closed] = [`${name}_created`, `${name}_closed`]
  const all = (key: string): string =>
    `${whole(Number(stats[key] ?? 0))} (${rate(rateOf(stats, key))}${t('perSecond')})`
  return t('churn', { opened: all(opened), closed: all(closed) })
}
