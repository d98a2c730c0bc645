/**
 * The workbench for dead letters: of all queues, where they died and of what; look inside, mend, send back one or all and
 * take that back, or throw away.
 */
import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { clock, moment, visible, visibleName, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say, undoable } from '../core/notices.ts'
import { usePoll } from '../core/poll.ts'
import { goTo, linkTo, queryText } from '../core/route.ts'
import { vhost } from '../core/vhost.ts'
import { Browse, type BrowsedMessage } from '../parts/browse.tsx'
import { Card, Chip, Drawer, Head, Waiting } from '../parts/card.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { Area, type Fields, Form } from '../parts/form.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { QueueChoice } from '../parts/queue-choice.tsx'
import { State } from '../parts/state.tsx'
import { type Column, Table } from '../parts/table.tsx'

interface Group {
  readonly queue: string
  readonly reason: string
  readonly exchange: string
  readonly messages: number
  readonly first_died_at: number | null
  readonly last_arrived_at: number
}

interface Run {
  readonly state: 'running' | 'done' | 'stopped' | 'failed'
  readonly moved: number
  readonly skipped: number
  readonly error: string | null
  readonly undo_until: number | null
  readonly undo: {
    readonly state: 'running' | 'done' | 'failed'
    readonly undone: number
    readonly taken: number | null
    readonly error: string | null
  } | null
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
              <a href={linkTo(['dead-letters'])}>{t('allQueues')}</a> · <Name of={name} />
            </>
          )
        }
      />
      {name === '' ? (
        <>
          <Everywhere />
          <Drawer title="chooseQueue">
            <QueueChoice page="dead-letters" />
          </Drawer>
        </>
      ) : (
        <Workbench home={home} name={name} />
      )}
    </>
  )
}

const rates = [1, 10, 100, 1_000, 10_000]

function RateChoice({ chosen, choose }: { chosen: number; choose: (rate: number) => void }): JSX.Element {
  return (
    <label class="row muted">
      {t('atMost')}
      <select value={chosen} onChange={({ currentTarget }) => choose(Number(currentTarget.value))}>
        {rates.map((one) => (
          <option key={one} value={one}>
            {whole(one)} {t('perSecond')}
          </option>
        ))}
      </select>
    </label>
  )
}

const groupColumns: readonly Column<Group>[] = [
  { head: 'diedIn', kind: 'name', cell: ({ queue }) => <Name of={queue} /> },
  { head: 'reason', cell: ({ reason }) => <Chip>{visible(reason)}</Chip> },
  { head: 'exchange', priority: 3, cell: ({ exchange }) => <Name of={exchange} /> },
  { head: 'messages', kind: 'n', cell: ({ messages }) => whole(messages) },
  { head: 'firstDeath', priority: 2, cell: ({ first_died_at: at }) => (at === null ? '–' : moment(at)) },
]

/** Sends back what is in one queue, all or a group of it, and goes there: that page says how far it is, and can undo it. */
async function sendBack(home: string, name: string, body: object): Promise<void> {
  if (await attempt(() => ask('POST', `/queues${path(home, name)}/redrive`, { body }), t('redriveBegun'))) {
    goTo(['dead-letters', home, name])
  }
}

// ---------------------------------------------------------------- of all queues

interface HeldGroup extends Group {
  readonly vhost: string
  readonly holder: string
}

interface Part {
  readonly groups: readonly HeldGroup[]
  readonly queues_left: number
  readonly next: string | null
}

/** Groups that are shown. */
const groupsMax = 500

/** The broker looks at so many queues and messages for one answer; the page asks until it has been through all. */
function Everywhere(): JSX.Element {
  const [perSecond, setPerSecond] = useState(100)
  const [seen, setSeen] = useState<{ groups: readonly HeldGroup[]; next: string | null }>({ groups: [], next: '' })
  const base = vhost.value === null ? '/warren/dead-letters' : `/warren/dead-letters${path(vhost.value)}`
  const at = seen.next === null ? null : `${base}?${queryText({ after: seen.next })}`
  const { data, failure } = usePoll<Part>(at, { everyMs: 0 })
  useEffect(() => {
    if (data === null) return
    setSeen(({ groups }) => ({ groups: together([...groups, ...data.groups]), next: data.next }))
  }, [data])
  const columns: readonly Column<HeldGroup>[] = [
    {
      head: 'queue',
      kind: 'name',
      cell: ({ vhost: home, holder }) => (
        <>
          <NameLink of={holder} to={['dead-letters', home, holder]} />
          {home !== '/' && <span class="more">{visibleName(home)}</span>}
        </>
      ),
    },
    ...groupColumns,
    {
      head: 'action',
      cell: ({ vhost: home, holder, queue, reason }) => (
        <button type="button" onClick={() => void sendBack(home, holder, { rate: perSecond, queue, reason })}>
          {t('sendBack')}
        </button>
      ),
    },
  ]
  const isLooking = seen.next !== null && failure === null
  return (
    <Card title="deaths" more={<RateChoice chosen={perSecond} choose={setPerSecond} />}>
      {failure !== null && <Waiting failure={failure} />}
      {isLooking && <p class="muted">{t('lookingOn', { count: whole(data?.queues_left ?? 0) })}</p>}
      {!isLooking && seen.groups.length === 0 && failure === null && <p class="muted">{t('noDeathsAnywhere')}</p>}
      {seen.groups.length > 0 && (
        <Table
          caption="deaths"
          columns={columns}
          rows={seen.groups.slice(0, groupsMax)}
          rowKey={(one) => JSON.stringify([one.vhost, one.holder, one.queue, one.reason, one.exchange])}
        />
      )}
      {seen.groups.length > groupsMax && <p class="muted">{t('andMore', { count: seen.groups.length - groupsMax })}</p>}
    </Card>
  )
}

