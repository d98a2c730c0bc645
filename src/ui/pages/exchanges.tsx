/** All exchanges, and a picture of where each sends what it gets. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, exchangeSegment, path } from '../core/api.ts'
import { rate, value, visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { goTo, linkTo, queryText } from '../core/route.ts'
import { rangeQuery, rateOf, type Stats } from '../core/samples.ts'
import { listPath, vhost } from '../core/vhost.ts'
import { BindForm, BindingTable } from '../parts/bindings.tsx'
import { Card, Chip, Drawer, Facts, Head, Waiting } from '../parts/card.tsx'
import { type Count, RatesChart } from '../parts/chart.tsx'
import { confirmed, Dialog } from '../parts/dialog.tsx'
import { Area, Check, Choice, Field, type Fields, Form } from '../parts/form.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { PublishForm } from '../parts/publish-form.tsx'
import { type Box, RouteGraph, type Wire } from '../parts/route-graph.tsx'
import { type Column, PagedList } from '../parts/table.tsx'
import { tenMinutes } from './overview.tsx'
import type { BindingData } from './queue.tsx'

interface ExchangeRow {
  readonly name: string
  readonly vhost: string
  readonly type: string
  readonly durable: boolean
  readonly auto_delete: boolean
  readonly internal: boolean
  readonly arguments: Readonly<Record<string, unknown>>
  readonly policy: string | null
  readonly message_stats?: Stats
}

const columns: readonly Column<ExchangeRow>[] = [
  {
    head: 'name',
    sort: 'name',
    kind: 'name',
    cell: (exchange) => (
      <>
        <NameLink of={exchange.name} to={['exchange', exchange.vhost, exchange.name]} />
        <ExchangeChips of={exchange} />
      </>
    ),
  },
  { head: 'type', sort: 'type', cell: ({ type }) => visible(type) },
  { head: 'policy', sort: 'policy', isExtra: true, cell: ({ policy }) => visible(policy ?? '–') },
  {
    head: 'inRate',
    sort: 'message_stats.publish_in_details.rate',
    kind: 'n',
    priority: 2,
    cell: ({ message_stats: stats }) => rate(rateOf(stats, 'publish_in')),
  },
  {
    head: 'outRate',
    sort: 'message_stats.publish_out_details.rate',
    kind: 'n',
    priority: 2,
    cell: ({ message_stats: stats }) => rate(rateOf(stats, 'publish_out')),
  },
]

function ExchangeChips({ of }: { of: ExchangeRow }): JSX.Element {
  return (
    <>
      {of.vhost !== '/' && vhost.value === null && (
        <Chip>
          <Name of={of.vhost} />
        </Chip>
      )}
      {of.internal && <Chip>{t('internal')}</Chip>}
      {!of.durable && <Chip>{t('transient')}</Chip>}
      {of.auto_delete && <Chip>{t('autoDelete')}</Chip>}
    </>
  )
}

export function Exchanges(): JSX.Element {
  const [isMaking, setMaking] = useState(false)
  return (
    <>
      <Head title={t('exchanges')} plain={t('exchanges')}>
        <button type="button" onClick={() => setMaking(true)}>
          {t('newExchange')}
        </button>
      </Head>
      <PagedList
        caption="exchanges"
        path={listPath('/exchanges')}
        columns={columns}
        rowKey={({ vhost: home, name }) => `${home} ${name}`}
        empty="nothingFound"
      />
      {isMaking && <NewExchange close={() => setMaking(false)} />}
    </>
  )
}

const exchangeKeys = { 'alternate-exchange': '', 'x-delayed-type': 'direct' }

function NewExchange({ close }: { close: () => void }): JSX.Element {
  const types = usePoll<{ exchange_types: readonly { name: string }[] }>('/overview?columns=exchange_types', {
    everyMs: 0,
  })
  const submit = async (fields: Fields): Promise<void> => {
    const [home, name] = [fields.text('vhost'), fields.text('name')]
    const body = {
      type: fields.text('type'),
      durable: fields.has('durable'),
      auto_delete: fields.has('autoDelete'),
      internal: fields.has('internal'),
      arguments: fields.object('arguments'),
    }
    await ask('PUT', `/exchanges${path(home, name)}`, { body })
    say({ kind: 'done', text: t('exchangeMade') })
    close()
    goTo(['exchange', home, name])
  }
  return (
    <Dialog title={t('newExchange')} close={close}>
      <Form doIt="make" submit={submit} cancel={close}>
        <Field name="name" label="name" isNeeded />
        <Field name="vhost" label="vhost" value={vhost.value ?? '/'} isNeeded />
        <Choice
          name="type"
          label="type"
          of={(types.data?.exchange_types ?? [{ name: 'topic' }]).map(({ name }) => name)}
        />
        <Check name="durable" label="durable" isOn />
        <Check name="autoDelete" label="autoDelete" />
        <Check name="internal" label="internal" />
        <Area
          name="arguments"
          label="arguments"
          placeholder={'{"alternate-exchange": "unrouted"}'}
          keys={exchangeKeys}
        />
      </Form>
    </Dialog>
  )
}

// ---------------------------------------------------------------- one

interface ExchangeProps {
  readonly home: string
  readonly name: string
}

export function Exchange({ home, name }: ExchangeProps): JSX.Element {
  const at = `/exchanges${path(home, exchangeSegment(name))}`
  const { data, failure } = usePoll<ExchangeRow>(`${at}?${queryText(rangeQuery(tenMinutes))}`)
  const out = usePoll<readonly BindingData[]>(`${at}/bindings/source`, { everyMs: 10_000 })
  const into = usePoll<readonly BindingData[]>(`${at}/bindings/destination`, { everyMs: 10_000 })
  const isOurs = name === '' || name.startsWith('amq.')
  return (
    <>
      <Head
        plain={name === '' ? t('withoutName') : visible(name)}
        title={<Name of={name} />}
        crumbs={
          <>
            <a href={linkTo(['exchanges'])}>{t('exchanges')}</a> · {t('vhost')} <Name of={home} />
          </>
        }
        chips={
          data !== null && (
            <>
              <Chip>{visible(data.type)}</Chip>
              <ExchangeChips of={data} />
              <span class="muted">
                {t('inOut', {
                  into: rate(rateOf(data.message_stats, 'publish_in')),
                  out: rate(rateOf(data.message_stats, 'publish_out')),
                })}
              </span>
            </>
          )
        }
      >
        {isOurs ? undefined : (
          <button type="button" class="danger" onClick={() => void remove(at, name)}>
            {t('delete')}
          </button>
        )}
      </Head>
      {data === null || failure?.status === 404 ? (
        <Waiting failure={failure} />
      ) : (
        <Ways of={data} into={into} out={out} />
      )}
    </>
  )
}

/** A message may go to none, or to several. */
const counts: readonly Count[] = [
  ['publish_in', 'published', 'in'],
  ['publish_out', 'routed', 'out'],
]

