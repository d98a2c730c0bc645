/** Whether a server's certificate is for whom it was asked for, where that is an address and the library below does not say which. */
import { isIP } from 'node:net'
import * as tls from 'node:tls'

/** As Node's `checkServerIdentity`: the error, or nothing when it is in order. */
export type CheckServerIdentity = typeof tls.checkServerIdentity

/** What Node takes for the name when it was told none. */
const nameOfNone = 'localhost'

/**
 * For connections to any of `hosts`, names or addresses. Of a server that was asked for by its name, the certificate must
 * be for that name; of one that was asked for by its address, it must be for one of the addresses here.
 */
export function identityOfAny(hosts: readonly string[]): CheckServerIdentity {
  const addresses = hosts.filter((host) => isIP(host) !== 0)
  return (name, certificate) => {
    const error = tls.checkServerIdentity(name, certificate)
    if (error === undefined || name !== nameOfNone || hosts.includes(nameOfNone)) return error
    const errors = addresses.map((address) => tls.checkServerIdentity(address, certificate))
    return errors.includes(undefined) ? undefined : (errors[0] ?? error)
  }
}
