/** Tables, and lists that the broker sorts, searches and cuts into pages. What they show is in the address. */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { ApiFailure } from '../core/api.ts'
import { whole } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { usePoll } from '../core/poll.ts'
import { place, type Query, queryText, setQuery } from '../core/route.ts'
import { signal } from '../core/signal.ts'
import { after } from '../core/time.ts'
import { Waiting } from './card.tsx'

export interface Column<T> {
  readonly head: Key
  /** What the API sorts by; left out where it cannot. */
  readonly sort?: string
  readonly kind?: 'name' | 'n'
  /** 2 is left out on phones, 3 on small windows too. */
  readonly priority?: 2 | 3
  /** Shown only to those who want it. */
  readonly isExtra?: true
  readonly cell: (row: T) => ComponentChildren
}

interface TableProps<T> {
  readonly caption: Key
  readonly columns: readonly Column<T>[]
  readonly rows: readonly T[]
  readonly rowKey: (row: T) => string
  /** What it is sorted by now, and the other way round. */
  readonly sorted?: { readonly by: string; readonly isReversed: boolean; readonly sort: (by: string) => void }
}

export function Table<T>({ caption, columns, rows, rowKey, sorted }: TableProps<T>): JSX.Element {
  return (
    <div class="scroll">
      <table class="list">
        <caption class="hidden">{t(caption)}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <HeadCell key={column.head} column={column as Column<never>} sorted={sorted} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => {
                const look = classOf(column as Column<never>)
                return column.kind === 'name' ? (
                  <th key={column.head} scope="row" class={look}>
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.head} class={look}>
                    {column.cell(row)}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** What can be done with a row stands at its end. */
function classOf({ head, kind, priority }: Column<never>): string {
  return `${head === 'action' ? 'n' : (kind ?? '')} ${priority === undefined ? '' : `p${priority}`}`
}

interface HeadCellProps {
  readonly column: Column<never>
  readonly sorted: TableProps<never>['sorted']
}

function HeadCell({ column, sorted }: HeadCellProps): JSX.Element {
  const { head, sort } = column
  if (sort === undefined || sorted === undefined) {
    return (
      <th scope="col" class={classOf(column)}>
        {t(head)}
      </th>
    )
  }
  const isIt = sorted.by === sort
  const order = sorted.isReversed ? 'descending' : 'ascending'
  return (
    <th scope="col" class={classOf(column)} {...(isIt ? { 'aria-sort': order } : {})}>
      <button type="button" onClick={() => sorted.sort(sort)}>
        {t(head)}
        <span aria-hidden="true">{isIt ? (sorted.isReversed ? '↓' : '↑') : '↕'}</span>
      </button>
    </th>
  )
}

// ---------------------------------------------------------------- pages of a list

interface Page<T> {
  readonly items: readonly T[]
  readonly filtered_count: number
  readonly total_count: number
  readonly page: number
  readonly page_count: number
}

interface PagedListProps<T> {
  readonly caption: Key
  /** As `/queues`, or `/queues/{vhost}`. */
  readonly path: string
  readonly query?: Query
  readonly columns: readonly Column<T>[]
  readonly rowKey: (row: T) => string
  readonly empty: Key
  readonly everyMs?: number
}

const pageSize = 50

/** The columns that a user turned on or off, as `queues.policy`. */
const storageKey = 'warren.columns'
const turned = signal<ReadonlySet<string>>(new Set((localStorage.getItem(storageKey) ?? '').split(' ')))

function turn(column: string): void {
  const columns = new Set(turned.value)
  if (!columns.delete(column)) columns.add(column)
  localStorage.setItem(storageKey, [...columns].join(' '))
  turned.value = columns
}

function isShown(list: Key, { head, kind, isExtra }: Column<never>): boolean {
  return kind === 'name' || turned.value.has(`${list}.${head}`) === (isExtra === true)
}

/** What lists are sorted by when nothing else is asked for. */
const firstSort = 'name'

/** By how much there is most of first; by name from the start of the alphabet. */
function sortBy(by: string): void {
  const { query } = place.value
  const isIt = (query.get('sort') ?? firstSort) === by
  const isReversed = isIt ? query.get('sort_reverse') !== 'true' : by !== 'name' && by !== 'vhost'
  setQuery({ sort: by, sort_reverse: isReversed, page: null }, { replace: true })
}

export function PagedList<T>(props: PagedListProps<T>): JSX.Element {
  const { caption, path, query = {}, columns, rowKey, empty, everyMs = 5_000 } = props
  const wish = place.value.query
  const asked = queryText({
    page: wish.get('page') ?? 1,
    page_size: pageSize,
    name: wish.get('name'),
    use_regex: wish.get('use_regex'),
    sort: wish.get('sort') ?? firstSort,
    sort_reverse: wish.get('sort_reverse'),
    pagination: true,
    ...query,
  })
  const { data, failure } = usePoll<Page<T>>(`${path}?${asked}`, { everyMs })
  const isPastEnd = failure?.status === 400 && wish.has('page')
  useEffect(() => {
    if (isPastEnd) setQuery({ page: null }, { replace: true })
  }, [isPastEnd])
  const sorted = { by: wish.get('sort') ?? firstSort, isReversed: wish.get('sort_reverse') === 'true', sort: sortBy }
  return (
    <section class="card" aria-label={t(caption)}>
      <Toolbar page={data} failure={failure}>
        <ColumnChoice list={caption} of={columns as readonly Column<never>[]} />
      </Toolbar>
      {data === null && failure === null && <Waiting failure={null} />}
      {data?.items.length === 0 && <p class="muted">{t(wish.has('name') ? 'nothingFound' : empty)}</p>}
      {data !== null && data.items.length > 0 && (
        <Table
          caption={caption}
          columns={columns.filter((column) => isShown(caption, column as Column<never>))}
          rows={data.items}
          rowKey={rowKey}
          sorted={sorted}
        />
      )}
    </section>
  )
}

function ColumnChoice({ list, of }: { list: Key; of: readonly Column<never>[] }): JSX.Element {
  const [isOpen, setOpen] = useState(false)
  return (
    <details class="menu" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>{t('columns')}</summary>
      {isOpen && (
        <div class="card">
          {of
            .filter(({ kind }) => kind !== 'name')
            .map((column) => (
              <label class="check" key={column.head}>
                <input
                  type="checkbox"
                  checked={isShown(list, column)}
                  onChange={() => turn(`${list}.${column.head}`)}
                />
                {t(column.head)}
              </label>
            ))}
        </div>
      )}
    </details>
  )
}

const typingMs = 250

interface ToolbarProps {
  readonly page: Page<unknown> | null
  readonly failure: ApiFailure | null
  readonly children: ComponentChildren
}

function Toolbar({ page, failure, children }: ToolbarProps): JSX.Element {
  const cancel = useRef<() => void>(() => {})
  const { query } = place.value
  const search = (text: string): void => {
    cancel.current()
    cancel.current = after(typingMs, () => setQuery({ name: text, page: null }, { replace: true }))
  }
  return (
    <div class="row">
      <label class="row">
        <span class="hidden">{t('search')}</span>
        <input
          type="search"
          placeholder={t('search')}
          value={query.get('name') ?? ''}
          onInput={({ currentTarget }) => search(currentTarget.value)}
        />
      </label>
      <label class="check muted">
        <input
          type="checkbox"
          checked={query.get('use_regex') === 'true'}
          onChange={({ currentTarget }) => setQuery({ use_regex: currentTarget.checked }, { replace: true })}
        />
        {t('asExpression')}
      </label>
      {failure !== null && failure.status >= 400 && failure.status < 500 && (
        <span class="bad" role="alert">
          {failure.message}
        </span>
      )}
      {children}
      {page !== null && <Pager page={page} />}
    </div>
  )
}

function Pager({ page: { page, page_count: pages, filtered_count: found } }: { page: Page<unknown> }): JSX.Element {
  const to = (wanted: number): void => setQuery({ page: wanted === 1 ? null : wanted })
  const first = found === 0 ? 0 : (page - 1) * pageSize + 1
  return (
    <nav class="row pager" aria-label={t('pages')}>
      {/* Counts change all the time; they are read out while somebody searches. */}
      <span class="muted" aria-live={place.value.query.has('name') ? 'polite' : 'off'}>
        {t('shownOf', { first: whole(first), last: whole(Math.min(found, page * pageSize)), all: whole(found) })}
      </span>
      {pages > 1 && (
        <>
          <button type="button" aria-label={t('before')} disabled={page <= 1} onClick={() => to(page - 1)}>
            ‹
          </button>
          <button type="button" aria-label={t('next')} disabled={page >= pages} onClick={() => to(page + 1)}>
            ›
          </button>
        </>
      )}
    </nav>
  )
}
