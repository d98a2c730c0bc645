import type { IncomingMessage, ServerResponse } from 'node:http'
import { type PeerCertificate, plainAddress } from '../../base/network.ts'
import { tlsFactsOf } from '../../base/tls-facts.ts'
import type { Principal } from '../../broker/commands.ts'
import { isMetricsPath } from '../metrics/metrics.ts'
import { type Answer, ApiError, badRequest, notFound, refusalOf } from './answer.ts'
import { Caller } from './caller.ts'
import { Commits } from './commits.ts'
import { Leases } from './leases.ts'
import { HttpLogins } from './login.ts'
import { type LoggedIn, LoginSessions } from './login-sessions.ts'
import { letRead, namedOrigin, refuseForeignPage } from './origin.ts'
import { pathOf } from './path.ts'
import { SharedTotals } from './queue-totals.ts'
import { Redrives } from './redrives.ts'
import { type ApiRequest, type Fields, readFields } from './request.ts'
import type { Api, ApiParts, Route } from './route.ts'
import { routes } from './routes.ts'
import { cookieOf, sealedIn, sessionHeader } from './session-routes.ts'
import { byteStream } from './stream.ts'

/** What of a connection a request needs that is not in the request itself. */
export interface Peer {
  /** The target as it stands in the request line; not normalised, so that no name can be taken for a path. */
  readonly target: string
  readonly remoteAddress: string
  /** The certificate that was shown and is in order; null without one. Left out: without TLS. */
  readonly certificate?: () => PeerCertificate | null
}

/** RabbitMQ's management HTTP API. What it needs of others is loaded when it is made, if it was not before. */
export interface ApiHandler {
  fetch(request: Request, peer: Peer): Promise<Response>
  /** The same for a request of `node:http`. Does not reject. */
  handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>
}

export async function createApi(parts: ApiParts): Promise<ApiHandler> {
  const [{ Hono }, { getRequestListener }] = await Promise.all([import('hono'), import('@hono/node-server')])
  const api: Api = {
    ...parts,
    commits: new Commits(parts.broker.topology),
    logins: new HttpLogins(parts.broker, parts.userFrom),
    loginSessions: new LoginSessions({ ...parts, users: parts.broker.topology.users }),
    redrives: new Redrives(),
    totals: new SharedTotals(),
    eventStreams: { open: 0 },
    leases: new Leases(parts.random, parts.clock),
    leaseStreams: { open: 0 },
  }
  const app = new Hono<{ Bindings: Peer }>({ getPath: (_request, options) => pathOf(peerOf(options).target) ?? '/' })
  for (const row of routes) {
    app.on(row.method, honoPaths(row), async (context) => {
      const { raw } = context.req
      return await answered(api, row, raw, context.env, new Map(Object.entries(context.req.param())))
    })
  }
  for (const [path, methods] of methodsByPath()) {
    const allow = ['HEAD', ...methods, 'OPTIONS'].join(', ')
    app.all(path, (context) => responseOf({ status: context.req.method === 'OPTIONS' ? 200 : 405, headers: { allow } }))
  }
  app.notFound(() => responseOf(notFound().answer))
  app.onError((error) => responseOf(answerTo(api, error)))
  const fetch = async (request: Request, peer: Peer): Promise<Response> => {
    const response = await app.fetch(request, peer)
    const origin = namedOrigin(request.headers, parts.origins())
    if (origin !== null) letRead(origin, request.method === 'OPTIONS', response.headers)
    return response
  }
  // What is made by the first request, such as the table of routes, is made by one that is of nobody.
  await app.fetch(new Request('http://localhost/'), { target: '/', remoteAddress: '' })
  const listener = getRequestListener(
    (request, { incoming }) =>
      fetch(request, {
        target: incoming.url ?? '/',
        remoteAddress: incoming.socket.remoteAddress ?? '',
        certificate: () => tlsFactsOf(incoming.socket)?.peer ?? null,
      }),
    { overrideGlobalObjects: false },
  )
  return { fetch, handle: (incoming, outgoing) => listener(incoming, outgoing) }
}

function peerOf(options: { env?: unknown } | undefined): Peer {
  return options?.env as Peer
}

/** Metrics are where scrapers look for them, too. */
function honoPaths({ path }: Route): string[] {
  const own = path.replaceAll(/\{(\w+)\}/g, ':$1')
  return isMetricsPath(path) ? [`/api${own}`, own] : [`/api${own}`]
}

function methodsByPath(): Map<string, string[]> {
  const methods = new Map<string, string[]>()
  for (const row of routes) {
    for (const path of honoPaths(row)) methods.set(path, [...(methods.get(path) ?? []), row.method])
  }
  return methods
}

// ---------------------------------------------------------------- one request