interface WaysProps {
  readonly of: ExchangeRow
  readonly into: Bindings
  readonly out: Bindings
}

interface Bindings {
  readonly data: readonly BindingData[] | null
  refresh(): void
}

function Ways({ of: data, into, out }: WaysProps): JSX.Element {
  const { name, vhost: home } = data
  return (
    <>
      <div class="cols">
        <RatesChart stats={data.message_stats} age={tenMinutes.age} counts={counts} />
        <Card title="facts">
          <Facts
            of={[
              [t('type'), visible(data.type)],
              [t('policy'), data.policy === null ? '–' : <NameLink of={data.policy} to={['policies']} />],
              ...Object.entries(data.arguments).map(
                ([key, json]) => [<span class="mono">{visible(key)}</span>, value(json)] as const,
              ),
            ]}
          />
        </Card>
      </div>
      <Card title="wayThrough">
        <RouteGraph title="wayThrough" {...graphOf(data, into.data ?? [], out.data ?? [])} />
      </Card>
      <Card title="bindingsFrom">
        {name === '' ? (
          <p class="muted">{t('defaultBindings')}</p>
        ) : (
          <>
            <BindingTable of={out.data ?? []} shows="destination" changed={out.refresh} />
            <BindForm home={home} from={name} changed={out.refresh} />
          </>
        )}
      </Card>
      {(into.data ?? []).length > 0 && (
        <Card title="bindingsTo">
          <BindingTable of={into.data ?? []} shows="source" changed={into.refresh} />
        </Card>
      )}
      {!data.internal && (
        <Drawer title="publishHere">
          <PublishForm vhost={home} exchange={name} />
        </Drawer>
      )}
    </>
  )
}

async function remove(at: string, name: string): Promise<void> {
  const shown = visible(name)
  const text = t('deleteExchangeText', { name: shown })
  if (!(await confirmed({ title: t('delete'), text, doIt: 'delete' }))) return
  if (await attempt(() => ask('DELETE', at), t('deleted', { name: shown }))) goTo(['exchanges'])
}

function graphOf(
  { name, vhost: home, type }: ExchangeRow,
  into: readonly BindingData[],
  out: readonly BindingData[],
): { left: Box[]; here: Box; right: Box[]; wires: Wire[] } {
  const here = { id: 'here', label: name === '' ? t('withoutName') : name, kind: type }
  const left = [...new Set(into.map(({ source }) => source))].map((source) => ({
    id: `from ${source}`,
    label: source,
    kind: t('exchange'),
    to: ['exchange', home, source],
  }))
  const right = new Map<string, Box>()
  for (const { destination, destination_type: kind } of out) {
    const id = `to ${kind} ${destination}`
    right.set(id, { id, label: destination, kind: t(kind), to: [kind, home, destination] })
  }
  const wires = [
    ...into.map(({ source, routing_key: label }) => ({ from: `from ${source}`, to: 'here', label })),
    ...out.map(({ destination, destination_type: kind, routing_key: key, arguments: args }) => ({
      from: 'here',
      to: `to ${kind} ${destination}`,
      label: key === '' && Object.keys(args).length > 0 ? value(args) : key,
    })),
  ]
  return { left, here, right: [...right.values()], wires }
}