/** A long queue comes in several answers: its groups are added up. The largest first. */
function together(groups: readonly HeldGroup[]): readonly HeldGroup[] {
  const found = new Map<string, HeldGroup>()
  for (const group of groups) {
    const key = JSON.stringify([group.vhost, group.holder, group.queue, group.reason, group.exchange])
    const before = found.get(key)
    const messages = group.messages + (before?.messages ?? 0)
    found.set(key, { ...group, messages, first_died_at: before?.first_died_at ?? group.first_died_at })
  }
  return [...found.values()].sort((a, b) => b.messages - a.messages)
}

// ---------------------------------------------------------------- of one queue

function Workbench({ home, name }: { home: string; name: string }): JSX.Element {
  const at = `/queues${path(home, name)}`
  const [perSecond, setPerSecond] = useState(100)
  const { data, failure, refresh } = usePoll<{ is_complete: boolean; groups: readonly Group[] }>(`${at}/deaths`)
  const run = usePoll<Run>(`${at}/redrive`, { everyMs: 2_000 })
  const send = (body: object): void => void sendBack(home, name, { rate: perSecond, ...body }).then(run.refresh)
  if (data === null) return <Waiting failure={failure} />
  return (
    <>
      {run.data !== null && (
        <RunState
          run={run.data}
          stop={() => void attempt(() => ask('DELETE', `${at}/redrive`), t('stopped')).then(run.refresh)}
          undo={() => void attempt(() => ask('POST', `${at}/redrive/undo`), t('undoBegun')).then(run.refresh)}
        />
      )}
      <Card
        title="deaths"
        more={
          <div class="row">
            <RateChoice chosen={perSecond} choose={setPerSecond} />
            <button type="button" class="main" disabled={data.groups.length === 0} onClick={() => send({})}>
              {t('sendAllBack')}
            </button>
          </div>
        }
      >
        <Groups of={data.groups} send={send} />
        {!data.is_complete && <p class="warn">{t('notAllCounted')}</p>}
      </Card>
      <Card title="lookInside">
        <Browse
          key={`${run.data?.state} ${run.data?.undo?.state}`}
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
                run.refresh()
              }}
            />
          )}
        />
      </Card>
    </>
  )
}

interface GroupsProps {
  readonly of: readonly Group[]
  readonly send: (body: object) => void
}

function Groups({ of, send }: GroupsProps): JSX.Element {
  if (of.length === 0) return <p class="muted">{t('noDeaths')}</p>
  const action: Column<Group> = {
    head: 'action',
    cell: ({ queue, reason }) => (
      <button type="button" onClick={() => send({ queue, reason })}>
        {t('sendBack')}
      </button>
    ),
  }
  return (
    <Table
      caption="deaths"
      columns={[...groupColumns, action]}
      rows={of}
      rowKey={(one) => JSON.stringify([one.queue, one.reason, one.exchange])}
    />
  )
}

interface RunStateProps {
  readonly run: Run
  readonly stop: () => void
  readonly undo: () => void
}

function RunState({ run, stop, undo }: RunStateProps): JSX.Element {
  const { moved, skipped, state, error, undo: undoing } = run
  const isBad = state === 'failed' || undoing?.state === 'failed'
  return (
    <div class={`banner row ${isBad ? 'bad' : 'good'}`} role="status">
      <State of={undoing?.state ?? state} />
      {/* What counts up is not read out each time. */}
      <span aria-live={(undoing?.state ?? state) === 'running' ? 'off' : 'polite'}>
        {t('redriveState', { moved: whole(moved), skipped: whole(skipped) })} {visible(error ?? '')}{' '}
        {undoing !== null && t('undoState', { undone: whole(undoing.undone), moved: whole(moved) })}{' '}
        {(undoing?.taken ?? 0) > 0 && t('undoTaken', { taken: whole(undoing?.taken ?? 0) })}{' '}
        {visible(undoing?.error ?? '')}
      </span>
      {state === 'running' && (
        <button type="button" onClick={stop}>
          {t('stop')}
        </button>
      )}
      {run.undo_until !== null && (
        <button type="button" onClick={undo} title={t('undoUntil', { time: clock(run.undo_until) })}>
          {t('undo')}
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
  const sendOne = async (): Promise<void> => {
    const body = { sequence: message.sequence }
    if (await attempt(() => ask('POST', `/queues${path(home, queue)}/redrive`, { body }), t('redriveBegun'))) changed()
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
        <button type="button" onClick={() => void sendOne()}>
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
