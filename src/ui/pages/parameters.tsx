/** Parameters: webhooks, the limits of all vhosts and users, and what holds for the whole broker. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { visible, whole } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { mayBe } from '../core/session.ts'
import { listPath, vhost } from '../core/vhost.ts'
import { Card, Head, Waiting } from '../parts/card.tsx'
import { confirmed, Dialog } from '../parts/dialog.tsx'
import { Area, Choice, Field, type Fields, Form } from '../parts/form.tsx'
import { GlobalParameters } from '../parts/global-parameters.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { State } from '../parts/state.tsx'
import { type Column, Table } from '../parts/table.tsx'

export function Parameters(): JSX.Element {
  return (
    <>
      <Head title={t('parameters')} plain={t('parameters')} />
      <Webhooks />
      <Limits />
      <GlobalParameters />
    </>
  )
}

// ---------------------------------------------------------------- webhooks

/** What is told besides is what was given; of secrets and headers only whether there are any. */
interface Webhook {
  readonly name: string
  readonly vhost: string
  readonly queue: string
  readonly url: string
  readonly ca_certificates?: string
  readonly state: string
  readonly reason: string | null
  readonly node: string | null
  readonly delivered: number
  readonly failed: number
  readonly last_error: string | null
}

function Webhooks(): JSX.Element {
  const [editing, setEditing] = useState<Partial<Webhook> | null>(null)
  const { data, failure, refresh } = usePoll<readonly Webhook[]>(listPath('/webhooks'))
  const at = ({ vhost: home, name }: Webhook): string => `/webhooks${path(home, name)}`
  const remove = async (one: Webhook): Promise<void> => {
    const name = visible(one.name)
    if (!(await confirmed({ title: t('delete'), text: t('deleteWebhookText', { name }), doIt: 'delete' }))) return
    await attempt(() => ask('DELETE', at(one)), t('deleted', { name }))
    refresh()
  }
  const columns: readonly Column<Webhook>[] = [
    ...webhookColumns,
    {
      head: 'action',
      cell: (one) => (
        <div class="row">
          <button type="button" onClick={() => void tryOut(at(one))}>
            {t('tryOut')}
          </button>
          <button type="button" onClick={() => setEditing(one)}>
            {t('edit')}
          </button>
          <button type="button" class="danger" onClick={() => void remove(one)}>
            {t('delete')}
          </button>
        </div>
      ),
    },
  ]
  return (
    <Card
      title="webhooks"
      more={
        <button type="button" onClick={() => setEditing({})}>
          {t('newWebhook')}
        </button>
      }
    >
      {data === null && <Waiting failure={failure} />}
      {data?.length === 0 && <p class="muted">{t('noWebhooks')}</p>}
      {data !== null && data.length > 0 && (
        <Table caption="webhooks" columns={columns} rows={data} rowKey={({ vhost: home, name }) => `${home} ${name}`} />
      )}
      {editing !== null && <WebhookForm of={editing} close={() => setEditing(null)} changed={refresh} />}
    </Card>
  )
}

const webhookColumns: readonly Column<Webhook>[] = [
  {
    head: 'name',
    kind: 'name',
    cell: ({ name, vhost: home, url }) => (
      <>
        <Name of={name} /> <span class="more">{visible(home)}</span>
        <span class="more clip">{visible(url)}</span>
      </>
    ),
  },
  {
    head: 'queue',
    priority: 2,
    cell: ({ vhost: home, queue }) => <NameLink of={queue} to={['queue', home, queue]} />,
  },
  {
    head: 'state',
    cell: ({ state, reason, last_error: error }) => (
      <>
        <State of={state} />
        {(reason ?? error) !== null && <span class="more">{visible(reason ?? error ?? '')}</span>}
      </>
    ),
  },
  { head: 'delivered', kind: 'n', priority: 2, cell: ({ delivered }) => whole(delivered) },
  { head: 'failed', kind: 'n', priority: 2, cell: ({ failed }) => whole(failed) },
]

const columnsOfQueue: readonly Column<Webhook>[] = [
  ...webhookColumns.filter(({ head }) => head !== 'queue'),
  { head: 'node', priority: 3, cell: ({ node }) => visible(node ?? '–') },
]

/** Those that push the messages of one queue; nothing where there are none, or the user may not see them. */
export function WebhooksOfQueue({ home, name }: { home: string; name: string }): JSX.Element | null {
  const at = mayBe('policymaker') ? `/webhooks${path(home)}?queue=${encodeURIComponent(name)}` : null
  const { data } = usePoll<readonly Webhook[]>(at)
  if (data === null || data.length === 0) return null
  return (
    <Card title="webhooks">
      <Table caption="webhooks" columns={columnsOfQueue} rows={data} rowKey={({ name: webhook }) => webhook} />
    </Card>
  )
}

interface Trial {
  readonly is_accepted: boolean
  readonly status: number | null
  readonly error: string | null
  readonly duration_ms: number
}

async function tryOut(at: string): Promise<void> {
  let trial: Trial | null = null
  const isAnswered = await attempt(async () => {
    trial = await ask<Trial>('POST', `${at}/test`)
  }, t('saved'))
  if (!isAnswered || trial === null) return
  const { is_accepted: isAccepted, status, error, duration_ms: ms } = trial as Trial
  const text = t('trialText', { outcome: visible(error ?? String(status ?? '–')), ms: whole(ms) })
  say({ kind: isAccepted ? 'done' : 'failed', text })
}

