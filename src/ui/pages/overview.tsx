/** The broker at a glance: how fast messages come and go, how many wait, and whether anything is wrong. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { rate, short, visible, whole } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { useLiveRates } from '../core/live-rates.ts'
import { type Polled, usePoll } from '../core/poll.ts'
import { isWell, publishing } from '../core/publishing.ts'
import { linkTo, queryText } from '../core/route.ts'
import { type Details, type Range, rangeQuery, rateOf, type Stats } from '../core/samples.ts'
import { mayBe } from '../core/session.ts'
import { listPath } from '../core/vhost.ts'
import { Card, Chip, Facts, Head, Waiting } from '../parts/card.tsx'
import { DepthChart, messageCounts, RatesChart } from '../parts/chart.tsx'
import { DurabilityCard } from '../parts/durability.tsx'
import { NameLink } from '../parts/name.tsx'
import { NodeCard, type NodeData } from '../parts/node.tsx'
import { Sparkline } from '../parts/sparkline.tsx'
import { type Column, Table } from '../parts/table.tsx'

interface Totals extends Record<string, number | Details | undefined> {
  readonly messages?: number
  readonly messages_ready?: number
  readonly messages_unacknowledged?: number
}

interface OverviewData {
  readonly product_version: string
  readonly rabbitmq_version: string
  readonly cluster_name: string
  readonly node: string
  readonly message_stats: Stats
  readonly queue_totals: Totals
  readonly object_totals: Readonly<Record<string, number>>
  readonly listeners: readonly { protocol: string; ip_address: string; port: number }[]
}

const liveColumns =
  'message_stats,queue_totals,object_totals,product_version,rabbitmq_version,cluster_name,node,listeners'

export function Overview(): JSX.Element {
  const live = usePoll<OverviewData>(`/overview?columns=${liveColumns}`, { everyMs: 2_000 })
  const nodes = usePoll<readonly NodeData[]>(mayBe('monitoring') ? '/nodes' : null, { everyMs: 5_000 })
  return (
    <>
      <Head title={t('overview')} plain={t('overview')}>
        {live.data === null ? undefined : (
          <span class="muted">
            {visible(live.data.cluster_name)} · Warren {live.data.product_version}
          </span>
        )}
      </Head>
      {live.data === null ? <Waiting failure={live.failure} /> : <State data={live.data} />}
      <Tiles polled={live} />
      <Courses />
      <div class="cols">
        <Busiest queues={live.data?.object_totals['queues'] ?? 0} />
        <Things data={live.data} />
        {(nodes.data ?? []).map((node) => (
          <NodeCard key={node.name} node={node} />
        ))}
        {mayBe('monitoring') && <DurabilityCard />}
      </div>
    </>
  )
}

/** One sentence that says whether somebody has to do something. */
function State({ data }: { data: OverviewData }): JSX.Element | null {
  if (!isWell(publishing.value)) return null
  const waits = (data.queue_totals.messages_ready ?? 0) > 0 && (data.object_totals['consumers'] ?? 0) === 0
  return <p class={`banner ${waits ? 'warn' : 'good'}`}>{t(waits ? 'nobodyConsumes' : 'allWell')}</p>
}

const counted = ['publish', 'deliver_get', 'ack'] as const

const tiles: readonly (readonly [key: string, name: Key, colour: string, isRate: boolean])[] = [
  ['publish', 'published', 'in', true],
  ['deliver_get', 'delivered', 'out', true],
  ['ack', 'acknowledged', 'ack', true],
  ['ready', 'ready', 'ready', false],
  ['unacked', 'unacked', 'unacked', false],
]

function Tiles({ polled: { data, at } }: { polled: Polled<OverviewData> }): JSX.Element {
  const { messages_ready: ready = 0, messages_unacknowledged: unacked = 0 } = data?.queue_totals ?? {}
  const { rates, courses } = useLiveRates(at, data?.message_stats, counted, { ready, unacked })
  return (
    <section class="tiles" aria-label={t('now')}>
      {tiles.map(([key, name, colour, isRate]) => (
        <div class="tile" key={key}>
          <span class="what">
            <span class={`swatch c-${colour}`} aria-hidden="true" />
            {t(name)}
          </span>
          <span class="much" data-tile={key}>
            {isRate ? rate(rates[key] ?? 0) : short(rates[key] ?? 0)}
            {isRate && <small> {t('perSecond')}</small>}
          </span>
          <span class={`c-${colour}`}>
            <Sparkline of={courses[key] ?? []} />
          </span>
        </div>
      ))}
    </section>
  )
}

/** In the steps in which the broker keeps them: shorter ones would show the same sample twice, and then a leap. */
const ranges: Readonly<Record<string, Range & { readonly name: Key }>> = {
  '10m': { name: 'tenMinutes', age: 600, incr: 5 },
  '1h': { name: 'oneHour', age: 3_600, incr: 60 },
  '8h': { name: 'eightHours', age: 28_800, incr: 600 },
  '1d': { name: 'oneDay', age: 86_400, incr: 1_800 },
}
/** All that is kept of queues, exchanges and connections. */
export const tenMinutes: Range = { age: 600, incr: 5 }

