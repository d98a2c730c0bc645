import { decodeFieldTable } from '../amqp/field-table.ts'
import { decodeShortString } from '../amqp/short-string.ts'

/** What a client logs in with. */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/** The mechanisms we offer, in our order of preference. */
export const mechanisms = ['PLAIN', 'AMQPLAIN'] as const
export type Mechanism = (typeof mechanisms)[number]

export function isMechanism(name: string): name is Mechanism {
  return (mechanisms as readonly string[]).includes(name)
}

/** Null when the response is not what the mechanism prescribes; for AMQPLAIN also as `decodeFieldTable` throws. */
export function readCredentials(mechanism: Mechanism, response: Uint8Array): Credentials | null {
  return mechanism === 'PLAIN' ? readPlain(response) : readAmqPlain(response)
}

/**
 * RFC 4616: `[authzid] NUL authcid NUL passwd`. Nobody acts for another here, so the first part is empty or the name
 * itself.
 */
function readPlain(response: Uint8Array): Credentials | null {
  const first = response.indexOf(0)
  const second = first < 0 ? -1 : response.indexOf(0, first + 1)
  if (second < 0 || response.indexOf(0, second + 1) >= 0) return null
  const identity = decodeShortString(response, 0, first)
  const username = decodeShortString(response, first + 1, second)
  if (identity !== '' && identity !== username) return null
  return { username, password: decodeShortString(response, second + 1, response.length) }
}

/** A field table without its length, with LOGIN and PASSWORD as long strings. */
function readAmqPlain(response: Uint8Array): Credentials | null {
  const { fields } = decodeFieldTable(response, 0, response.length)
  const login = fields.get('LOGIN')
  const password = fields.get('PASSWORD')
  if (login?.tag !== 'S' || password?.tag !== 'S') return null
  return { username: login.value, password: password.value }
}
