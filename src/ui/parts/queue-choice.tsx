/** Chooses the queue that a page is about, and keeps it in the address. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { visibleName } from '../core/format.ts'
import { t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { goTo, queryText } from '../core/route.ts'
import { listPath } from '../core/vhost.ts'
import { NameLink } from './name.tsx'

interface Found {
  readonly name: string
  readonly vhost: string
  readonly messages?: number
}

/** Those whose names have a part in common with what is typed. */
export function QueueChoice({ page }: { page: string }): JSX.Element {
  const [part, setPart] = useState('')
  const query = queryText({ page: 1, page_size: 20, name: part, columns: 'name,vhost,messages' })
  const { data } = usePoll<{ items: readonly Found[] }>(`${listPath('/queues')}?${query}`, { everyMs: 0 })
  return (
    <section class="card" aria-label={t('chooseQueue')}>
      <label class="field">
        {t('chooseQueue')}
        <input
          type="search"
          value={part}
          placeholder={t('search')}
          onInput={({ currentTarget }) => setPart(currentTarget.value)}
          onKeyDown={({ key }) => {
            const first = data?.items[0]
            if (key === 'Enter' && first !== undefined) goTo([page, first.vhost, first.name])
          }}
        />
      </label>
      <ul class="choices">
        {(data?.items ?? []).map(({ name, vhost }) => (
          <li key={`${vhost} ${name}`}>
            <NameLink of={name} to={[page, vhost, name]} />
            {vhost !== '/' && <span class="muted"> {visibleName(vhost)}</span>}
          </li>
        ))}
      </ul>
    </section>
  )
}