/** What a webhook is told to be; what it does is not given back. */
const reported = [
  'name',
  'vhost',
  'state',
  'reason',
  'node',
  'messages_unacknowledged',
  'delivered',
  'failed',
  'headers',
  // It has a field of its own: JSON would be one long line.
  'ca_certificates',
]
const hidden = ['has_secret', 'has_previous_secret', 'header_names']

function definitionOf(of: Partial<Webhook>): string {
  const given = Object.entries(of).filter(
    ([name, value]) =>
      !reported.includes(name) && !hidden.includes(name) && !name.startsWith('last_') && value !== null,
  )
  return given.length === 0 ? '' : JSON.stringify(Object.fromEntries(given), null, 2)
}

interface WebhookFormProps {
  readonly of: Partial<Webhook>
  readonly close: () => void
  readonly changed: () => void
}

function WebhookForm({ of, close, changed }: WebhookFormProps): JSX.Element {
  const submit = async (fields: Fields): Promise<void> => {
    const authorities = fields.text('ca_certificates').trim()
    const definition = fields.object('definition')
    const body = authorities === '' ? definition : { ...definition, ca_certificates: authorities }
    await ask('PUT', `/webhooks${path(of.vhost ?? fields.text('vhost'), of.name ?? fields.text('name'))}`, { body })
    say({ kind: 'done', text: t('saved') })
    close()
    changed()
  }
  return (
    <Dialog title={of.name === undefined ? t('newWebhook') : visible(of.name)} close={close}>
      <Form doIt="save" submit={submit} cancel={close}>
        {of.name === undefined && <Field name="name" label="name" isNeeded />}
        {of.vhost === undefined && <Field name="vhost" label="vhost" value={vhost.value ?? '/'} isNeeded />}
        <Area
          name="definition"
          label="definition"
          value={definitionOf(of)}
          placeholder={'{"queue": "orders", "url": "https://shop.example/orders", "secret": "whsec_…"}'}
        />
        <Area
          name="ca_certificates"
          label="webhookAuthorities"
          value={of.ca_certificates ?? ''}
          placeholder="-----BEGIN CERTIFICATE-----"
        />
        <p class="muted">{t('webhookText')}</p>
      </Form>
    </Dialog>
  )
}

// ---------------------------------------------------------------- limits

const kinds = {
  vhost: { list: '/vhost-limits', page: 'vhost', title: 'vhost' },
  user: { list: '/user-limits', page: 'user', title: 'user' },
} as const
type Kind = keyof typeof kinds

interface Limit {
  readonly kind: Kind
  readonly of: string
  readonly name: string
  readonly value: number
}

type Entry = Readonly<Partial<Record<Kind, string>>> & { readonly value: Readonly<Record<string, number>> }

function limitsIn(kind: Kind, entries: readonly Entry[] | null): readonly Limit[] {
  return (entries ?? []).flatMap((entry) =>
    Object.entries(entry.value).map(([name, value]) => ({ kind, of: entry[kind] ?? '', name, value })),
  )
}

function Limits(): JSX.Element {
  const mayChange = mayBe('administrator')
  const vhosts = usePoll<readonly Entry[]>('/vhost-limits', { everyMs: 15_000 })
  const users = usePoll<readonly Entry[]>(mayChange ? '/user-limits' : null, { everyMs: 15_000 })
  const limits = [...limitsIn('vhost', vhosts.data), ...limitsIn('user', users.data)]
  const refresh = (): void => {
    vhosts.refresh()
    users.refresh()
  }
  const give = async (fields: Fields): Promise<void> => {
    const [kind, name = ''] = fields.text('limit').split(' ') as [Kind, string]
    const at = `${kinds[kind].list}${path(fields.text('name'), name)}`
    await ask('PUT', at, { body: { value: Number(fields.text('value')) } })
    say({ kind: 'done', text: t('saved') })
    refresh()
  }
  const take = async ({ kind, of, name }: Limit): Promise<void> => {
    await attempt(() => ask('DELETE', `${kinds[kind].list}${path(of, name)}`), t('saved'))
    refresh()
  }
  return (
    <Card title="limits">
      {limits.length === 0 ? (
        <p class="muted">{t('noLimits')}</p>
      ) : (
        <Table
          caption="limits"
          columns={mayChange ? [...limitColumns, actionOf(take)] : limitColumns}
          rows={limits}
          rowKey={({ kind, of, name }) => JSON.stringify([kind, of, name])}
        />
      )}
      {mayChange && (
        <Form doIt="save" submit={give}>
          <div class="row end">
            <Choice
              name="limit"
              label="limit"
              of={['vhost max-connections', 'vhost max-queues', 'user max-connections', 'user max-channels']}
            />
            <Field name="name" label="name" isNeeded />
            <Field name="value" label="atMost" type="number" isNeeded />
          </div>
        </Form>
      )}
    </Card>
  )
}

const limitColumns: readonly Column<Limit>[] = [
  {
    head: 'name',
    kind: 'name',
    cell: ({ kind, of, name }) => (
      <>
        <NameLink of={of} to={[kinds[kind].page, of]} />
        <span class="more">
          {t(kinds[kind].title satisfies Key)} · {visible(name)}
        </span>
      </>
    ),
  },
  { head: 'atMost', kind: 'n', cell: ({ value }) => whole(value) },
]

function actionOf(take: (limit: Limit) => Promise<void>): Column<Limit> {
  return {
    head: 'action',
    cell: (limit) => (
      <button type="button" class="danger" onClick={() => void take(limit)}>
        {t('takeAway')}
      </button>
    ),
  }
}
