import { type PeerCertificate, plainAddress } from '../../base/network.ts'
import type { BrokerCommands, LoginProof, Principal } from '../../broker/commands.ts'
import { ApiError } from './answer.ts'

const challenge = { 'www-authenticate': 'Basic realm="RabbitMQ Management"' } as const
/** Longest `authorization` header that is looked at, in UTF-16 units. */
const credentialsMax = 16 * 1024

/** Logins of one address that wait for a password to be hashed; a further one is refused, so that others have their turn. */
export const waitingPerAddressMax = 8

/**
 * HTTP Basic (RFC 7617), Bearer where tokens are taken, and without either the certificate that was shown; through the broker's own logins, where a login that fitted is remembered for a minute and wrong
 * ones cost time. So that one address cannot have all of that time, few of its logins may wait at once.
 */
export class HttpLogins {
  readonly #broker: Pick<BrokerCommands, 'login'>
  /** Which name in a certificate is the user. */
  readonly #userFrom: keyof PeerCertificate['names']
  /** By address; only those with some. */
  readonly #waiting = new Map<string, number>()

  constructor(broker: Pick<BrokerCommands, 'login'>, userFrom: keyof PeerCertificate['names'] = 'cn') {
    this.#broker = broker
    this.#userFrom = userFrom
  }

  /** Throws 401, and 429 when too many of this address wait. What is said goes before what is shown. */
  async login(authorization: string | null, { remoteAddress, certificate }: LoginPeer): Promise<Principal> {
    const proof = authorization === null ? this.#proofOf(certificate?.() ?? null) : proofOf(authorization)
    if (proof === null) throw failed()
    const waiting = this.#waiting.get(remoteAddress) ?? 0
    if (waiting >= waitingPerAddressMax) {
      throw new ApiError(429, 'too_many_requests', 'too many logins of this address wait', { 'retry-after': '1' })
    }
    this.#waiting.set(remoteAddress, waiting + 1)
    const origin = { address: plainAddress(remoteAddress), via: 'http' } as const
    const principal = await new Promise<Principal | null>((resolve) => this.#broker.login(proof, origin, resolve))
    this.#ended(remoteAddress)
    if (principal === null) throw failed()
    return principal
  }

  /** As mechanism EXTERNAL of AMQP: of several names none is chosen. */
  #proofOf(certificate: PeerCertificate | null): LoginProof | null {
    if (certificate === null) return null
    const names = certificate.names[this.#userFrom]
    return { kind: 'certificate', username: names.length === 1 ? (names[0] ?? null) : null }
  }

  #ended(remoteAddress: string): void {
    const left = (this.#waiting.get(remoteAddress) ?? 1) - 1
    if (left > 0) this.#waiting.set(remoteAddress, left)
    else this.#waiting.delete(remoteAddress)
  }
}

/** Who logs in, as the connection knows it. */
export interface LoginPeer {
  readonly remoteAddress: string
  readonly certificate?: () => PeerCertificate | null
}

/** The same whatever was wrong. */
function failed(): ApiError {
  return new ApiError(401, 'not_authorized', 'Login failed', challenge)
}

/** Null when it is neither Basic nor Bearer (RFC 6750 §2.1). */
function proofOf(authorization: string): LoginProof | null {
  if (authorization.length > credentialsMax) return null
  const [, scheme = '', value = ''] = /^(basic|bearer) +([A-Za-z0-9+/=._~-]+)$/i.exec(authorization) ?? []
  if (scheme === '') return null
  if (scheme.toLowerCase() === 'bearer') return { kind: 'token', token: value }
  const text = Buffer.from(value, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? null : { kind: 'password', username: text.slice(0, colon), password: text.slice(colon + 1) }
}
