/**
 * Everything that can go wrong for a user of the client is a `WarrenError`: a stable `code`, a sentence that names the
 * thing, and `mend`, a sentence that says what to do. The message is both.
 */

/** When you add one: say in `docs/client.md` when it comes. */
export const errorCodes = [
  'BAD_URL',
  'CONNECT_REFUSED',
  'HOST_NOT_FOUND',
  'TLS_FAILED',
  'AUTHENTICATION_REFUSED',
  'VHOST_NOT_FOUND',
  'CONNECT_TIMEOUT',
  'CONNECTION_LOST',
  'CONNECTION_CLOSED',
  'CHANNEL_CLOSED',
  'CONFIRM_TIMEOUT',
  'OPERATION_TIMEOUT',
  'RETURNED',
  'NACKED',
  'BLOCKED',
  'CLOSED',
  'MESSAGE_TOO_LARGE',
  'TOO_MANY_WAITING',
  'TOO_MANY_CHANNELS',
  'REQUEST_TIMEOUT',
  'REPLY_LOST',
  'REMOTE_FAILED',
  'ABORTED',
  'SCHEMA_FAILED',
  'BAD_BODY',
  'BAD_OPTION',
  'TOPOLOGY_DIFFERS',
] as const

export type WarrenErrorCode = (typeof errorCodes)[number]

export interface WarrenErrorDetails {
  readonly mend: string
  /** What the broker said, for `CHANNEL_CLOSED`, `CONNECTION_CLOSED` and `RETURNED`; 0 otherwise. */
  readonly replyCode?: number
  readonly replyText?: string
  readonly cause?: unknown
  /** What the validator said, for `SCHEMA_FAILED`. */
  readonly issues?: readonly string[]
}

export class WarrenError extends Error {
  readonly code: WarrenErrorCode
  /** What to do about it. */
  readonly mend: string
  /** AMQP's reply code, for example 404; 0 when the broker did not say. */
  readonly replyCode: number
  readonly replyText: string
  readonly issues: readonly string[]

  constructor(code: WarrenErrorCode, sentence: string, details: WarrenErrorDetails) {
    super(`${sentence} ${details.mend}`, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'WarrenError'
    this.code = code
    this.mend = details.mend
    this.replyCode = details.replyCode ?? 0
    this.replyText = details.replyText ?? ''
    this.issues = details.issues ?? []
  }
}

/** The broker closed the connection (AMQP 0-9-1 §1.4.2.9), during the login or later. */
export function connectionClosed(replyCode: number, replyText: string, where: string): WarrenError {
  const details = { replyCode, replyText }
  if (replyCode === 403 || /ACCESS_REFUSED.*login/i.test(replyText)) {
    const mend = 'Check user name and password in the URL.'
    return new WarrenError('AUTHENTICATION_REFUSED', `${where} refused the login (${replyText}).`, { mend, ...details })
  }
  if (replyCode === 530 && /vhost/i.test(replyText)) {
    const mend = "Check the path of the URL: '/%2f' is the vhost '/', and the user needs a permission in it."
    return new WarrenError('VHOST_NOT_FOUND', `${where} did not open the vhost (${replyText}).`, { mend, ...details })
  }
  const mend =
    replyCode === 320
      ? 'The broker was stopped or told to close this connection; the client connects again by itself.'
      : 'The text names what was wrong; the client connects again by itself.'
  const sentence = `${where} closed the connection (${replyCode} ${replyText}).`
  return new WarrenError('CONNECTION_CLOSED', sentence, { mend, ...details })
}

/** The broker closed a channel (AMQP 0-9-1 §1.5.2.5): something that was asked for is not possible. */
export function channelClosed(replyCode: number, replyText: string, doing: string): WarrenError {
  const details = { mend: mendOf(replyCode), replyCode, replyText }
  const code = replyCode === 406 && /message size|too large/i.test(replyText) ? 'MESSAGE_TOO_LARGE' : 'CHANNEL_CLOSED'
  return new WarrenError(code, `The broker refused ${doing} (${replyCode} ${replyText}).`, details)
}

function mendOf(replyCode: number): string {
  switch (replyCode) {
    case 403:
      return 'Give the user the permission it lacks, or use another user.'
    case 404:
      return 'Declare it first, or correct its name.'
    case 405:
      return 'It is exclusive to another connection: use another name, or wait until that connection has gone.'
    case 406:
      return 'It exists with other properties, or a value is not possible: use those it has, or delete it first.'
    default:
      return 'The text names what was wrong.'
  }
}

/** What the operating system or the TLS library says of an attempt to connect. */
export function connectFailed(error: unknown, where: string): WarrenError {
  if (error instanceof WarrenError) return error
  const cause = error instanceof AggregateError ? (error.errors[0] ?? error) : error
  const code = codeOf(cause)
  const text = code || (cause instanceof Error ? cause.message : String(cause))
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const mend = 'Check the host name in the URL, and the name server of this machine.'
    return new WarrenError('HOST_NOT_FOUND', `The host of ${where} has no address (${code}).`, { mend, cause })
  }
  if (isTls(code, text)) {
    const mend =
      'Check that the port speaks TLS, and that `tls.ca` holds the authority that signed its certificate, for this name.'
    return new WarrenError('TLS_FAILED', `No TLS connection to ${where} (${text}).`, { mend, cause })
  }
  const mend = 'Check that a broker runs there, that host and port are right, and that no firewall is in between.'
  return new WarrenError('CONNECT_REFUSED', `No connection to ${where} (${text}).`, { mend, cause })
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : ''
}

function isTls(code: string, text: string): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|EPROTO|ERR_OSSL)|certificate|wrong version number/i.test(
    `${code} ${text}`.trim(),
  )
}

export function closedByUser(what: string): WarrenError {
  return new WarrenError('CLOSED', `${what} after the client was closed.`, { mend: 'Connect again with connect().' })
}

export function connectionLost(where: string, cause: unknown): WarrenError {
  const why = cause instanceof Error ? ` (${cause.message})` : ''
  const mend = 'The client connects again by itself.'
  return new WarrenError('CONNECTION_LOST', `The connection to ${where} was lost${why}.`, { mend, cause })
}

export function badOption(sentence: string, mend: string): WarrenError {
  return new WarrenError('BAD_OPTION', sentence, { mend })
}
