/** Streams: from which offset to which, and how far behind each reader is. */
import type { JSX } from 'preact'
import { rate, whole } from '../core/format.ts'
import { t } from '../core/language.ts'
import { rateOf } from '../core/samples.ts'
import { listPath } from '../core/vhost.ts'
import { Card, Chip, Head } from '../parts/card.tsx'
import { Name, NameLink } from '../parts/name.tsx'
import { type Column, PagedList, Table } from '../parts/table.tsx'
import type { QueueRow } from './queues.tsx'

interface Reader {
  readonly tag: string
  readonly name: string | null
  readonly next: number
}

/** What is missing is not known while nobody uses the stream. */
export interface StreamRow extends QueueRow {
  readonly first_offset?: number
  readonly next_offset?: number
  readonly stream_readers?: readonly Reader[]
}

/** How many messages the last of them has not had yet; null: nobody reads. */
function furthestBehind({ next_offset: next = 0, stream_readers: readers = [] }: StreamRow): number | null {
  return readers.length === 0 ? null : Math.max(...readers.map((reader) => Math.max(0, next - reader.next)))
}

const offset = (value: number | undefined): string => (value === undefined ? '–' : whole(value))

const columns: readonly Column<StreamRow>[] = [
  {
    head: 'name',
    sort: 'name',
    kind: 'name',
    cell: ({ name, vhost }) => <NameLink of={name} to={['queue', vhost, name]} />,
  },
  { head: 'messages', sort: 'messages', kind: 'n', cell: ({ messages = 0 }) => whole(messages) },
  { head: 'firstOffset', kind: 'n', priority: 2, cell: (stream) => offset(stream.first_offset) },
  { head: 'nextOffset', kind: 'n', priority: 2, cell: (stream) => offset(stream.next_offset) },
  { head: 'inRate', kind: 'n', priority: 2, cell: ({ message_stats: stats }) => rate(rateOf(stats, 'publish')) },
  { head: 'consumers', sort: 'consumers', kind: 'n', priority: 2, cell: ({ consumers = 0 }) => whole(consumers) },
  {
    head: 'behind',
    kind: 'n',
    cell: (stream) => {
      const behind = furthestBehind(stream)
      return behind === null ? '–' : <Chip kind={behind > 10_000 ? 'warn' : ''}>{whole(behind)}</Chip>
    },
  },
]

export function Streams(): JSX.Element {
  return (
    <>
      <Head title={t('streams')} plain={t('streams')} />
      <PagedList
        caption="streams"
        path={listPath('/queues')}
        query={{ type: 'stream' }}
        columns={columns}
        rowKey={({ vhost, name }) => `${vhost} ${name}`}
        empty="noStreams"
      />
    </>
  )
}

/** On the page of one. */
export function StreamCard({ of }: { of: StreamRow }): JSX.Element {
  const { first_offset: first, next_offset: next = 0, stream_readers: readers = [] } = of
  const readerColumns: readonly Column<Reader>[] = [
    { head: 'name', kind: 'name', cell: ({ name, tag }) => <Name of={name ?? tag} /> },
    { head: 'nextOffset', kind: 'n', cell: (reader) => whole(reader.next) },
    { head: 'behind', kind: 'n', cell: (reader) => whole(Math.max(0, next - reader.next)) },
  ]
  return (
    <Card title="offsets">
      {first === undefined ? (
        <p class="muted">{t('noOffsets')}</p>
      ) : (
        <p>{t('fromTo', { first: whole(first), next: whole(next) })}</p>
      )}
      {readers.length > 0 && (
        <Table
          caption="offsets"
          columns={readerColumns}
          rows={readers}
          rowKey={({ tag, name }) => `${tag} ${name ?? ''}`}
        />
      )}
    </Card>
  )
}
