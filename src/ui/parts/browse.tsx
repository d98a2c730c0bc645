/** Looks at messages of a queue where they are: nothing happens to them. */
import type { ComponentChildren, JSX } from 'preact'
import { useState } from 'preact/hooks'
import { path } from '../core/api.ts'
import { moment } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { queryText } from '../core/route.ts'
import { Chip, Waiting } from './card.tsx'
import { MessageView, type ShownMessage } from './message.tsx'

export interface BrowsedMessage extends ShownMessage {
  readonly sequence: number
  readonly state: 'ready' | 'unacked' | 'waiting'
  readonly arrived_at: number
}

interface BrowseProps {
  readonly home: string
  readonly queue: string
  /** What can be done with one; `refresh` looks again. */
  readonly actions?: (message: BrowsedMessage, refresh: () => void) => ComponentChildren
}

const pageMessages = 10
/** Of each body, in bytes. */
const payloadBytesMax = 20_000
const states = { ready: 'ready', unacked: 'unacked', waiting: 'waiting' } as const satisfies Record<string, Key>

export function Browse({ home, queue, actions }: BrowseProps): JSX.Element {
  const [after, setAfter] = useState(0)
  const query = queryText({ after: String(after), limit: pageMessages, truncate: payloadBytesMax })
  const at = `/queues${path(home, queue)}/messages?${query}`
  const { data, failure, refresh } = usePoll<readonly BrowsedMessage[]>(at, { everyMs: 0 })
  if (data === null || failure !== null) return <Waiting failure={failure} />
  const last = data.at(-1)
  return (
    <div class="form">
      <div class="row">
        <button type="button" onClick={() => (after === 0 ? refresh() : setAfter(0))}>
          {t('fromStart')}
        </button>
        <button type="button" disabled={data.length < pageMessages} onClick={() => setAfter(last?.sequence ?? 0)}>
          {t('nextMessages')}
        </button>
      </div>
      {data.length === 0 && <p class="muted">{t('nothingWaits')}</p>}
      {data.map((message) => (
        <MessageView key={message.sequence} of={message}>
          <span class="muted">#{message.sequence}</span>
          <Chip kind={message.state === 'ready' ? '' : 'warn'}>{t(states[message.state])}</Chip>
          <span class="muted">{moment(message.arrived_at)}</span>
          {actions?.(message, refresh)}
        </MessageView>
      ))}
    </div>
  )
}
