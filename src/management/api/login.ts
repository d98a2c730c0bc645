import type { BrokerCommands, Principal } from '../../broker/commands.ts'
import { ApiError } from './answer.ts'

const challenge = { 'www-authenticate': 'Basic realm="RabbitMQ Management"' } as const
/** Longest `authorization` header that is looked at, in UTF-16 units. */
const credentialsMax = 4 * 1024

/** HTTP Basic (RFC 7617) through the broker's own logins, throttled there. Throws 401. */
export async function loggedIn(
  broker: Pick<BrokerCommands, 'authenticate'>,
  authorization: string | null,
  isLoopback: boolean,
): Promise<Principal> {
  if (authorization === null) throw new ApiError(401, 'not_authorized', 'Login failed', challenge)
  const credentials = credentialsOf(authorization)
  if (credentials === null) throw new ApiError(401, 'not_authorized', 'Login failed', challenge)
  const [username, password] = credentials
  const principal = await new Promise<Principal | null>((resolve) => {
    broker.authenticate(username, password, isLoopback, resolve)
  })
  if (principal === null) throw new ApiError(401, 'not_authorized', 'Login failed', challenge)
  return principal
}

function credentialsOf(authorization: string): [username: string, password: string] | null {
  if (authorization.length > credentialsMax) return null
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? null : [text.slice(0, colon), text.slice(colon + 1)]
}
