/** Virtual hosts: made, limited and deleted, and who may do what in one. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { rate, short, visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { goTo, linkTo } from '../core/route.ts'
import { rateOf, type Stats } from '../core/samples.ts'
import { Card, Facts, Head, Waiting } from '../parts/card.tsx'
import { confirmed, Dialog } from '../parts/dialog.tsx'
import { Choice, Field, type Fields, Form } from '../parts/form.tsx'
import { LimitsCard } from '../parts/limits.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { type Column, PagedList, Table } from '../parts/table.tsx'
import { Chips, type Permission, rightColumns } from './users.tsx'

interface VhostRow {
  readonly name: string
  readonly description?: string
  readonly default_queue_type?: string
  readonly messages?: number
  readonly message_stats?: Stats
}

const columns: readonly Column<VhostRow>[] = [
  { head: 'name', sort: 'name', kind: 'name', cell: ({ name }) => <NameLink of={name} to={['vhost', name]} /> },
  {
    head: 'description',
    priority: 2,
    cell: ({ description = '' }) => <span class="clip">{visible(description)}</span>,
  },
  { head: 'messages', sort: 'messages', kind: 'n', cell: ({ messages = 0 }) => short(messages) },
  { head: 'inRate', kind: 'n', priority: 3, cell: ({ message_stats: stats }) => rate(rateOf(stats, 'publish')) },
  { head: 'outRate', kind: 'n', priority: 3, cell: ({ message_stats: stats }) => rate(rateOf(stats, 'deliver_get')) },
]

/** Who may do something there. */
function usersColumn(rights: readonly Permission[] | null): Column<VhostRow> {
  return {
    head: 'user',
    priority: 2,
    cell: ({ name }) => <Chips of={(rights ?? []).filter(({ vhost }) => vhost === name).map(({ user }) => user)} />,
  }
}

export function Vhosts(): JSX.Element {
  const [isMaking, setMaking] = useState(false)
  const rights = usePoll<readonly Permission[]>('/permissions', { everyMs: 15_000 })
  return (
    <>
      <Head title={t('vhosts')} plain={t('vhosts')}>
        <button type="button" onClick={() => setMaking(true)}>
          {t('newVhost')}
        </button>
      </Head>
      <PagedList
        caption="vhosts"
        path="/vhosts"
        columns={[...columns, usersColumn(rights.data)]}
        rowKey={({ name }) => name}
        empty="nothingFound"
      />
      {isMaking && <NewVhost close={() => setMaking(false)} />}
    </>
  )
}

function NewVhost({ close }: { close: () => void }): JSX.Element {
  const submit = async (fields: Fields): Promise<void> => {
    const name = fields.text('name')
    const type = fields.text('type')
    const body = { description: fields.text('description'), ...(type === '–' ? {} : { default_queue_type: type }) }
    await ask('PUT', `/vhosts${path(name)}`, { body })
    say({ kind: 'done', text: t('saved') })
    close()
    goTo(['vhost', name])
  }
  return (
    <Dialog title={t('newVhost')} close={close}>
      <Form doIt="make" submit={submit} cancel={close}>
        <Field name="name" label="name" isNeeded />
        <Field name="description" label="description" />
        <Choice name="type" label="defaultType" of={['–', 'classic', 'quorum', 'stream']} />
      </Form>
    </Dialog>
  )
}

export function Vhost({ name }: { name: string }): JSX.Element {
  const at = `/vhosts${path(name)}`
  const { data, failure } = usePoll<VhostRow>(at)
  const rights = usePoll<readonly Permission[]>(`${at}/permissions`, { everyMs: 15_000 })
  const remove = async (): Promise<void> => {
    const text = t('deleteVhostText', { name: visible(name) })
    if (!(await confirmed({ title: t('delete'), text, doIt: 'delete' }))) return
    if (await attempt(() => ask('DELETE', at), t('deleted', { name: visible(name) }))) goTo(['vhosts'])
  }
  return (
    <>
      <Head plain={visible(name)} title={<Name of={name} />} crumbs={<a href={linkTo(['vhosts'])}>{t('vhosts')}</a>}>
        <button type="button" class="danger" onClick={() => void remove()}>
          {t('delete')}
        </button>
      </Head>
      {data === null || failure?.status === 404 ? (
        <Waiting failure={failure} />
      ) : (
        <div class="cols">
          <Card title="facts">
            <Facts
              of={[
                [t('description'), visible(data.description ?? '') || '–'],
                [t('defaultType'), visible(data.default_queue_type ?? '–')],
                [t('messages'), short(data.messages ?? 0)],
              ]}
            />
          </Card>
          <LimitsCard list="vhost-limits" of={name} names={['max-connections', 'max-queues']} />
        </div>
      )}
      <Card title="rights">
        <Table
          caption="rights"
          columns={[userColumn, ...rightColumns.slice(1)]}
          rows={rights.data ?? []}
          rowKey={({ user }) => user}
        />
      </Card>
    </>
  )
}

const userColumn: Column<Permission> = {
  head: 'user',
  kind: 'name',
  cell: ({ user }) => <NameLink of={user} to={['user', user]} />,
}