const historyColumns = [
  ...messageCounts.map(([name]) => `message_stats.${name}_details.samples`),
  ...['messages_ready', 'messages_unacknowledged'].map((name) => `queue_totals.${name}_details.samples`),
].join()

function Courses(): JSX.Element {
  const { range, choice } = useRange()
  const query = queryText({ columns: historyColumns, ...rangeQuery(range) })
  const { data } = usePoll<OverviewData>(`/overview?${query}`, { everyMs: range.incr * 1_000 })
  return (
    <>
      {choice}
      <div class="cols">
        <RatesChart stats={data?.message_stats} age={range.age} />
        <DepthChart of={data?.queue_totals} age={range.age} />
      </div>
    </>
  )
}

/** How far charts reach back, and the choice of it. */
export function useRange(): { readonly range: Range; readonly choice: JSX.Element } {
  const [chosen, choose] = useState('10m')
  const choice = (
    <div class="row">
      <RangeChoice chosen={chosen} choose={choose} />
    </div>
  )
  return { range: ranges[chosen] ?? tenMinutes, choice }
}

function RangeChoice({ chosen, choose }: { chosen: string; choose: (range: string) => void }): JSX.Element {
  return (
    <label class="row muted">
      {t('lookBack')}
      <select value={chosen} onChange={({ currentTarget }) => choose(currentTarget.value)}>
        {Object.entries(ranges).map(([key, { name }]) => (
          <option key={key} value={key}>
            {t(name)}
          </option>
        ))}
      </select>
    </label>
  )
}

// ---------------------------------------------------------------- cards

interface BusyQueue {
  readonly name: string
  readonly vhost: string
  readonly messages: number
  readonly type: string
  readonly consumers: number
  readonly message_stats?: Stats
}

const busyColumns: readonly Column<BusyQueue>[] = [
  { head: 'queue', kind: 'name', cell: ({ vhost, name }) => <NameLink of={name} to={['queue', vhost, name]} /> },
  { head: 'messages', kind: 'n', cell: ({ messages }) => short(messages) },
  { head: 'inRate', kind: 'n', priority: 2, cell: ({ message_stats: stats }) => rate(rateOf(stats, 'publish')) },
  { head: 'outRate', kind: 'n', priority: 2, cell: ({ message_stats: stats }) => rate(rateOf(stats, 'deliver_get')) },
  {
    head: 'consumers',
    kind: 'n',
    cell: ({ type, consumers }) =>
      consumers === 0 && type !== 'stream' ? <Chip kind="warn">{t('nobody')}</Chip> : whole(consumers),
  },
]

/** To sort very many queues takes the broker a while; the longest change slowly. */
function Busiest({ queues }: { queues: number }): JSX.Element | null {
  const rates = 'message_stats.publish_details.rate,message_stats.deliver_get_details.rate'
  const columns = `name,vhost,type,messages,consumers,${rates}`
  const query = queryText({ page: 1, page_size: 5, sort: 'messages', sort_reverse: true, columns })
  const { data } = usePoll<{ items: readonly BusyQueue[] }>(queues === 0 ? null : `${listPath('/queues')}?${query}`, {
    everyMs: 5_000,
  })
  const waiting = (data?.items ?? []).filter(({ messages }) => messages > 0)
  return (
    <Card title="longest" more={<a href={linkTo(['queues'], { sort: 'messages', sort_reverse: true })}>{t('all')}</a>}>
      {waiting.length === 0 && <p class="muted">{t('nothingWaits')}</p>}
      {waiting.length > 0 && (
        <Table
          caption="longest"
          columns={busyColumns}
          rows={waiting}
          rowKey={({ vhost, name }) => `${vhost} ${name}`}
        />
      )}
    </Card>
  )
}

const things: readonly (readonly [total: string, name: Key, page: string])[] = [
  ['queues', 'queues', 'queues'],
  ['exchanges', 'exchanges', 'exchanges'],
  ['connections', 'connections', 'connections'],
  ['channels', 'channels', 'channels'],
  ['consumers', 'consumers', 'queues'],
]

function Things({ data }: { data: OverviewData | null }): JSX.Element {
  const listeners = data?.listeners ?? []
  return (
    <Card title="whatThereIs">
      <Facts
        of={[
          ...things.map(
            ([total, name, page]) =>
              [
                <a key={total} href={linkTo([page])}>
                  {t(name)}
                </a>,
                whole(data?.object_totals[total] ?? 0),
              ] as const,
          ),
          [
            t('listeners'),
            listeners.map(({ protocol, ip_address: host, port }) => (
              <div key={`${protocol} ${port}`}>
                {protocol} <span class="mono">{`${host}:${port}`}</span>
              </div>
            )),
          ],
        ]}
      />
    </Card>
  )
}
