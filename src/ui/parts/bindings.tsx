/** Bindings in words: listed, made and taken away. */
import type { JSX } from 'preact'
import { ask, exchangeSegment, path } from '../core/api.ts'
import { value, visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import type { BindingData } from '../pages/queue.tsx'
import { confirmed } from './dialog.tsx'
import { Area, Choice, Field, type Fields, Form } from './form.tsx'
import { NameLink } from './name.tsx'
import { type Column, Table } from './table.tsx'

interface BindingTableProps {
  readonly of: readonly BindingData[]
  /** Which end the page is not about. */
  readonly shows: 'source' | 'destination'
  readonly changed: () => void
}

/** Bindings shown at once. */
const rowsMax = 100

export function BindingTable({ of, shows, changed }: BindingTableProps): JSX.Element {
  if (of.length === 0) return <p class="muted">{t('noBindings')}</p>
  const columns: readonly Column<BindingData>[] = [
    {
      head: shows === 'source' ? 'from' : 'to',
      kind: 'name',
      cell: ({ vhost: home, source, destination, destination_type: kind }) =>
        shows === 'source' ? (
          <NameLink of={source} to={['exchange', home, source]} />
        ) : (
          <NameLink of={destination} to={[kind, home, destination]} />
        ),
    },
    {
      head: 'routingKey',
      cell: ({ routing_key: key, arguments: args }) => (
        <span class="mono clip">
          {visible(key)} {Object.keys(args).length > 0 && value(args)}
        </span>
      ),
    },
    {
      head: 'action',
      cell: (binding) => (
        <button type="button" class="danger" onClick={() => void unbind(binding).then(changed)}>
          {t('unbind')}
        </button>
      ),
    },
  ]
  return (
    <>
      <Table
        caption="bindings"
        columns={columns}
        rows={of.slice(0, rowsMax)}
        rowKey={({ source, destination, destination_type: kind, properties_key: key }) =>
          `${source} ${kind} ${destination} ${key}`
        }
      />
      {of.length > rowsMax && <p class="muted">{t('andMore', { count: of.length - rowsMax })}</p>}
    </>
  )
}

async function unbind(binding: BindingData): Promise<void> {
  const { vhost: home, source, destination, destination_type: kind, properties_key: key } = binding
  const text = t('unbindText', { from: visible(source), to: visible(destination), key: visible(binding.routing_key) })
  if (!(await confirmed({ title: t('unbind'), text, doIt: 'unbind' }))) return
  const ends = `${path(home, 'e', exchangeSegment(source), kind.slice(0, 1), destination, key)}`
  await attempt(() => ask('DELETE', `/bindings${ends}`), t('unbound'))
}

interface BindFormProps {
  readonly home: string
  /** The end that is known. */
  readonly to?: { readonly kind: 'q' | 'e'; readonly name: string }
  readonly from?: string
  readonly changed: () => void
}

export function BindForm({ home, to, from, changed }: BindFormProps): JSX.Element {
  const submit = async (fields: Fields): Promise<void> => {
    const source = from ?? fields.text('source')
    const kind = to?.kind ?? (fields.text('kind') === 'exchange' ? 'e' : 'q')
    const destination = to?.name ?? fields.text('destination')
    const body = { routing_key: fields.text('key'), arguments: fields.object('arguments') }
    await ask('POST', `/bindings${path(home, 'e', source, kind, destination)}`, { body })
    say({ kind: 'done', text: t('bound') })
    changed()
  }
  return (
    <details>
      <summary>{t('bind')}</summary>
      <Form doIt="bind" submit={submit}>
        <div class="row end">
          {from === undefined && <Field name="source" label="exchange" isNeeded />}
          {to === undefined && <Choice name="kind" label="type" of={['queue', 'exchange']} />}
          {to === undefined && <Field name="destination" label="to" isNeeded />}
          <Field name="key" label="routingKey" />
        </div>
        <Area name="arguments" label="arguments" placeholder={'{"x-match": "all"}'} />
      </Form>
    </details>
  )
}
