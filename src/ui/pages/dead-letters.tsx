/** The workbench for dead letters: where they died and of what, look inside, mend, send back one or all, or throw away. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { visible, visibleName, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say, undoable } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { linkTo } from '../core/route.ts'
import { Browse, type BrowsedMessage } from '../parts/browse.tsx'
import { Card, Chip, Head, Waiting } from '../parts/card.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Area, type Fields, Form } from '../parts/form.tsx'
import { Name } from '../parts/name.tsx'
import { publish } from '../parts/publish-form.tsx'
import { QueueChoice } from '../parts/queue-choice.tsx'
import { type Column, Table } from '../parts/table.tsx'

interface Group {
  readonly queue: string
  readonly reason: string
  readonly exchange: string
  readonly messages: number
}

interface Run {
  readonly state: 'running' | 'done' | 'stopped' | 'failed'
  readonly moved: number
  readonly skipped: number
  readonly error: string | null
}

export function DeadLetters({ home, name }: { home: string; name: string }): JSX.Element {
  return (
    <>
      <Head
        plain={t('deadLetters')}
        title={t('deadLetters')}
        crumbs={
          name === '' ? undefined : (
            <>
              <a href={linkTo(['dead-letters'])}>{t('chooseQueue')}</a> · <Name of={name} />
            </>
          )
        }
      />
      {name === '' ? <QueueChoice page="dead-letters" /> : <Workbench home={home} name={name} />}
    </>
  )
}

const rates = [1, 10, 100, 1_000, 10_000]

function Workbench({ home, name }: { home: string; name: string }): JSX.Element {
  const at = `/queues${path(home, name)}`
  const [perSecond, setPerSecond] = useState(100)
  const { data, failure, refresh } = usePoll<{ is_complete: boolean; groups: readonly Group[] }>(`${at}/deaths`)
  const run = usePoll<Run>(`${at}/redrive`, { everyMs: 2_000 })
  const sendBack = (group: Group | null): void => {
    const body = { rate: perSecond, ...(group === null ? {} : { queue: group.queue, reason: group.reason }) }
    const work = async (): Promise<void> => {
      await ask('POST', `${at}/redrive`, { body })
      run.refresh()
    }
    undoable(t('sendingBack'), work, t('redriveBegun'))
  }
  if (data === null) return <Waiting failure={failure} />
  return (
    <>
      {run.data !== null && <RunState run={run.data} stop={() => ask('DELETE', `${at}/redrive`)} />}
      <Card
        title="deaths"
        more={
          <div class="row">
            <label class="row muted">
              {t('atMost')}
              <select value={perSecond} onChange={({ currentTarget }) => setPerSecond(Number(currentTarget.value))}>
                {rates.map((one) => (
                  <option key={one} value={one}>
                    {whole(one)} {t('perSecond')}
                  </option>
                ))}
              </select>
            </label>
            <button type="button" class="main" disabled={data.groups.length === 0} onClick={() => sendBack(null)}>
              {t('sendAllBack')}
            </button>
          </div>
        }
      >
        {data.groups.length === 0 ? (
          <p class="muted">{t('noDeaths')}</p>
        ) : (
          <Table
            caption="deaths"
            columns={groupColumns(sendBack)}
            rows={data.groups}
            rowKey={(one) => `${one.queue} ${one.reason}`}
          />
        )}
        {!data.is_complete && <p class="warn">{t('notAllCounted')}</p>}
      </Card>
      <Card title="lookInside">
        <Browse
          home={home}
          queue={name}
          actions={(message, again) => (
            <Actions
              of={message}
              home={home}
              queue={name}
              changed={() => {
                again()
                refresh()
              }}
            />
          )}
        />
      </Card>
    </>
  )
}

function groupColumns(sendBack: (group: Group) => void): readonly Column<Group>[] {
  return [
    { head: 'diedIn', kind: 'name', cell: ({ queue }) => <Name of={queue} /> },
    { head: 'reason', cell: ({ reason }) => <Chip>{visible(reason)}</Chip> },
    { head: 'messages', kind: 'n', cell: ({ messages }) => whole(messages) },
    {
      head: 'action',
      cell: (group) => (
        <button type="button" onClick={() => sendBack(group)}>
          {t('sendBack')}
        </button>
      ),
    },
  ]
}

function RunState({ run, stop }: { run: Run; stop: () => Promise<unknown> }): JSX.Element {
  const facts = t('redriveState', { moved: whole(run.moved), skipped: whole(run.skipped) })
  return (
    <div class={`banner row ${run.state === 'failed' ? 'bad' : 'good'}`} role="status">
      <Chip>{visible(run.state)}</Chip>
      {facts} {visible(run.error ?? '')}
      {run.state === 'running' && (
        <button type="button" onClick={() => void attempt(stop, t('stopped'))}>
          {t('stop')}
        </button>
      )}
    </div>
  )
}

interface ActionsProps {
  readonly of: BrowsedMessage
  readonly home: string
  readonly queue: string
  readonly changed: () => void
}

/** The headers of a message, and the queue in which it died last; null where it did not. */
function deathOf({ properties }: BrowsedMessage): { headers: Record<string, unknown>; queue: string | null } {
  const headers = ((properties as Record<string, unknown>)['headers'] ?? {}) as Record<string, unknown>
  const [death] = (Array.isArray(headers['x-death']) ? headers['x-death'] : []) as { queue?: unknown }[]
  return { headers, queue: typeof death?.queue === 'string' ? death.queue : null }
}

