import { isLoopbackAddress } from '../../base/network.ts'
import type { BrokerCommands, Principal } from '../../broker/commands.ts'
import { ApiError } from './answer.ts'

const challenge = { 'www-authenticate': 'Basic realm="RabbitMQ Management"' } as const
/** Longest `authorization` header that is looked at, in UTF-16 units. */
const credentialsMax = 4 * 1024

/** Logins of one address that wait for a password to be hashed; a further one is refused, so that others have their turn. */
export const waitingPerAddressMax = 8

/**
 * HTTP Basic (RFC 7617) through the broker's own logins, where a login that fitted is remembered for a minute and wrong
 * ones cost time. So that one address cannot have all of that time, few of its logins may wait at once.
 */
export class BasicLogins {
  readonly #broker: Pick<BrokerCommands, 'authenticate'>
  /** By address; only those with some. */
  readonly #waiting = new Map<string, number>()

  constructor(broker: Pick<BrokerCommands, 'authenticate'>) {
    this.#broker = broker
  }

  /** Throws 401, and 429 when too many of this address wait. */
  async login(authorization: string | null, remoteAddress: string): Promise<Principal> {
    const credentials = authorization === null ? null : credentialsOf(authorization)
    if (credentials === null) throw failed()
    const waiting = this.#waiting.get(remoteAddress) ?? 0
    if (waiting >= waitingPerAddressMax) {
      throw new ApiError(429, 'too_many_requests', 'too many logins of this address wait', { 'retry-after': '1' })
    }
    this.#waiting.set(remoteAddress, waiting + 1)
    const [username, password] = credentials
    const principal = await new Promise<Principal | null>((resolve) => {
      this.#broker.authenticate(username, password, isLoopbackAddress(remoteAddress), resolve)
    })
    this.#ended(remoteAddress)
    if (principal === null) throw failed()
    return principal
  }

  #ended(remoteAddress: string): void {
    const left = (this.#waiting.get(remoteAddress) ?? 1) - 1
    if (left > 0) this.#waiting.set(remoteAddress, left)
    else this.#waiting.delete(remoteAddress)
  }
}

/** The same whatever was wrong. */
function failed(): ApiError {
  return new ApiError(401, 'not_authorized', 'Login failed', challenge)
}

function credentialsOf(authorization: string): [username: string, password: string] | null {
  if (authorization.length > credentialsMax) return null
  const encoded = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(authorization)?.[1]
  if (encoded === undefined) return null
  const text = Buffer.from(encoded, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? null : [text.slice(0, colon), text.slice(colon + 1)]
}
