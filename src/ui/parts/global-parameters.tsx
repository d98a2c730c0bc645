/** Values that hold for the whole broker: listed, set and taken away. */
import type { JSX } from 'preact'
import { ask, path } from '../core/api.ts'
import { value, visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { Card } from './card.tsx'
import { confirmed } from './dialog.tsx'
import { Field, type Fields, Form } from './form.tsx'
import { Name } from './name.tsx'
import { type Column, Table } from './table.tsx'

interface Parameter {
  readonly name: string
  readonly value: unknown
}

const list = '/global-parameters'

/** A text without quotation marks is one. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

export function GlobalParameters(): JSX.Element {
  const { data, refresh } = usePoll<readonly Parameter[]>(list, { everyMs: 15_000 })
  const give = async (fields: Fields): Promise<void> => {
    await ask('PUT', `${list}${path(fields.text('name'))}`, { body: { value: jsonOf(fields.text('value')) } })
    say({ kind: 'done', text: t('saved') })
    refresh()
  }
  const take = async ({ name }: Parameter): Promise<void> => {
    if (!(await confirmed({ title: t('takeAway'), text: <Name of={name} />, doIt: 'takeAway' }))) return
    await attempt(() => ask('DELETE', `${list}${path(name)}`), t('deleted', { name: visible(name) }))
    refresh()
  }
  const columns: readonly Column<Parameter>[] = [
    { head: 'name', kind: 'name', cell: ({ name }) => <Name of={name} /> },
    { head: 'value', cell: ({ value: json }) => <span class="mono clip">{value(json)}</span> },
    {
      head: 'action',
      cell: (parameter) => (
        <button type="button" class="danger" onClick={() => void take(parameter)}>
          {t('takeAway')}
        </button>
      ),
    },
  ]
  return (
    <Card title="globalParameters">
      <p class="muted">{t('globalsText')}</p>
      {(data?.length ?? 0) > 0 && (
        <Table caption="globalParameters" columns={columns} rows={data ?? []} rowKey={({ name }) => name} />
      )}
      <Form doIt="save" submit={give}>
        <div class="row end">
          <Field name="name" label="name" placeholder="cluster_name" isNeeded />
          <Field name="value" label="value" placeholder="orders-production" isNeeded />
        </div>
      </Form>
    </Card>
  )
}
