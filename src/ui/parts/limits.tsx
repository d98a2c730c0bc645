/** Limits of a vhost or a user: listed, given and taken away. */
import type { JSX } from 'preact'
import { ask, path } from '../core/api.ts'
import { whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { Card } from './card.tsx'
import { Choice, Field, type Fields, Form } from './form.tsx'
import { type Column, Table } from './table.tsx'

interface LimitsProps {
  readonly list: 'vhost-limits' | 'user-limits'
  readonly of: string
  /** What may be limited. */
  readonly names: readonly string[]
}

type Limit = readonly [name: string, value: number]

export function LimitsCard({ list, of, names }: LimitsProps): JSX.Element {
  const at = `/${list}${path(of)}`
  const { data, refresh } = usePoll<readonly { value: Readonly<Record<string, number>> }[]>(at, { everyMs: 15_000 })
  const limits: readonly Limit[] = Object.entries(data?.[0]?.value ?? {})
  const give = async (fields: Fields): Promise<void> => {
    await ask('PUT', `${at}${path(fields.text('name'))}`, { body: { value: Number(fields.text('value')) } })
    say({ kind: 'done', text: t('saved') })
    refresh()
  }
  const columns: readonly Column<Limit>[] = [
    { head: 'name', kind: 'name', cell: ([name]) => name },
    { head: 'atMost', kind: 'n', cell: ([, value]) => whole(value) },
    {
      head: 'action',
      cell: ([name]) => (
        <button
          type="button"
          class="danger"
          onClick={() => void attempt(() => ask('DELETE', `${at}${path(name)}`), t('saved')).then(refresh)}
        >
          {t('takeAway')}
        </button>
      ),
    },
  ]
  return (
    <Card title="limits">
      {limits.length === 0 ? (
        <p class="muted">{t('noLimits')}</p>
      ) : (
        <Table caption="limits" columns={columns} rows={limits} rowKey={([name]) => name} />
      )}
      <Form doIt="save" submit={give}>
        <div class="row end">
          <Choice name="name" label="limit" of={names} />
          <Field name="value" label="atMost" type="number" isNeeded />
        </div>
      </Form>
    </Card>
  )
}
