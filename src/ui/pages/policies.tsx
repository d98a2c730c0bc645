/** Policies: what applies to queues and exchanges by their names. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { mayBe } from '../core/session.ts'
import { listPath, vhost } from '../core/vhost.ts'
import { Card, Head, Waiting } from '../parts/card.tsx'
import { confirmed, Dialog } from '../parts/dialog.tsx'
import { Area, Choice, Field, type Fields, Form } from '../parts/form.tsx'
import { Name } from '../parts/name.tsx'
import { operatorKeys, policyKeys, settingOf } from '../parts/settings.ts'
import { type Column, Table } from '../parts/table.tsx'

interface Policy {
  readonly name: string
  readonly vhost: string
  readonly pattern: string
  readonly 'apply-to': string
  readonly priority: number
  readonly definition: Readonly<Record<string, unknown>>
}

type Kind = 'policies' | 'operator-policies'

export function Policies(): JSX.Element {
  return (
    <>
      <Head title={t('policies')} plain={t('policies')} />
      <PolicyCard kind="policies" mayChange />
      <PolicyCard kind="operator-policies" mayChange={mayBe('administrator')} />
    </>
  )
}

/** Null: none is being changed; a policy without a name is a new one. */
type Editing = Partial<Policy> | null

function PolicyCard({ kind, mayChange }: { kind: Kind; mayChange: boolean }): JSX.Element {
  const [editing, setEditing] = useState<Editing>(null)
  const { data, failure, refresh } = usePoll<readonly Policy[]>(listPath(`/${kind}`), { everyMs: 15_000 })
  const remove = async ({ vhost: home, name }: Policy): Promise<void> => {
    const text = t('deletePolicyText', { name: visible(name) })
    if (!(await confirmed({ title: t('delete'), text, doIt: 'delete' }))) return
    await attempt(() => ask('DELETE', `/${kind}${path(home, name)}`), t('deleted', { name: visible(name) }))
    refresh()
  }
  const actions: Column<Policy> = {
    head: 'action',
    cell: (policy) => (
      <div class="row">
        <button type="button" onClick={() => setEditing(policy)}>
          {t('edit')}
        </button>
        <button type="button" class="danger" onClick={() => void remove(policy)}>
          {t('delete')}
        </button>
      </div>
    ),
  }
  return (
    <Card
      title={kind === 'policies' ? 'policies' : 'operatorPolicies'}
      more={
        mayChange && (
          <button type="button" onClick={() => setEditing({})}>
            {t('newPolicy')}
          </button>
        )
      }
    >
      {data === null && <Waiting failure={failure} />}
      {data?.length === 0 && <p class="muted">{t('noPolicies')}</p>}
      {data !== null && data.length > 0 && (
        <Table
          caption="policies"
          columns={mayChange ? [...columns, actions] : columns}
          rows={data}
          rowKey={({ vhost: home, name }) => `${home} ${name}`}
        />
      )}
      {editing !== null && <PolicyForm kind={kind} of={editing} close={() => setEditing(null)} changed={refresh} />}
    </Card>
  )
}

const columns: readonly Column<Policy>[] = [
  {
    head: 'name',
    kind: 'name',
    cell: ({ name, vhost: home }) => (
      <>
        <Name of={name} /> <span class="more">{visible(home)}</span>
      </>
    ),
  },
  { head: 'pattern', cell: ({ pattern }) => <span class="mono clip">{visible(pattern)}</span> },
  { head: 'applyTo', priority: 2, cell: (policy) => visible(policy['apply-to']) },
  { head: 'priority', kind: 'n', priority: 2, cell: ({ priority }) => priority },
  { head: 'applied', priority: 2, cell: ({ definition }) => <Definition of={definition} /> },
]

/** A line for each key. */
function Definition({ of }: { of: Policy['definition'] }): JSX.Element {
  return (
    <>
      {Object.entries(of).map(([key, json]) => (
        <div key={key}>
          <span class="clip">
            <span class="mono">{visible(key)}</span> {settingOf(key, json)}
          </span>
        </div>
      ))}
    </>
  )
}

interface PolicyFormProps {
  readonly kind: Kind
  readonly of: Partial<Policy>
  readonly close: () => void
  readonly changed: () => void
}

function PolicyForm({ kind, of, close, changed }: PolicyFormProps): JSX.Element {
  const submit = async (fields: Fields): Promise<void> => {
    const body = {
      pattern: fields.text('pattern'),
      'apply-to': fields.text('applyTo'),
      priority: Number(fields.text('priority')),
      definition: fields.object('definition'),
    }
    await ask('PUT', `/${kind}${path(of.vhost ?? fields.text('vhost'), of.name ?? fields.text('name'))}`, { body })
    say({ kind: 'done', text: t('saved') })
    close()
    changed()
  }
  return (
    <Dialog title={of.name === undefined ? t('newPolicy') : visible(of.name)} close={close}>
      <Form doIt="save" submit={submit} cancel={close}>
        {of.name === undefined && <Field name="name" label="name" isNeeded />}
        {of.vhost === undefined && <Field name="vhost" label="vhost" value={vhost.value ?? '/'} isNeeded />}
        <Field name="pattern" label="pattern" value={of.pattern ?? ''} isNeeded />
        <Choice name="applyTo" label="applyTo" of={['queues', 'exchanges', 'all']} value={of['apply-to'] ?? 'queues'} />
        <Field name="priority" label="priority" type="number" value={String(of.priority ?? 0)} />
        <Area
          name="definition"
          label="definition"
          value={of.definition === undefined ? '' : JSON.stringify(of.definition, null, 2)}
          placeholder={'{"max-length": 100000}'}
          keys={kind === 'policies' ? policyKeys : operatorKeys}
        />
      </Form>
    </Dialog>
  )
}
