/** Connections and channels: who is there, how much they send, and whether somebody holds others up. */
import type { JSX } from 'preact'
import { ask, path } from '../core/api.ts'
import { bytes, duration, moment, rate, value, visible, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { goTo, linkTo } from '../core/route.ts'
import { type Details, rateOf, type Stats } from '../core/samples.ts'
import { now } from '../core/time.ts'
import { vhost } from '../core/vhost.ts'
import { Card, Chip, type Fact, Facts, Head, Waiting } from '../parts/card.tsx'
import { type Count, RatesChart } from '../parts/chart.tsx'
import { confirmed } from '../parts/dialog.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { State } from '../parts/state.tsx'
import { type Column, PagedList, Table } from '../parts/table.tsx'
import { tenMinutes } from './overview.tsx'

interface ConnectionRow {
  readonly name: string
  readonly user: string
  readonly vhost: string
  readonly state: string
  readonly protocol: string
  readonly ssl: boolean
  readonly ssl_protocol: string | null
  readonly ssl_cipher: string | null
  readonly auth_mechanism: string
  readonly channels: number
  readonly connected_at: number
  readonly timeout: number
  readonly frame_max: number
  readonly node: string
  readonly client_properties: Readonly<Record<string, unknown>>
  readonly recv_oct: number
  readonly recv_oct_details?: Details
  readonly send_oct: number
  readonly send_oct_details?: Details
  readonly send_pend: number
}

interface ChannelRow {
  readonly name: string
  readonly number: number
  readonly user: string
  readonly vhost: string
  readonly state: string
  readonly confirm: boolean
  readonly transactional: boolean
  readonly consumer_count: number
  readonly prefetch_count: number
  readonly messages_unacknowledged: number
  readonly messages_unconfirmed: number
  readonly connection_details: { readonly name: string }
  readonly message_stats?: Stats
}

function listOf(kind: 'connections' | 'channels'): string {
  return vhost.value === null ? `/${kind}` : `/vhosts${path(vhost.value)}/${kind}`
}

/** What a client calls itself. */
function ownName({ client_properties: properties }: ConnectionRow): string {
  const name = properties['connection_name']
  return typeof name === 'string' ? name : ''
}

const connectionColumns: readonly Column<ConnectionRow>[] = [
  {
    head: 'name',
    sort: 'name',
    kind: 'name',
    cell: (connection) => {
      const own = ownName(connection)
      return (
        <>
          <NameLink of={own === '' ? connection.name : own} to={['connection', connection.name]} />
          {own !== '' && <span class="more">{visible(connection.name)}</span>}
        </>
      )
    },
  },
  { head: 'user', sort: 'user', priority: 2, cell: ({ user }) => <Name of={user} /> },
  { head: 'vhost', sort: 'vhost', priority: 3, cell: ({ vhost: home }) => <Name of={home} /> },
  { head: 'state', sort: 'state', cell: ({ state }) => <State of={state} /> },
  { head: 'channels', sort: 'channels', kind: 'n', priority: 2, cell: ({ channels }) => whole(channels) },
  {
    head: 'inRate',
    sort: 'recv_oct_details.rate',
    kind: 'n',
    priority: 2,
    cell: ({ recv_oct_details: details }) => bytes(details?.rate ?? 0),
  },
  {
    head: 'outRate',
    sort: 'send_oct_details.rate',
    kind: 'n',
    priority: 2,
    cell: ({ send_oct_details: details }) => bytes(details?.rate ?? 0),
  },
  {
    head: 'protocol',
    isExtra: true,
    cell: ({ protocol, ssl }) => `${visible(protocol)}${ssl ? ' (TLS)' : ''}`,
  },
  { head: 'node', sort: 'node', isExtra: true, cell: ({ node }) => visible(node) },
  {
    head: 'connectedFor',
    sort: 'connected_at',
    kind: 'n',
    priority: 3,
    cell: ({ connected_at: at }) => duration(Math.max(0, now() - at)),
  },
]

export function Connections(): JSX.Element {
  return (
    <>
      <Head title={t('connections')} plain={t('connections')} />
      <PagedList
        caption="connections"
        path={listOf('connections')}
        columns={connectionColumns}
        rowKey={({ name }) => name}
        empty="noConnections"
      />
    </>
  )
}

const channelColumns: readonly Column<ChannelRow>[] = [
  {
    head: 'name',
    sort: 'name',
    kind: 'name',
    cell: ({ name, connection_details: connection }) => <NameLink of={name} to={['connection', connection.name]} />,
  },
  { head: 'user', sort: 'user', priority: 3, cell: ({ user }) => <Name of={user} /> },
  { head: 'vhost', sort: 'vhost', isExtra: true, cell: ({ vhost: home }) => <Name of={home} /> },
  { head: 'state', sort: 'state', isExtra: true, cell: ({ state }) => <State of={state} /> },
  {
    head: 'mode',
    priority: 2,
    cell: ({ confirm, transactional }) => (
      <>
        {confirm && <Chip>{t('confirms')}</Chip>} {transactional && <Chip>{t('transactional')}</Chip>}
      </>
    ),
  },
  {
    head: 'consumers',
    sort: 'consumer_count',
    kind: 'n',
    priority: 3,
    cell: ({ consumer_count: count }) => whole(count),
  },
  {
    head: 'prefetch',
    sort: 'prefetch_count',
    kind: 'n',
    priority: 3,
    cell: ({ prefetch_count: count }) => (count === 0 ? '∞' : whole(count)),
  },
  {
    head: 'unacked',
    sort: 'messages_unacknowledged',
    kind: 'n',
    cell: ({ messages_unacknowledged: count }) => whole(count),
  },
  {
    head: 'unconfirmed',
    sort: 'messages_unconfirmed',
    kind: 'n',
    isExtra: true,
    cell: ({ messages_unconfirmed: count }) => whole(count),
  },
  {
    head: 'inRate',
    sort: 'message_stats.publish_details.rate',
    kind: 'n',
    cell: ({ message_stats: stats }) => rate(rateOf(stats, 'publish')),
  },
  {
    head: 'outRate',
    sort: 'message_stats.deliver_get_details.rate',
    kind: 'n',
    priority: 2,
    cell: ({ message_stats: stats }) => rate(rateOf(stats, 'deliver_get')),
  },
]

/** On the page of their connection, which says the rest. */
const ownColumns: readonly Column<ChannelRow>[] = [
  { head: 'channel', kind: 'name', cell: ({ number }) => number },
  ...channelColumns.filter(({ head }) => !['name', 'user', 'vhost'].includes(head)),
]

export function Channels(): JSX.Element {
  return (
    <>
      <Head title={t('channels')} plain={t('channels')} />
      <PagedList
        caption="channels"
        path={listOf('channels')}
        columns={channelColumns}
        rowKey={({ name }) => name}
        empty="noChannels"
      />
    </>
  )
}

// ---------------------------------------------------------------- one

const traffic: readonly Count[] = [
  ['recv_oct', 'received', 'in'],
  ['send_oct', 'sentBytes', 'out'],
]

export function Connection({ name }: { name: string }): JSX.Element {
  const at = `/connections${path(name)}`
  const { age, incr } = tenMinutes
  const { data, failure } = usePoll<ConnectionRow>(`${at}?data_rates_age=${age}&data_rates_incr=${incr}`)
  const channels = usePoll<readonly ChannelRow[]>(`${at}/channels`)
  const own = data === null ? '' : ownName(data)
  const end = async (): Promise<void> => {
    const text = t('closeConnectionText', { name: visible(own === '' ? name : own) })
    if (!(await confirmed({ title: t('closeConnection'), text, doIt: 'closeConnection' }))) return
    const headers = { 'x-reason': 'Closed by hand in the dashboard' }
    if (await attempt(() => ask('DELETE', at, { headers }), t('closed'))) goTo(['connections'])
  }
  return (
    <>
      <Head
        plain={visible(name)}
        title={<Name of={own === '' ? name : own} />}
        crumbs={
          <>
            <a href={linkTo(['connections'])}>{t('connections')}</a> · {visible(name)}
          </>
        }
        chips={data !== null && <State of={data.state} />}
      >
        <button type="button" class="danger" onClick={() => void end()}>
          {t('closeConnection')}
        </button>
      </Head>
      {data === null || failure?.status === 404 ? (
        <Waiting failure={failure} />
      ) : (
        <>
          <div class="cols">
            <Card title="facts">
              <Facts of={factsOf(data)} />
            </Card>
            <Card title="client">
              <Facts
                of={Object.entries(data.client_properties).map(([key, json]) => [
                  <span class="mono">{visible(key)}</span>,
                  value(json),
                ])}
              />
            </Card>
          </div>
          <RatesChart title="bytesTitle" stats={data as unknown as Stats} age={age} counts={traffic} show={bytes} />
          <Card title="channels">
            <Table caption="channels" columns={ownColumns} rows={channels.data ?? []} rowKey={(row) => row.name} />
          </Card>
        </>
      )}
    </>
  )
}

function factsOf(data: ConnectionRow): readonly Fact[] {
  return [
    [t('user'), <Name of={data.user} />],
    [t('vhost'), <Name of={data.vhost} />],
    [
      t('protocol'),
      `${visible(data.protocol)}${data.ssl ? ` (${visible(data.ssl_protocol ?? 'TLS')} ${visible(data.ssl_cipher ?? '')})` : ''}`,
    ],
    [t('mechanism'), visible(data.auth_mechanism)],
    [t('since'), moment(data.connected_at)],
    [t('received'), `${bytes(data.recv_oct)} · ${bytes(data.recv_oct_details?.rate ?? 0)}${t('perSecond')}`],
    [t('sentBytes'), `${bytes(data.send_oct)} · ${bytes(data.send_oct_details?.rate ?? 0)}${t('perSecond')}`],
    [t('pending'), bytes(data.send_pend)],
    [t('frameMax'), bytes(data.frame_max)],
    [t('heartbeat'), data.timeout === 0 ? '–' : duration(data.timeout * 1_000)],
    [t('node'), visible(data.node)],
  ]
}