function Actions({ of: message, home, queue, changed }: ActionsProps): JSX.Element {
  const [isEditing, setEditing] = useState(false)
  const at = `/queues${path(home, queue)}/messages/${message.sequence}`
  const { headers, queue: origin } = deathOf(message)
  const remove = async (): Promise<void> => {
    await ask('DELETE', at)
    changed()
  }
  // Published and confirmed first, then taken away: twice when something fails in between, never lost.
  const sendBack = async (): Promise<void> => {
    const whole = await ask<BrowsedMessage>('GET', `${at}?encoding=base64`)
    const { CC: _copies, BCC: _hidden, ...kept } = headers
    const { user_id: _user, ...properties } = whole.properties as Record<string, unknown>
    await publish(home, '', {
      routing_key: origin ?? '',
      payload: whole.payload,
      payload_encoding: 'base64',
      properties: { ...properties, headers: kept },
    })
    await remove()
  }
  const edit = async (fields: Fields): Promise<void> => {
    const properties = { ...message.properties, headers: fields.object('headers') }
    const body = { payload: fields.text('payload'), payload_encoding: message.payload_encoding, properties }
    await ask('PUT', at, { body })
    say({ kind: 'done', text: t('saved') })
    setEditing(false)
    changed()
  }
  const isWhole =
    message.payload_encoding === 'string' && new TextEncoder().encode(message.payload).length === message.payload_bytes
  return (
    <>
      {origin !== null && origin !== queue && (
        <button
          type="button"
          onClick={() => undoable(t('sendingBack'), sendBack, t('sentBack', { queue: visibleName(origin) }))}
        >
          {t('sendBack')}
        </button>
      )}
      {isWhole && (
        <button type="button" onClick={() => setEditing(true)}>
          {t('edit')}
        </button>
      )}
      <button type="button" class="danger" onClick={() => undoable(t('deletingMessage'), remove, t('messageDeleted'))}>
        {t('delete')}
      </button>
      {isEditing && (
        <Dialog title={t('edit')} close={() => setEditing(false)}>
          <Form doIt="save" submit={edit} cancel={() => setEditing(false)}>
            <p class="muted">{t('editText')}</p>
            <Area name="payload" label="payload" value={message.payload} />
            <Area name="headers" label="headers" value={JSON.stringify(headers, null, 2)} />
          </Form>
        </Dialog>
      )}
    </>
  )
}
