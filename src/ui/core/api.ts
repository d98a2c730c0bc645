/** Asks the HTTP API. Whatever goes wrong is an `ApiFailure` with a sentence for the user. */
import { begin, end, type User } from './session.ts'

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
  /** As JSON; a text is JSON already. */
  readonly body?: unknown
  readonly signal?: AbortSignal
  readonly headers?: Readonly<Record<string, string>>
}

/** The answer's JSON; null where it has none. */
export async function ask<T>(method: Method, path: string, wish: Wish = {}): Promise<T> {
  const response = await send(method, path, wish)
  const text = await response.text()
  return (text === '' ? null : JSON.parse(text)) as T
}

async function send(method: Method, path: string, { body, signal, headers }: Wish): Promise<Response> {
  let response: Response
  try {
    response = await fetch(`api${path}`, {
      method,
      credentials: 'same-origin',
      cache: 'no-store',
      // Other sites cannot send it, and the broker takes the cookie only with it.
      headers: { ...headers, 'x-warren-session': '1' },
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  } catch (error) {
    throw new ApiFailure(0, error instanceof Error ? error.message : String(error))
  }
  if (response.ok) return response
  throw await failureOf(response)
}

async function failureOf(response: Response): Promise<ApiFailure> {
  const said = (await response.json().catch(() => null)) as { error?: unknown; reason?: unknown } | null
  // Not `not_authorised`, which is about this one request.
  if (response.status === 401 && said?.error === 'not_authorized') end(true)
  return new ApiFailure(response.status, typeof said?.reason === 'string' ? said.reason : response.statusText)
}

/** HTTP Basic (RFC 7617), in UTF-8; said once. Rejects with an `ApiFailure`. */
export async function logIn(name: string, password: string): Promise<void> {
  const bytes = new TextEncoder().encode(`${name}:${password}`)
  const authorization = `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`
  begin(await ask<User>('POST', '/session', { headers: { authorization } }))
}

/** With the session that this browser has, if any. */
export async function logInAgain(): Promise<void> {
  begin(await ask<User>('GET', '/whoami'))
}

export async function logOut(): Promise<void> {
  await ask('DELETE', '/session').catch(() => {})
  end()
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
