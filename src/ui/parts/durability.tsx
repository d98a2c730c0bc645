/** How safe messages are on each node: what is stored, how fast, and what the last start found. */
import type { JSX } from 'preact'
import { bytes, duration, moment, visible, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { now } from '../core/time.ts'
import { Card, Chip, type Fact, Facts } from './card.tsx'
import { Name } from './name.tsx'
import { type Column, Table } from './table.tsx'

interface Histogram {
  readonly mean: number
  readonly buckets: readonly { readonly up_to: number | null; readonly count: number }[]
}

interface Durability {
  readonly storage: 'memory' | 'files' | 'cluster'
  readonly last_commit_at: number | null
  readonly commits: number | null
  readonly commit_seconds: Histogram | null
  readonly commit_bytes: Histogram | null
  readonly opened: readonly {
    readonly log: string
    readonly at: number
    readonly was_closed: boolean
    readonly was_cut: boolean
    readonly copied_bytes: number
  }[]
}

/** What a node says of itself; of one that does not answer there is its name only. */
export interface NodeReport {
  readonly name: string
  readonly answers: boolean
  readonly is_live: boolean
  readonly alarms?: readonly string[]
  readonly durability?: Durability
  readonly is_current?: boolean
  readonly nats?: NatsReport
}

interface NatsReport {
  readonly is_healthy: boolean
  readonly progress_age_ms: number
  readonly problems: readonly string[]
  readonly servers: readonly { readonly name: string; readonly version: string | null }[]
}

/** Of all nodes. */
export function DurabilityCard(): JSX.Element | null {
  const { data } = usePoll<readonly NodeReport[]>('/warren/nodes')
  const [first, ...others] = data ?? []
  if (first === undefined) return null
  const kind = first.durability?.storage ?? 'cluster'
  const chip = (
    <Chip kind={kind === 'memory' ? 'warn' : 'good'}>
      {t(kind === 'memory' ? 'inMemory' : kind === 'files' ? 'syncedFirst' : 'majorityFirst')}
    </Chip>
  )
  return (
    <Card title="durability" more={chip}>
      {others.length > 0 ? (
        <Table caption="durability" columns={columns} rows={data ?? []} rowKey={({ name }) => name} />
      ) : kind === 'memory' || first.durability === undefined ? (
        <p class="muted">{t('inMemoryText')}</p>
      ) : (
        <Facts of={factsOf(first.durability)} />
      )}
    </Card>
  )
}

/** Nodes of a cluster store together; each says how that looks from where it is. */
const columns: readonly Column<NodeReport>[] = [
  { head: 'node', kind: 'name', cell: ({ name }) => <Name of={name} /> },
  {
    head: 'lastProgress',
    cell: ({ answers, nats }) =>
      answers ? t('ago', { time: duration(nats?.progress_age_ms ?? 0) }) : <Chip kind="bad">{t('noAnswerShort')}</Chip>,
  },
  { head: 'store', cell: ({ nats }) => <StoreChip of={nats} /> },
]

export function StoreChip({ of }: { of: NatsReport | undefined }): JSX.Element {
  if (of === undefined) return <>–</>
  return <Chip kind={of.is_healthy ? 'good' : 'bad'}>{t(of.is_healthy ? 'healthy' : 'alarm')}</Chip>
}

function lastSync(last: number | null): string {
  return last === null ? '–' : t('ago', { time: duration(Math.max(0, now() - last)) })
}

function syncTime(seconds: Histogram | null): string {
  if (seconds === null) return '–'
  return t('middleAndWorst', { middle: shareOf(seconds, 0.5), worst: shareOf(seconds, 0.99) })
}

function factsOf(data: Durability): readonly Fact[] {
  const { last_commit_at: last, commit_seconds: seconds, commit_bytes: sizes, commits } = data
  return [
    [t('lastSync'), lastSync(last)],
    [t('syncs'), whole(commits ?? 0)],
    [t('syncTime'), syncTime(seconds)],
    [t('batchSize'), bytes(sizes?.mean ?? 0)],
    ...data.opened.map(
      ({ log, at, was_closed: wasClosed, was_cut: wasCut, copied_bytes: kept }): Fact => [
        <>
          {t('lastStart')} <span class="mono">{visible(log)}</span>
        </>,
        <>
          {moment(at)} ·{' '}
          {wasCut ? (
            <span class="warn">{t('wasCut', { kept: bytes(kept) })}</span>
          ) : (
            t(wasClosed ? 'wasClosed' : 'wasNotClosed')
          )}
        </>,
      ],
    ),
  ]
}

/** The bound that this share of all stays within. */
function shareOf({ buckets }: Histogram, share: number): string {
  const all = buckets.reduce((sum, { count }) => sum + count, 0)
  let seen = 0
  for (const { up_to: bound, count } of buckets) {
    seen += count
    if (all > 0 && seen >= all * share) return bound === null ? '∞' : `≤ ${duration(bound * 1_000)}`
  }
  return '–'
}
