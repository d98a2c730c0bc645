/**
 * What pages of other sites may do. The option `http-origins` names those that may use the API: with a login that they bring
 * themselves in `authorization`, never with a cookie or a certificate that the browser adds of its own accord. All others may
 * neither read (no CORS header) nor change anything.
 */
import { ApiError } from './answer.ts'

/**
 * A page of another site may not change anything, even where a browser has a login for us: it can send simple requests
 * without asking. Programs that are no browsers send neither header. Throws 403.
 */
export function refuseForeignPage(headers: Headers): void {
  const site = headers.get('sec-fetch-site')
  if (site !== null && site !== 'same-origin' && site !== 'none') throw foreign()
  const origin = headers.get('origin')
  if (origin !== null && hostOf(origin) !== headers.get('host')) throw foreign()
}

/** The page that asks, when it is of another site and `origins` (option `http-origins`) names it; else null. */
export function namedOrigin(headers: Headers, origins: string): string | null {
  const origin = headers.get('origin')
  if (origin === null || origins === 'same-host' || hostOf(origin) === headers.get('host')) return null
  return origins === '*' || origins.split(',').some((named) => named.trim() === origin) ? origin : null
}

/** Seconds for which a browser remembers what a page may send. */
const preflightSeconds = 600

/** Lets the page read the answer, and says what it may send (Fetch, "CORS protocol"). Cookies are not among it. */
export function letRead(origin: string, isPreflight: boolean, headers: Headers): void {
  headers.set('access-control-allow-origin', origin)
  headers.set('access-control-expose-headers', 'allow, warren-unanswered-nodes')
  headers.append('vary', 'origin')
  if (!isPreflight) return
  headers.set('access-control-allow-methods', headers.get('allow') ?? '')
  headers.set('access-control-allow-headers', 'authorization, content-type, x-reason')
  headers.set('access-control-max-age', String(preflightSeconds))
}

function hostOf(origin: string): string | null {
  return /^https?:\/\/([^/]+)$/.exec(origin)?.[1] ?? null
}

function foreign(): ApiError {
  return new ApiError(403, 'forbidden', 'requests from pages of other sites are refused')
}
