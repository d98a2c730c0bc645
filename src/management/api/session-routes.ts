import { plainAddress } from '../../base/network.ts'
import { NodesAsked } from './all-nodes/nodes-asked.ts'
import { type Answer, badRequest, noContent } from './answer.ts'
import type { ApiRequest } from './request.ts'
import { type Api, type Route, route } from './route.ts'

/** Login and logout of the dashboard. */
export const sessionRoutes: readonly Route[] = [route('POST', '/session', begin), route('DELETE', '/session', end)]

/** Whoever asks by cookie has to send it, whatever it holds: pages of other sites cannot. */
export const sessionHeader = 'x-warren-session'

function begin(api: Api, request: ApiRequest): Answer {
  const { principal, username } = request.caller
  const isSecure = request.header('origin')?.startsWith('https:') === true
  const address = plainAddress(request.remoteAddress)
  const sealed = api.loginSessions.begin(principal, { address, isSecure })
  if (sealed === null) throw badRequest('this token has more scopes than fit in a cookie; log in with one of fewer')
  return {
    status: 200,
    body: { name: username, tags: principal.tags },
    headers: { 'set-cookie': cookieOf(request.header('host'), sealed, isSecure) },
  }
}

/** Answered when every node that answers at all has taken note. */
async function end(api: Api, request: ApiRequest): Promise<Answer> {
  const host = request.header('host')
  const sealed = sealedIn(request.header('cookie'), host)
  const ended = sealed === null ? null : api.loginSessions.end(sealed)
  const nodes = new NodesAsked(api)
  if (ended !== null) {
    const { begunAt, until } = ended
    await nodes.all({ ask: 'login-ended', id: Buffer.from(ended.id).toString('base64url'), begunAt, until })
  }
  return nodes.noted({ ...noContent, headers: { 'set-cookie': `${cookieOf(host, '', false)}; Max-Age=0` } })
}

/** Without a path, so that browsers send it to what is beside `session`, also behind a proxy that puts a path before. */
export function cookieOf(host: string | null, sealed: string, isSecure: boolean): string {
  return `${cookieName(host)}=${sealed}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`
}

/** Browsers keep one set of cookies for all ports of a machine, and there may be several brokers on it. */
function cookieName(host: string | null): string {
  const [, port = ''] = /:(\d+)$/.exec(host ?? '') ?? []
  return `warren-session${port === '' ? '' : `-${port}`}`
}

/** Longest `cookie` header that is looked at, in UTF-16 units. */
const cookiesMax = 16 * 1024

/** Null: there is none. */
export function sealedIn(cookies: string | null, host: string | null): string | null {
  if (cookies === null || cookies.length > cookiesMax) return null
  const start = `${cookieName(host)}=`
  const found = cookies.split(/; */).find((one) => one.startsWith(start))
  return found === undefined ? null : found.slice(start.length)
}