/** Login, tags, vhost, then the route: nothing of what exists is looked at before. */
async function answered(
  api: Api,
  row: Route,
  raw: Request,
  peer: Peer,
  params: ReadonlyMap<string, string>,
): Promise<Response> {
  const body = new Body(raw, row.bodyBytesMax)
  let answer: Answer
  let username: string | null = null
  let renewedCookie: string | null = null
  try {
    if (raw.method !== 'GET' && raw.method !== 'HEAD' && !isOfNamedPage(api, raw.headers))
      refuseForeignPage(raw.headers)
    const { principal, renewed = null, isSecure = false } = await loginOf(api, raw.headers, peer)
    if (renewed !== null) renewedCookie = cookieOf(raw.headers.get('host'), renewed, isSecure)
    const caller = new Caller(principal, api.broker.topology)
    username = caller.username
    caller.require(row.level)
    const vhost = row.vhost === null ? null : caller.vhost(params.get('vhost') ?? '', row.vhost)
    const request: ApiRequest = {
      caller,
      params,
      vhost,
      query: queryOf(peer.target),
      header: (name) => raw.headers.get(name),
      remoteAddress: peer.remoteAddress,
      fields: () => body.fields(),
    }
    answer = await row.handle(api, request)
    // What nobody reads is not to be made, and holds nothing.
    if (raw.method === 'HEAD') await answer.text?.[Symbol.asyncIterator]().return?.()
  } catch (error) {
    answer = answerTo(api, error)
    // The dashboard asks for passwords itself; at this word browsers would.
    if (answer.status === 401 && raw.headers.has(sessionHeader)) answer = { ...answer, headers: {} }
  }
  if (username !== null) note(api, row, { username, params, address: peer.remoteAddress, status: answer.status })
  if (renewedCookie !== null) answer = { ...answer, headers: { 'set-cookie': renewedCookie, ...answer.headers } }
  return responseOf(answer, body.isLeft)
}

/** It says itself who it is, and the operator has named the page: what a browser adds does not count. */
function isOfNamedPage(api: Api, headers: Headers): boolean {
  return headers.has('authorization') && namedOrigin(headers, api.origins()) !== null
}

/** By what the request says of a user, else by the cookie of a session; by that only for pages of this port. Throws 401, 403. */
async function loginOf(api: Api, headers: Headers, peer: Peer): Promise<{ principal: Principal } & Partial<LoggedIn>> {
  const authorization = headers.get('authorization')
  if (authorization === null && headers.has(sessionHeader)) {
    refuseForeignPage(headers)
    const sealed = sealedIn(headers.get('cookie'), headers.get('host'))
    const loggedIn = sealed === null ? null : api.loginSessions.use(sealed, plainAddress(peer.remoteAddress))
    if (loggedIn !== null) return loggedIn
  }
  // A browser shows its certificate for what pages of other sites ask for, too.
  if (authorization === null) refuseForeignPage(headers)
  return { principal: await api.logins.login(authorization, peer) }
}

interface Done {
  readonly username: string
  readonly params: ReadonlyMap<string, string>
  readonly address: string
  readonly status: number
}

/** Writes down changes, those that were refused too, and who was given password hashes. Names only, never what was sent. */
function note({ audit }: Api, row: Route, { username: by, params, address, status }: Done): void {
  if (row.method === 'GET' ? !row.path.startsWith('/definitions') : isMessageRoute(row)) return
  const route = `${row.method} ${row.path}`
  audit.info({ ...Object.fromEntries(params), by, address, via: 'http', route, status }, 'change')
}

/** Those who send and take messages by HTTP do what others do by AMQP, as often. */
function isMessageRoute({ path }: Route): boolean {
  return path.endsWith('/publish') || path.endsWith('/get')
}

/** Our own mistakes are logged, and nothing is told of them. */
function answerTo(api: Api, error: unknown): Answer {
  const refusal = refusalOf(error)
  if (refusal !== null) return refusal.answer
  api.logger.error({ error }, 'internal error in the HTTP API')
  return new ApiError(500, 'internal_error', 'Internal server error').answer
}

function queryOf(target: string): URLSearchParams {
  const at = target.indexOf('?')
  return new URLSearchParams(at < 0 ? '' : target.slice(at + 1))
}

/** A request's body, which is read when a route asks for it. */
class Body {
  readonly #raw: Request
  readonly #bytesMax: number
  #isRead = false

  constructor(raw: Request, bytesMax: number) {
    this.#raw = raw
    this.#bytesMax = bytesMax
  }

  /** There is one, and not all of it has been taken from the socket. */
  get isLeft(): boolean {
    const { headers } = this.#raw
    const hasBody = Number(headers.get('content-length') ?? 0) > 0 || headers.has('transfer-encoding')
    return hasBody && !this.#isRead
  }

  async fields(): Promise<Fields> {
    const { headers, body } = this.#raw
    if (headers.has('content-encoding')) {
      throw new ApiError(415, 'unsupported_media_type', 'a content-encoding of requests is not supported')
    }
    const fields = await readFields(body, headers.get('content-length'), this.#bytesMax).catch((error: unknown) => {
      // The client went away, or sent what is no chunk.
      throw error instanceof ApiError ? error : badRequest('the body did not arrive')
    })
    this.#isRead = true
    return fields
  }
}

const fixedHeaders = {
  'cache-control': 'no-cache, no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

/** The connection ends where part of a body is still to come. */
function responseOf({ status, body, text, bytes, headers = {} }: Answer, isBodyLeft = false): Response {
  const json = { 'content-type': 'application/json' }
  const all = {
    ...fixedHeaders,
    ...(body === undefined && text === undefined && bytes === undefined ? {} : json),
    ...headers,
    ...(isBodyLeft ? { connection: 'close' } : {}),
  }
  const parts = text ?? bytes
  if (parts !== undefined) return new Response(byteStream(parts), { status, headers: all })
  return new Response(body === undefined ? null : JSON.stringify(body), { status, headers: all })
}
