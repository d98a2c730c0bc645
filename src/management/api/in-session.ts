import type { Session } from '../../broker/commands.ts'
import { BrokerError } from '../../broker/errors.ts'
import type { Reply } from '../../broker/ports.ts'
import { notAuthorised, notFound } from './answer.ts'
import { vhostRefusal } from './caller.ts'
import { type ApiRequest, vhostOf } from './request.ts'
import type { Api } from './route.ts'

/**
 * Does something in the vhost of the path as the caller, through the commands that channels use: so the same rights and
 * limits hold. The session lives as long as the work.
 */
export async function inSession<T>(api: Api, request: ApiRequest, work: (session: Session) => Promise<T>): Promise<T> {
  const session = openSession(api, request)
  try {
    return await work(session)
  } finally {
    api.broker.closeSession(session, () => {})
  }
}

/** One command in a session of its own; its result, once it is committed. */
export function command<T>(
  api: Api,
  request: ApiRequest,
  run: (session: Session, reply: Reply<T>) => void,
): Promise<T> {
  return inSession(api, request, (session) => api.commits.result<T>((reply) => run(session, reply)))
}

/** Whoever opens one closes it. Throws what the caller may be told. */
export function openSession(api: Api, request: ApiRequest): Session {
  const vhost = vhostOf(request)
  if (vhost.isClosed) throw notFound()
  try {
    return api.broker.openSession(request.caller.principal, vhost.name)
  } catch (error) {
    const isLimit = error instanceof BrokerError && error.message.includes('limit')
    throw isLimit || !(error instanceof BrokerError) ? error : notAuthorised(vhostRefusal)
  }
}
