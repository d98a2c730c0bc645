/** All queues: how full they are, how fast they move, and whether somebody has to look after one. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { bytes, rate, short, visible, whole } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { say } from '../core/notices.ts'
import { goTo } from '../core/route.ts'
import { type Details, levelsOf, rateOf, type Stats } from '../core/samples.ts'
import { listPath, vhost } from '../core/vhost.ts'
import { Chip, Head } from '../parts/card.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Area, Check, Choice, Field, type Fields, Form } from '../parts/form.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { queueKeys, streamKeys } from '../parts/settings.ts'
import { Sparkline } from '../parts/sparkline.tsx'
import { type Column, PagedList } from '../parts/table.tsx'

export interface QueueRow {
  readonly name: string
  readonly vhost: string
  readonly type: string
  readonly state?: string
  readonly messages?: number
  readonly messages_ready?: number
  readonly messages_unacknowledged?: number
  readonly messages_details?: Details
  readonly consumers?: number
  readonly message_stats?: Stats
  readonly exclusive: boolean
  readonly durable: boolean
  readonly auto_delete: boolean
  readonly policy?: string | null
  readonly node?: string | null
  readonly message_bytes_ready?: number
}

const rowFields = [
  ...['name', 'vhost', 'type', 'messages', 'messages_ready', 'messages_unacknowledged', 'consumers'],
  ...['exclusive', 'durable', 'auto_delete', 'state', 'messages_details.samples'],
  ...['policy', 'node', 'message_bytes_ready'],
  ...['publish', 'deliver_get', 'ack', 'redeliver'].map((name) => `message_stats.${name}_details.rate`),
].join()

const columns: readonly Column<QueueRow>[] = [
  {
    head: 'name',
    sort: 'name',
    kind: 'name',
    cell: (queue) => (
      <>
        <NameLink of={queue.name} to={['queue', queue.vhost, queue.name]} />
        <QueueChips of={queue} />
      </>
    ),
  },
  { head: 'state', cell: (queue) => <QueueState of={queue} /> },
  { head: 'ready', sort: 'messages_ready', kind: 'n', cell: ({ messages_ready: ready = 0 }) => short(ready) },
  {
    head: 'unacked',
    sort: 'messages_unacknowledged',
    kind: 'n',
    priority: 2,
    cell: ({ messages_unacknowledged: unacked = 0 }) => short(unacked),
  },
  {
    head: 'past',
    priority: 3,
    cell: ({ messages_details: details }) => (
      <span class="c-ready">
        <Sparkline of={levelsOf(details).values} />
      </span>
    ),
  },
  {
    head: 'inRate',
    sort: 'message_stats.publish_details.rate',
    kind: 'n',
    priority: 2,
    cell: ({ message_stats: stats }) => rate(rateOf(stats, 'publish')),
  },
  {
    head: 'outRate',
    sort: 'message_stats.deliver_get_details.rate',
    kind: 'n',
    priority: 2,
    cell: ({ message_stats: stats }) => rate(rateOf(stats, 'deliver_get')),
  },
  { head: 'consumers', sort: 'consumers', kind: 'n', priority: 3, cell: ({ consumers = 0 }) => whole(consumers) },
  { head: 'vhost', sort: 'vhost', isExtra: true, cell: ({ vhost: home }) => <Name of={home} /> },
  { head: 'type', sort: 'type', isExtra: true, cell: ({ type }) => visible(type) },
  { head: 'messages', sort: 'messages', kind: 'n', isExtra: true, cell: ({ messages = 0 }) => short(messages) },
  {
    head: 'bytesReady',
    sort: 'message_bytes_ready',
    kind: 'n',
    isExtra: true,
    cell: ({ message_bytes_ready: size }) => (size === undefined ? '–' : bytes(size)),
  },
  ...(['ack', 'redeliver'] as const).map(
    (name): Column<QueueRow> => ({
      head: `${name}Rate`,
      sort: `message_stats.${name}_details.rate`,
      kind: 'n',
      isExtra: true,
      cell: ({ message_stats: stats }) => rate(rateOf(stats, name)),
    }),
  ),
  { head: 'policy', sort: 'policy', isExtra: true, cell: ({ policy }) => visible(policy ?? '–') },
  { head: 'node', sort: 'node', isExtra: true, cell: ({ node }) => visible(node ?? '–') },
]

export function Queues(): JSX.Element {
  const [isMaking, setMaking] = useState(false)
  return (
    <>
      <Head title={t('queues')} plain={t('queues')}>
        <button type="button" onClick={() => setMaking(true)}>
          {t('newQueue')}
        </button>
      </Head>
      <PagedList
        caption="queues"
        path={listPath('/queues')}
        query={{ columns: rowFields, lengths_age: 300, lengths_incr: 15 }}
        columns={columns}
        rowKey={({ vhost: home, name }) => `${home} ${name}`}
        empty="noQueues"
      />
      {isMaking && <NewQueue close={() => setMaking(false)} />}
    </>
  )
}

/** What is not as with most queues. */
export function QueueChips({ of }: { of: QueueRow }): JSX.Element {
  return (
    <>
      {of.vhost !== '/' && vhost.value === null && (
        <Chip>
          <Name of={of.vhost} />
        </Chip>
      )}
      {of.type !== 'classic' && <Chip>{visible(of.type)}</Chip>}
      {of.exclusive && <Chip>{t('exclusive')}</Chip>}
      {!of.durable && <Chip>{t('transient')}</Chip>}
      {of.auto_delete && <Chip>{t('autoDelete')}</Chip>}
    </>
  )
}

