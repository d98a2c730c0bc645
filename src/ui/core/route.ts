/** Where the user is: `#/queues/%2F/orders?page=2`, names percent-encoded. The fragment never leaves the browser. */
import { signal } from './signal.ts'

export interface Place {
  /** Decoded; the first is the page. */
  readonly names: readonly string[]
  readonly query: URLSearchParams
}

export const place = signal<Place>(placeOf(location.hash))

addEventListener('hashchange', () => {
  place.value = placeOf(location.hash)
})

export function placeOf(hash: string): Place {
  const [names = '', query = ''] = split(hash.replace(/^#\/?/, ''))
  return { names: names.split('/').map(decoded), query: new URLSearchParams(query) }
}

function split(text: string): [string, string] {
  const at = text.indexOf('?')
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** What is no encoding stands for itself: users write addresses by hand. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>

export function linkTo(names: readonly string[], query: Query = {}): string {
  const path = names.map((name) => encodeURIComponent(name)).join('/')
  const text = queryText(query)
  return `#/${path}${text === '' ? '' : `?${text}`}`
}

/** Without what is null, missing, false or empty. */
export function queryText(query: Query): string {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== false && value !== '') params.set(name, String(value))
  }
  return params.toString()
}

/** Changes the query of where the user is; `replace` leaves no step in the history. */
export function setQuery(changes: Query, { replace = false } = {}): void {
  const { names, query } = place.value
  const link = linkTo(names, { ...Object.fromEntries(query), ...changes })
  if (replace) {
    history.replaceState(null, '', link)
    place.value = placeOf(link)
  } else location.hash = link
}

export function goTo(names: readonly string[], query: Query = {}): void {
  location.hash = linkTo(names, query)
}
