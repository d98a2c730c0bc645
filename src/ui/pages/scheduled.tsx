/** Messages that wait for their time: when they are due, and another time for them, or none. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { bytes, duration, moment, visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { say, undoable } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { linkTo } from '../core/route.ts'
import { now } from '../core/time.ts'
import { Card, Chip, Head, Waiting } from '../parts/card.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Field, type Fields, Form } from '../parts/form.tsx'
import { Moment, Name } from '../parts/name.tsx'
import { QueueChoice } from '../parts/queue-choice.tsx'
import { type Column, Table } from '../parts/table.tsx'

interface ScheduledRow {
  readonly sequence: number
  readonly message_id: string | null
  readonly deliver_at: number
  readonly payload_bytes: number
  readonly is_retry: boolean
}

export function Scheduled({ home, name }: { home: string; name: string }): JSX.Element {
  return (
    <>
      <Head
        plain={t('scheduled')}
        title={t('scheduled')}
        crumbs={
          name === '' ? undefined : (
            <>
              <a href={linkTo(['scheduled'])}>{t('chooseQueue')}</a> · <Name of={name} />
            </>
          )
        }
      />
      {name === '' ? <QueueChoice page="scheduled" /> : <Waiters home={home} name={name} />}
    </>
  )
}

const pageMessages = 100

function Waiters({ home, name }: { home: string; name: string }): JSX.Element {
  const [after, setAfter] = useState(0)
  const [moving, setMoving] = useState<ScheduledRow | null>(null)
  const at = `/queues${path(home, name)}/scheduled`
  const { data, failure, refresh } = usePoll<readonly ScheduledRow[]>(`${at}?after=${after}&limit=${pageMessages}`)
  if (data === null) return <Waiting failure={failure} />
  const cancel = ({ message_id: id }: ScheduledRow): void => {
    const work = async (): Promise<void> => {
      await ask('DELETE', `${at}${path(id ?? '')}`)
      refresh()
    }
    undoable(t('deletingMessage'), work, t('messageDeleted'))
  }
  return (
    <Card
      title="scheduled"
      more={
        <div class="row">
          {after > 0 && (
            <button type="button" onClick={() => setAfter(0)}>
              {t('fromStart')}
            </button>
          )}
          {data.length === pageMessages && (
            <button type="button" onClick={() => setAfter(data.at(-1)?.sequence ?? 0)}>
              {t('nextMessages')}
            </button>
          )}
        </div>
      }
    >
      {data.length === 0 ? (
        <p class="muted">{t('nothingWaits')}</p>
      ) : (
        <Table
          caption="scheduled"
          columns={columnsOf(cancel, setMoving)}
          rows={data}
          rowKey={(row) => String(row.sequence)}
        />
      )}
      {moving !== null && (
        <Move at={`${at}${path(moving.message_id ?? '')}`} of={moving} close={() => setMoving(null)} moved={refresh} />
      )}
    </Card>
  )
}

function columnsOf(
  cancel: (row: ScheduledRow) => void,
  move: (row: ScheduledRow) => void,
): readonly Column<ScheduledRow>[] {
  return [
    {
      head: 'messageId',
      kind: 'name',
      cell: ({ message_id: id, is_retry: isRetry }) => (
        <>
          {id === null ? <span class="muted">–</span> : <Name of={id} />} {isRetry && <Chip>{t('retry')}</Chip>}
        </>
      ),
    },
    {
      head: 'dueAt',
      cell: ({ deliver_at: at }) => (
        <>
          <Moment of={at} /> <span class="more">{t('dueIn', { time: duration(Math.max(0, at - now())) })}</span>
        </>
      ),
    },
    { head: 'size', kind: 'n', priority: 2, cell: (row) => bytes(row.payload_bytes) },
    {
      head: 'action',
      cell: (row) =>
        row.message_id !== null &&
        row.message_id !== '' && (
          <div class="row">
            <button type="button" onClick={() => move(row)}>
              {t('otherTime')}
            </button>
            <button type="button" class="danger" onClick={() => cancel(row)}>
              {t('delete')}
            </button>
          </div>
        ),
    },
  ]
}

interface MoveProps {
  readonly at: string
  readonly of: ScheduledRow
  readonly close: () => void
  readonly moved: () => void
}

function Move({ at, of, close, moved }: MoveProps): JSX.Element {
  const submit = async (fields: Fields): Promise<void> => {
    await ask('PUT', at, { body: { deliver_at: new Date(fields.text('time')).getTime() } })
    say({ kind: 'done', text: t('saved') })
    close()
    moved()
  }
  const title = `${t('otherTime')}: ${visible(of.message_id ?? '')}`
  return (
    <Dialog title={title} close={close}>
      <Form doIt="save" submit={submit} cancel={close}>
        <Field
          name="time"
          label="dueAt"
          type="datetime-local"
          value={moment(of.deliver_at).replace(' ', 'T')}
          isNeeded
        />
      </Form>
    </Dialog>
  )
}