/** One word for what goes on, with a colour that says no more than it. */
export function QueueState({ of }: { of: QueueRow }): JSX.Element {
  const [kind, word] = stateOf(of)
  return <Chip kind={kind}>{t(word)}</Chip>
}

function stateOf(queue: QueueRow): readonly [kind: string, word: Key] {
  const { messages_ready: ready = 0, consumers = 0, message_stats: stats } = queue
  const goesOut = rateOf(stats, 'deliver_get') > 0
  if (queue.state === 'down') return ['bad', 'down']
  if (queue.type === 'stream') return goesOut || rateOf(stats, 'publish') > 0 ? ['good', 'flows'] : ['', 'idle']
  if (ready > 0 && consumers === 0) return ['warn', 'waits']
  if (ready > 0 && !goesOut) return ['warn', 'stuck']
  return goesOut ? ['good', 'flows'] : ['', 'idle']
}

/** Without a type it has that of its vhost. */
const types = ['–', 'classic', 'quorum', 'stream']

function NewQueue({ close }: { close: () => void }): JSX.Element {
  const [chosen, choose] = useState('')
  const submit = async (fields: Fields): Promise<void> => {
    const [home, name] = [fields.text('vhost'), fields.text('name')]
    const type = fields.text('type')
    const args = { ...fields.object('arguments'), ...(type === '–' ? {} : { 'x-queue-type': type }) }
    const body = { durable: fields.has('durable'), auto_delete: fields.has('autoDelete'), arguments: args }
    await ask('PUT', `/queues${path(home, name)}`, { body })
    say({ kind: 'done', text: t('queueMade') })
    close()
    goTo(['queue', home, name])
  }
  return (
    <Dialog title={t('newQueue')} close={close}>
      <Form doIt="make" submit={submit} cancel={close}>
        <Field name="name" label="name" isNeeded />
        <Field name="vhost" label="vhost" value={vhost.value ?? '/'} isNeeded />
        <Choice name="type" label="type" of={types} chosen={choose} />
        <Check name="durable" label="durable" isOn />
        <Check name="autoDelete" label="autoDelete" />
        <Area
          name="arguments"
          label="arguments"
          placeholder={'{"x-message-ttl": 60000}'}
          keys={chosen === 'stream' ? streamKeys : queueKeys}
        />
      </Form>
    </Dialog>
  )
}
