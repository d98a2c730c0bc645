import { decodeFieldTable } from '../amqp/field-table.ts'
import { decodeShortString } from '../amqp/short-string.ts'
import type { PeerCertificate, TlsFacts } from '../base/network.ts'
import type { LoginProof } from '../broker/commands.ts'

const mechanisms = ['PLAIN', 'AMQPLAIN', 'EXTERNAL'] as const
export type Mechanism = (typeof mechanisms)[number]

/** Which name in a certificate is the user. */
export type NameKind = keyof PeerCertificate['names']

/** What we offer a client, in our order of preference. EXTERNAL is for those who have shown a certificate. */
export function mechanismsFor(tls: TlsFacts | null): readonly Mechanism[] {
  return mechanisms.filter((name) => name !== 'EXTERNAL' || (tls?.peer ?? null) !== null)
}

/** Null when the response is not what the mechanism prescribes; for AMQPLAIN also as `decodeFieldTable` throws. */
export function readProof(
  mechanism: Mechanism,
  response: Uint8Array,
  { tls, userFrom }: { tls: TlsFacts | null; userFrom: NameKind },
): LoginProof | null {
  switch (mechanism) {
    case 'PLAIN':
      return readPlain(response)
    case 'AMQPLAIN':
      return readAmqPlain(response)
    case 'EXTERNAL':
      return readExternal(response, tls?.peer?.names[userFrom] ?? [])
  }
}

/** RFC 4422 appendix A: whom to act as, which is empty or the name itself; clients of RabbitMQ send a space or anything. */
function readExternal(response: Uint8Array, names: readonly string[]): LoginProof | null {
  const identity = decodeShortString(response, 0, response.length)
  // One of several would be a guess.
  const name = names.length === 1 ? (names[0] ?? null) : null
  const isOther = identity.trim() !== '' && identity !== name
  return { kind: 'certificate', username: isOther ? null : name }
}

/**
 * RFC 4616: `[authzid] NUL authcid NUL passwd`. Nobody acts for another here, so the first part is empty or the name
 * itself.
 */
function readPlain(response: Uint8Array): LoginProof | null {
  const first = response.indexOf(0)
  const second = first < 0 ? -1 : response.indexOf(0, first + 1)
  if (second < 0 || response.indexOf(0, second + 1) >= 0) return null
  const identity = decodeShortString(response, 0, first)
  const username = decodeShortString(response, first + 1, second)
  if (identity !== '' && identity !== username) return null
  return { kind: 'password', username, password: decodeShortString(response, second + 1, response.length) }
}

/** A field table without its length, with LOGIN and PASSWORD as long strings. */
function readAmqPlain(response: Uint8Array): LoginProof | null {
  const { fields } = decodeFieldTable(response, 0, response.length)
  const login = fields.get('LOGIN')
  const password = fields.get('PASSWORD')
  if (login?.tag !== 'S' || password?.tag !== 'S') return null
  return { kind: 'password', username: login.value, password: password.value }
}
