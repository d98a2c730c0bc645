/** One queue: how it does, where its messages come from and go to, what is in it, and what can be done with it. */
import type { JSX } from 'preact'
import { ask, path } from '../core/api.ts'
import { bytes, rate, short, visible, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { goTo, linkTo, queryText } from '../core/route.ts'
import { rangeQuery, rateOf, type Stats } from '../core/samples.ts'
import { BindForm, BindingTable } from '../parts/bindings.tsx'
import { Browse } from '../parts/browse.tsx'
import { Card, Drawer, Facts, Head, Waiting } from '../parts/card.tsx'
import { DepthChart, RatesChart } from '../parts/chart.tsx'
import { confirmed } from '../parts/dialog.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { PublishForm } from '../parts/publish-form.tsx'
import { type Box, RouteGraph, type Wire } from '../parts/route-graph.tsx'
import { settingOf } from '../parts/settings.ts'
import { type Column, Table } from '../parts/table.tsx'
import { tenMinutes } from './overview.tsx'
import { WebhooksOfQueue } from './parameters.tsx'
import { QueueChips, QueueState } from './queues.tsx'
import { StreamCard, type StreamRow } from './streams.tsx'

export interface ConsumerData {
  readonly consumer_tag: string
  readonly ack_required: boolean
  readonly prefetch_count: number
  readonly active: boolean
  readonly exclusive: boolean
  readonly channel_details: { readonly connection_name: string; readonly number: number; readonly user: string }
}

export interface QueueData extends StreamRow {
  readonly consumer_details: readonly ConsumerData[]
  readonly arguments: Readonly<Record<string, unknown>>
  readonly policy: string | null
  readonly operator_policy: string | null
  readonly effective_policy_definition: Readonly<Record<string, unknown>>
  readonly node: string
  /** Of those that are ready; left out where it is not known. */
  readonly message_bytes_ready?: number
}

export interface BindingData {
  readonly source: string
  readonly vhost: string
  readonly destination: string
  readonly destination_type: 'queue' | 'exchange'
  readonly routing_key: string
  readonly arguments: Readonly<Record<string, unknown>>
  readonly properties_key: string
}

interface QueueProps {
  readonly home: string
  readonly name: string
}

export function Queue({ home, name }: QueueProps): JSX.Element {
  const at = path(home, name)
  const { data, failure, refresh } = usePoll<QueueData>(`/queues${at}?${queryText(rangeQuery(tenMinutes))}`)
  const bindings = usePoll<readonly BindingData[]>(`/queues${at}/bindings`, { everyMs: 10_000 })
  return (
    <>
      <Head
        plain={visible(name)}
        title={<Name of={name} />}
        crumbs={
          <>
            <a href={linkTo(['queues'])}>{t('queues')}</a> · {t('vhost')} <Name of={home} />
          </>
        }
        chips={
          data !== null && (
            <>
              <QueueChips of={data} />
              <QueueState of={data} />
            </>
          )
        }
      >
        <Actions
          home={home}
          name={name}
          count={data?.messages ?? 0}
          isStream={data?.type === 'stream'}
          refresh={refresh}
        />
      </Head>
      {data === null || failure?.status === 404 ? (
        <Waiting failure={failure} />
      ) : (
        <Shown data={data} bindings={bindings.data ?? []} refresh={bindings.refresh} />
      )}
    </>
  )
}

interface ActionsProps extends QueueProps {
  readonly count: number
  /** Nothing in it waits for a time, or is a dead letter. */
  readonly isStream: boolean
  readonly refresh: () => void
}

function Actions({ home, name, count, isStream, refresh }: ActionsProps): JSX.Element {
  const at = `/queues${path(home, name)}`
  const shown = visible(name)
  const purge = async (): Promise<void> => {
    const text = t('purgeText', { count: whole(count), name: shown })
    if (!(await confirmed({ title: t('purge'), text, doIt: 'purge' }))) return
    await attempt(() => ask('DELETE', `${at}/contents`), t('purged'))
    refresh()
  }
  const remove = async (): Promise<void> => {
    const text = t('deleteQueueText', { count: whole(count), name: shown })
    if (!(await confirmed({ title: t('delete'), text, doIt: 'delete' }))) return
    if (await attempt(() => ask('DELETE', at), t('deleted', { name: shown }))) goTo(['queues'])
  }
  return (
    <>
      {!isStream && (
        <>
          <a class="button" href={linkTo(['scheduled', home, name])}>
            {t('scheduled')}
          </a>
          <a class="button" href={linkTo(['dead-letters', home, name])}>
            {t('deadLetters')}
          </a>
        </>
      )}
      <button type="button" onClick={() => void purge()}>
        {t('purge')}
      </button>
      <button type="button" class="danger" onClick={() => void remove()}>
        {t('delete')}
      </button>
    </>
  )
}

interface ShownProps {
  readonly data: QueueData
  readonly bindings: readonly BindingData[]
  readonly refresh: () => void
}

/** Consumers shown at once. */
const consumersMax = 100

function Shown({ data, bindings, refresh }: ShownProps): JSX.Element {
  const { name, vhost: home, consumer_details: consumers } = data
  return (
    <>
      <Numbers data={data} />
      <div class="cols">
        <DepthChart of={data as unknown as Stats} age={tenMinutes.age} />
        <RatesChart stats={data.message_stats} age={tenMinutes.age} />
      </div>
      <Card title="wayThrough">
        <RouteGraph title="wayThrough" {...graphOf(data, bindings)} />
      </Card>
      {data.type === 'stream' ? <StreamCard of={data} /> : <WebhooksOfQueue home={home} name={name} />}
      <div class="cols">
        <FactsCard of={data} />
        <Card title="bindings">
          <BindingTable of={bindings.filter(({ source }) => source !== '')} shows="source" changed={refresh} />
          <BindForm home={home} to={{ kind: 'q', name }} changed={refresh} />
        </Card>
      </div>
      <Card title="consumers" more={<span class="muted">{whole(consumers.length)}</span>}>
        {consumers.length === 0 ? (
          <p class="muted">{t('noConsumers')}</p>
        ) : (
          <Table
            caption="consumers"
            columns={consumerColumns}
            rows={consumers.slice(0, consumersMax)}
            rowKey={({ consumer_tag: tag, channel_details: { connection_name: connection, number } }) =>
              `${connection} ${number} ${tag}`
            }
          />
        )}
        {consumers.length > consumersMax && (
          <p class="muted">{t('andMore', { count: consumers.length - consumersMax })}</p>
        )}
      </Card>
      {data.type !== 'stream' && (
        <Drawer title="lookInside">
          <Browse home={home} queue={name} />
        </Drawer>
      )}
      <Drawer title="publishHere">
        <PublishForm vhost={home} exchange="" queue={name} />
      </Drawer>
    </>
  )
}

function Numbers({ data }: { data: QueueData }): JSX.Element {
  const { messages_ready: ready = 0, messages_unacknowledged: unacked = 0, message_stats: stats } = data
  const tiles = [
    ['ready', short(ready), 'ready', ''],
    ['unacked', short(unacked), 'unacked', ''],
    ['published', rate(rateOf(stats, 'publish')), 'in', t('perSecond')],
    ['delivered', rate(rateOf(stats, 'deliver_get')), 'out', t('perSecond')],
    ['acknowledged', rate(rateOf(stats, 'ack')), 'ack', t('perSecond')],
  ] as const
  return (
    <section class="tiles" aria-label={t('now')}>
      {tiles.map(([name, much, colour, unit]) => (
        <div class="tile" key={name}>
          <span class="what">
            <span class={`swatch c-${colour}`} aria-hidden="true" />
            {t(name)}
          </span>
          <span class="much" data-tile={name}>
            {much}
            <small> {unit}</small>
          </span>
        </div>
      ))}
    </section>
  )
}

/** What it is, and what applies to it: its own arguments stand behind what policies say. */
function FactsCard({ of: data }: { of: QueueData }): JSX.Element {
  const { message_bytes_ready: size, effective_policy_definition: policies, arguments: own } = data
  const policy = (name: string | null): JSX.Element | string =>
    name === null ? '–' : <NameLink of={name} to={['policies']} />
  return (
    <Card title="facts">
      <Facts
        of={[
          [t('type'), visible(data.type)],
          [t('node'), visible(data.node)],
          ...(size === undefined ? [] : [[t('bytesReady'), bytes(size)] as const]),
          [t('policy'), policy(data.policy)],
          [t('operatorPolicy'), policy(data.operator_policy)],
          ...Object.entries({ ...policies, ...own }).map(
            ([key, json]) => [<span class="mono">{visible(key)}</span>, settingOf(key, json)] as const,
          ),
        ]}
      />
    </Card>
  )
}

function graphOf(
  { name, vhost: home, consumer_details: consumers }: QueueData,
  bindings: readonly BindingData[],
): { left: Box[]; here: Box; right: Box[]; wires: Wire[] } {
  const here = { id: 'here', label: name, kind: t('queue') }
  const sources = new Set(bindings.map(({ source }) => source))
  const left = [...sources].map((source) => ({
    id: `e ${source}`,
    label: source === '' ? t('withoutName') : source,
    kind: t('exchange'),
    to: ['exchange', home, source],
  }))
  const takers = new Map<string, number>()
  for (const { channel_details: channel } of consumers) {
    takers.set(channel.connection_name, (takers.get(channel.connection_name) ?? 0) + 1)
  }
  const right = [...takers].map(([connection, count]) => ({
    id: `c ${connection}`,
    // Where it comes from; where to is this broker.
    label: connection.replace(/ -> .*/, ''),
    kind: count === 1 ? t('consumer') : t('countConsumers', { count }),
    to: ['connection', connection],
  }))
  const wires = [
    ...bindings.map(({ source, routing_key: label }) => ({ from: `e ${source}`, to: 'here', label })),
    ...right.map(({ id }) => ({ from: 'here', to: id, label: '' })),
  ]
  return { left, here, right, wires }
}

const consumerColumns: readonly Column<ConsumerData>[] = [
  {
    head: 'name',
    kind: 'name',
    cell: ({ consumer_tag: tag, channel_details: { connection_name: connection, number } }) => (
      <>
        <Name of={tag} />
        <span class="more">
          <NameLink of={`${connection} (${number})`} to={['connection', connection]} />
        </span>
      </>
    ),
  },
  { head: 'prefetch', kind: 'n', cell: ({ prefetch_count: count }) => (count === 0 ? '∞' : whole(count)) },
  { head: 'acks', cell: ({ ack_required: acks }) => t(acks ? 'yes' : 'no') },
  { head: 'active', priority: 2, cell: ({ active }) => t(active ? 'yes' : 'no') },
]
