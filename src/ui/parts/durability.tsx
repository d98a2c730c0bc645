/** How safe messages are on this node: what is stored, how fast, and what the last start found. */
import type { JSX } from 'preact'
import { bytes, duration, moment, visible, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { now } from '../core/time.ts'
import { Card, Chip, type Fact, Facts } from './card.tsx'

interface Histogram {
  readonly mean: number
  readonly buckets: readonly { readonly up_to: number | null; readonly count: number }[]
}

interface Durability {
  readonly storage: 'memory' | 'files'
  readonly directory: string | null
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

export function DurabilityCard(): JSX.Element | null {
  const { data } = usePoll<Durability>('/durability')
  if (data === null) return null
  const isInMemory = data.storage === 'memory'
  return (
    <Card
      title="durability"
      more={<Chip kind={isInMemory ? 'warn' : 'good'}>{t(isInMemory ? 'inMemory' : 'syncedFirst')}</Chip>}
    >
      {isInMemory ? <p class="muted">{t('inMemoryText')}</p> : <Facts of={factsOf(data)} />}
    </Card>
  )
}

function factsOf(data: Durability): readonly Fact[] {
  const { last_commit_at: last, commit_seconds: seconds, commit_bytes: sizes, commits } = data
  return [
    [t('lastSync'), last === null ? '–' : t('ago', { time: duration(Math.max(0, now() - last)) })],
    [t('syncs'), whole(commits ?? 0)],
    [
      t('syncTime'),
      seconds === null ? '–' : t('middleAndWorst', { middle: shareOf(seconds, 0.5), worst: shareOf(seconds, 0.99) }),
    ],
    [t('batchSize'), bytes(sizes?.mean ?? 0)],
    [t('directory'), <span class="mono">{visible(data.directory || '–')}</span>],
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
