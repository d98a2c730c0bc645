import { plainAddress } from '../../base/network.ts'
import { type Answer, noContent } from './answer.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Login and logout of the dashboard. */
export const sessionRoutes: readonly Route[] = [route('POST', '/session', begin), route('DELETE', '/session', end)]

/** Whoever asks by cookie has to send it, whatever it holds: pages of other sites cannot. */
export const sessionHeader = 'x-warren-session'

function begin(api: Api, request: ApiRequest): Answer {
  const { principal, username } = request.caller
  const token = api.loginSessions.begin(principal, plainAddress(request.remoteAddress))
  return {
    status: 200,
    body: { name: username, tags: principal.tags },
    headers: { 'set-cookie': cookie(request, token) },
  }
}

function end(api: Api, request: ApiRequest): Answer {
  const token = tokenOf(request.header('cookie'), request.header('host'))
  if (token !== null) api.loginSessions.end(token)
  return { ...noContent, headers: { 'set-cookie': `${cookie(request, '')}; Max-Age=0` } }
}

/** Without a path, so that browsers send it to what is beside `session`, also behind a proxy that puts a path before. */
function cookie(request: ApiRequest, token: string): string {
  const secure = request.header('origin')?.startsWith('https:') === true ? '; Secure' : ''
  return `${cookieName(request.header('host'))}=${token}; HttpOnly; SameSite=Strict${secure}`
}

/** Browsers keep one set of cookies for all ports of a machine, and there may be several brokers on it. */
function cookieName(host: string | null): string {
  const [, port = ''] = /:(\d+)$/.exec(host ?? '') ?? []
  return `warren-session${port === '' ? '' : `-${port}`}`
}

/** Longest `cookie` header that is looked at, in UTF-16 units. */
const cookiesMax = 16 * 1024

/** Null: there is none. */
export function tokenOf(cookies: string | null, host: string | null): string | null {
  if (cookies === null || cookies.length > cookiesMax) return null
  const start = `${cookieName(host)}=`
  const found = cookies.split(/; */).find((one) => one.startsWith(start))
  return found === undefined ? null : found.slice(start.length)
}
