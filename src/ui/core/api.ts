/** Asks the HTTP API. Whatever goes wrong is an `ApiFailure` with a sentence for the user. */
import { authorizationHeader, basicOf, begin, end, keptHeader, type User } from './session.ts'

export class ApiFailure extends Error {
  /** 0: no answer came. */
  readonly status: number

  constructor(status: number, reason: string) {
    super(reason)
    this.status = status
  }
}

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

export interface Wish {
  readonly body?: unknown
  readonly signal?: AbortSignal
  readonly headers?: Readonly<Record<string, string>>
}

/** The answer's JSON; null where it has none. */
export async function ask<T>(method: Method, path: string, wish: Wish = {}): Promise<T> {
  return await asked<T>(method, path, authorizationHeader(), wish)
}

/** The answer itself, whose body may go on for as long as the page wants. */
export async function open(path: string, signal: AbortSignal): Promise<Response> {
  return await send('GET', path, authorizationHeader(), { signal })
}

async function asked<T>(method: Method, path: string, authorization: string | null, wish: Wish): Promise<T> {
  const response = await send(method, path, authorization, wish)
  const text = await response.text()
  return (text === '' ? null : JSON.parse(text)) as T
}

async function send(method: Method, path: string, authorization: string | null, wish: Wish): Promise<Response> {
  const { body, signal, headers = {} } = wish
  let response: Response
  try {
    response = await fetch(`api${path}`, {
      method,
      // Without this the browser would ask for a password itself when one is refused.
      credentials: 'omit',
      cache: 'no-store',
      headers: { ...headers, ...(authorization === null ? {} : { authorization }) },
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    throw new ApiFailure(0, error instanceof Error ? error.message : String(error))
  }
  if (response.ok) return response
  throw await failureOf(response, authorization)
}

async function failureOf(response: Response, authorization: string | null): Promise<ApiFailure> {
  const said = (await response.json().catch(() => null)) as { error?: unknown; reason?: unknown } | null
  // Not `not_authorised`, which is about this one request.
  if (response.status === 401 && said?.error === 'not_authorized' && authorization === authorizationHeader()) end(true)
  return new ApiFailure(response.status, typeof said?.reason === 'string' ? said.reason : response.statusText)
}

/** Rejects with an `ApiFailure`. */
export async function logIn(name: string, password: string, staysInTab: boolean): Promise<void> {
  const header = basicOf(name, password)
  begin(await asked<User>('GET', '/whoami', header, {}), header, staysInTab)
}

/** With what this tab has kept, if anything. */
export async function logInAgain(): Promise<void> {
  const header = keptHeader()
  if (header === null) return
  try {
    begin(await asked<User>('GET', '/whoami', header, {}), header, true)
  } catch (error) {
    if (error instanceof ApiFailure && error.status === 401) end()
    else throw error
  }
}

/**
 * A path of names. Browsers take a segment of one or two dots for a place in the tree, in whatever form it is written, so
 * a request would go elsewhere: refused.
 */
export function path(...names: readonly string[]): string {
  if (names.some((name) => name === '.' || name === '..')) {
    throw new ApiFailure(0, 'Browsers cannot ask for a name of one or two dots; use the command warren.')
  }
  return names.map((name) => `/${encodeURIComponent(name)}`).join('')
}

/** The exchange without a name has one in paths. */
export function exchangeSegment(name: string): string {
  return name === '' ? 'amq.default' : name
}
