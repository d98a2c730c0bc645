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

function hostOf(origin: string): string | null {
  return /^https?:\/\/([^/]+)$/.exec(origin)?.[1] ?? null
}

function foreign(): ApiError {
  return new ApiError(403, 'forbidden', 'requests from pages of other sites are refused')
}
