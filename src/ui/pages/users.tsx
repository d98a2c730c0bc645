/** Users, their tags, and what each may do where. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { goTo, linkTo } from '../core/route.ts'
import { Card, Chip, Head } from '../parts/card.tsx'
import { confirmed, Dialog } from '../parts/dialog.tsx'
import { Field, type Fields, Form } from '../parts/form.tsx'
import { LimitsCard } from '../parts/limits.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { type Column, PagedList, Table } from '../parts/table.tsx'

interface UserRow {
  readonly name: string
  readonly tags: readonly string[]
}

export interface Permission {
  readonly user: string
  readonly vhost: string
  readonly configure: string
  readonly write: string
  readonly read: string
}

const columns: readonly Column<UserRow>[] = [
  { head: 'name', sort: 'name', kind: 'name', cell: ({ name }) => <NameLink of={name} to={['user', name]} /> },
  {
    head: 'tags',
    cell: ({ tags }) => <Chips of={tags} />,
  },
]

export function Chips({ of }: { of: readonly string[] }): JSX.Element {
  return (
    <span class="chips">
      {of.map((text) => (
        <Chip key={text}>{visible(text)}</Chip>
      ))}
    </span>
  )
}

/** Where each may do something. */
function vhostsColumn(rights: readonly Permission[] | null): Column<UserRow> {
  return {
    head: 'vhosts',
    priority: 2,
    cell: ({ name }) => {
      if (rights === null) return ''
      const homes = rights.filter(({ user }) => user === name).map(({ vhost }) => vhost)
      return homes.length === 0 ? <Chip kind="warn">{t('nobody')}</Chip> : <Chips of={homes} />
    },
  }
}

export function Users(): JSX.Element {
  const [isMaking, setMaking] = useState(false)
  const rights = usePoll<readonly Permission[]>('/permissions', { everyMs: 15_000 })
  return (
    <>
      <Head title={t('users')} plain={t('users')}>
        <button type="button" onClick={() => setMaking(true)}>
          {t('newUser')}
        </button>
      </Head>
      <PagedList
        caption="users"
        path="/users"
        columns={[...columns, vhostsColumn(rights.data)]}
        rowKey={({ name }) => name}
        empty="nothingFound"
      />
      {isMaking && <UserForm close={() => setMaking(false)} />}
    </>
  )
}

/** Makes a user, or gives one other tags, and another password if there is one. */
function UserForm({ of, close }: { of?: UserRow; close: () => void }): JSX.Element {
  const submit = async (fields: Fields): Promise<void> => {
    const name = of?.name ?? fields.text('name')
    const [password, tags] = [fields.text('password'), fields.text('tags')]
    if (of === undefined || password !== '') await ask('PUT', `/users${path(name)}`, { body: { password, tags } })
    else {
      // A user that is put without a password has none; definitions hold its hash.
      const user = await ask<object>('GET', `/users${path(name)}`)
      await ask('POST', '/definitions', { body: { users: [{ ...user, tags }] } })
    }
    say({ kind: 'done', text: t('saved') })
    close()
    goTo(['user', name])
  }
  return (
    <Dialog title={t(of === undefined ? 'newUser' : 'edit')} close={close}>
      <Form doIt="save" submit={submit} cancel={close}>
        {of === undefined && <Field name="name" label="name" isNeeded />}
        <Field
          name="password"
          label="password"
          type="password"
          placeholder={of === undefined ? '' : t('unchanged')}
          isNeeded={of === undefined}
        />
        <Field name="tags" label="tags" value={of?.tags.join(', ') ?? ''} placeholder="management, monitoring" />
        <p class="muted">{t('tagsText')}</p>
      </Form>
    </Dialog>
  )
}

export function OneUser({ name }: { name: string }): JSX.Element {
  const at = `/users${path(name)}`
  const [isEditing, setEditing] = useState(false)
  const user = usePoll<UserRow>(at, { everyMs: 15_000 })
  const remove = async (): Promise<void> => {
    const text = t('deleteUserText', { name: visible(name) })
    if (!(await confirmed({ title: t('delete'), text, doIt: 'delete' }))) return
    if (await attempt(() => ask('DELETE', at), t('deleted', { name: visible(name) }))) goTo(['users'])
  }
  return (
    <>
      <Head
        plain={visible(name)}
        title={<Name of={name} />}
        crumbs={<a href={linkTo(['users'])}>{t('users')}</a>}
        chips={user.data !== null && <Chips of={user.data.tags} />}
      >
        <button type="button" onClick={() => setEditing(true)}>
          {t('edit')}
        </button>
        <button type="button" class="danger" onClick={() => void remove()}>
          {t('delete')}
        </button>
      </Head>
      <Rights name={name} />
      <TopicRights name={name} />
      <LimitsCard list="user-limits" of={name} names={['max-connections', 'max-channels']} />
      {isEditing && user.data !== null && <UserForm of={user.data} close={() => setEditing(false)} />}
    </>
  )
}

