import { encodedBytes, shortStringBytesMax } from '../../amqp/short-string.ts'
import { BrokerError } from '../errors.ts'

/** Names of queues, exchanges and vhosts: how they come in, and how error texts show them. */

export type NameKind = 'queue' | 'exchange' | 'vhost'

/** Line breaks are taken out of names before anything looks at them, as RabbitMQ does. */
export function withoutLineBreaks(name: string): string {
  return /[\r\n]/.test(name) ? name.replaceAll(/[\r\n]/g, '') : name
}

/** `queue 'q' in vhost '/'`, the way every error text names a thing. */
export function shown(kind: 'queue' | 'exchange', name: string, vhost: string): string {
  return `${kind} '${name}' in vhost '${vhost}'`
}

/** Names the broker makes itself begin with it; clients may use these but not create them. */
export const reservedPrefix = 'amq.'

/** Throws unless something new may be called this by a client. */
export function checkNewName(kind: NameKind, name: string): void {
  if (kind !== 'vhost' && name.startsWith(reservedPrefix)) {
    throw new BrokerError('access-refused', `${kind} name '${name}' contains reserved prefix 'amq.*'`)
  }
  checkNameForm(kind, name)
}

/** Throws unless anything may be called this: bounded, and nothing in it that breaks a line, a log or a terminal. */
export function checkNameForm(kind: NameKind | 'user' | 'policy' | 'webhook' | 'global parameter', name: string): void {
  if (encodedBytes(name) > shortStringBytesMax) {
    throw new BrokerError('precondition-failed', `${kind} name is longer than ${shortStringBytesMax} bytes`)
  }
  if (/\p{Cc}/u.test(name)) {
    throw new BrokerError('precondition-failed', `${kind} name ${JSON.stringify(name)} contains control characters`)
  }
}
