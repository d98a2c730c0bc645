/** Looks at messages of a queue. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { t } from '../core/language.ts'
import { sentenceOf } from '../core/notices.ts'
import { MessageView, type ShownMessage } from './message.tsx'

interface BrowseProps {
  readonly home: string
  readonly queue: string
  readonly type: string
}

/** Of each body so many bytes are asked for. */
export const payloadBytesMax = 50_000
const countMax = 10

export function Browse({ home, queue }: BrowseProps): JSX.Element {
  const [messages, setMessages] = useState<readonly ShownMessage[] | null>(null)
  const [failure, setFailure] = useState<string | null>(null)
  const look = async (): Promise<void> => {
    const body = { count: countMax, ackmode: 'ack_requeue_true', encoding: 'auto', truncate: payloadBytesMax }
    try {
      setMessages(await ask<readonly ShownMessage[]>('POST', `/queues${path(home, queue)}/get`, { body }))
      setFailure(null)
    } catch (error) {
      setFailure(sentenceOf(error))
    }
  }
  return (
    <div class="form">
      <div class="row">
        <button type="button" onClick={() => void look()}>
          {t('lookNow')}
        </button>
      </div>
      {failure !== null && (
        <p class="bad" role="alert">
          {failure}
        </p>
      )}
      {messages?.length === 0 && <p class="muted">{t('nothingWaits')}</p>}
      {messages?.map((message, index) => (
        <MessageView key={index} of={message} />
      ))}
    </div>
  )
}