/** What a user may do, in each vhost. */
function Rights({ name }: { name: string }): JSX.Element {
  const rights = usePoll<readonly Permission[]>(`/users${path(name)}/permissions`, { everyMs: 15_000 })
  const give = async (fields: Fields): Promise<void> => {
    const body = { configure: fields.text('configure'), write: fields.text('write'), read: fields.text('read') }
    await ask('PUT', `/permissions${path(fields.text('vhost'), name)}`, { body })
    say({ kind: 'done', text: t('saved') })
    rights.refresh()
  }
  const take = async ({ vhost }: Permission): Promise<void> => {
    const text = t('takeRightsText', { name: visible(name), vhost: visible(vhost) })
    if (!(await confirmed({ title: t('takeAway'), text, doIt: 'takeAway' }))) return
    await attempt(() => ask('DELETE', `/permissions${path(vhost, name)}`), t('saved'))
    rights.refresh()
  }
  return (
    <Card title="rights">
      <p class="muted">{t('rightsText')}</p>
      {rights.data?.length === 0 && <p class="warn">{t('noRights')}</p>}
      <Table
        caption="rights"
        columns={[
          ...rightColumns,
          {
            head: 'action',
            cell: (right) => (
              <button type="button" class="danger" onClick={() => void take(right)}>
                {t('takeAway')}
              </button>
            ),
          },
        ]}
        rows={rights.data ?? []}
        rowKey={({ vhost }) => vhost}
      />
      <Form doIt="save" submit={give}>
        <div class="row end">
          <Field name="vhost" label="vhost" value="/" isNeeded />
          <Field name="configure" label="configure" value=".*" />
          <Field name="write" label="write" value=".*" />
          <Field name="read" label="read" value=".*" />
        </div>
      </Form>
    </Card>
  )
}

export const rightColumns: readonly Column<Permission>[] = [
  { head: 'vhost', kind: 'name', cell: ({ vhost }) => <Name of={vhost} /> },
  ...(['configure', 'write', 'read'] as const).map((kind) => ({
    head: kind,
    cell: (right: Permission) => <span class="mono">{visible(right[kind])}</span>,
  })),
]

// ---------------------------------------------------------------- topics

interface TopicPermission extends Pick<Permission, 'vhost' | 'write' | 'read'> {
  readonly exchange: string
}

/** Which routing keys of a topic exchange; without any, all of them. */
function TopicRights({ name }: { name: string }): JSX.Element {
  const { data, refresh } = usePoll<readonly TopicPermission[]>(`/users${path(name)}/topic-permissions`, {
    everyMs: 15_000,
  })
  const give = async (fields: Fields): Promise<void> => {
    const body = { exchange: fields.text('exchange'), write: fields.text('write'), read: fields.text('read') }
    await ask('PUT', `/topic-permissions${path(fields.text('vhost'), name)}`, { body })
    say({ kind: 'done', text: t('saved') })
    refresh()
  }
  const take = async (home: string): Promise<void> => {
    const text = t('takeTopicsText', { vhost: visible(home) })
    if (!(await confirmed({ title: t('takeAway'), text, doIt: 'takeAway' }))) return
    await attempt(() => ask('DELETE', `/topic-permissions${path(home, name)}`), t('saved'))
    refresh()
  }
  const columns: readonly Column<TopicPermission>[] = [
    { head: 'vhost', kind: 'name', cell: ({ vhost }) => <Name of={vhost} /> },
    { head: 'exchange', cell: ({ exchange }) => <Name of={exchange} /> },
    { head: 'write', cell: ({ write }) => <span class="mono">{visible(write)}</span> },
    { head: 'read', cell: ({ read }) => <span class="mono">{visible(read)}</span> },
    {
      head: 'action',
      cell: ({ vhost }) => (
        <button type="button" class="danger" onClick={() => void take(vhost)}>
          {t('takeAway')}
        </button>
      ),
    },
  ]
  return (
    <Card title="topicRights">
      <p class="muted">{t('topicRightsText')}</p>
      {(data?.length ?? 0) > 0 && (
        <Table
          caption="topicRights"
          columns={columns}
          rows={data ?? []}
          rowKey={({ vhost, exchange }) => JSON.stringify([vhost, exchange])}
        />
      )}
      <Form doIt="save" submit={give}>
        <div class="row end">
          <Field name="vhost" label="vhost" value="/" isNeeded />
          <Field name="exchange" label="exchange" value="amq.topic" />
          <Field name="write" label="write" value=".*" />
          <Field name="read" label="read" value=".*" />
        </div>
      </Form>
    </Card>
  )
}
