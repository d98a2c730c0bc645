import { cutToBytes } from './short-string.ts'

/** What a reply code ends: the channel it happened on, the whole connection, or nothing (it only informs). */
export type Scope = 'channel' | 'connection'

/**
 * AMQP 0-9-1 §1.2 and RabbitMQ's 311. "Soft" errors close the channel, "hard" ones the connection. The names are the
 * ones that stand at the beginning of a reply text.
 */
const table = [
  { code: 200, name: 'REPLY_SUCCESS', closes: null },
  { code: 311, name: 'CONTENT_TOO_LARGE', closes: 'channel' },
  { code: 312, name: 'NO_ROUTE', closes: null },
  { code: 313, name: 'NO_CONSUMERS', closes: null },
  { code: 320, name: 'CONNECTION_FORCED', closes: 'connection' },
  { code: 402, name: 'INVALID_PATH', closes: 'connection' },
  { code: 403, name: 'ACCESS_REFUSED', closes: 'channel' },
  { code: 404, name: 'NOT_FOUND', closes: 'channel' },
  { code: 405, name: 'RESOURCE_LOCKED', closes: 'channel' },
  { code: 406, name: 'PRECONDITION_FAILED', closes: 'channel' },
  { code: 501, name: 'FRAME_ERROR', closes: 'connection' },
  { code: 502, name: 'SYNTAX_ERROR', closes: 'connection' },
  { code: 503, name: 'COMMAND_INVALID', closes: 'connection' },
  { code: 504, name: 'CHANNEL_ERROR', closes: 'connection' },
  { code: 505, name: 'UNEXPECTED_FRAME', closes: 'connection' },
  { code: 506, name: 'RESOURCE_ERROR', closes: 'connection' },
  { code: 530, name: 'NOT_ALLOWED', closes: 'connection' },
  { code: 540, name: 'NOT_IMPLEMENTED', closes: 'connection' },
  { code: 541, name: 'INTERNAL_ERROR', closes: 'connection' },
] as const

type Row = (typeof table)[number]
export type ReplyCode = Row['code']
/** The codes that close something; 200, 312 and 313 do not. */
export type ErrorCode = Exclude<Row, { closes: null }>['code']

export const replyCodes: readonly { readonly code: ReplyCode; readonly name: string; readonly closes: Scope | null }[] =
  table

export const ReplyCodes = {
  ReplySuccess: 200,
  ContentTooLarge: 311,
  NoRoute: 312,
  NoConsumers: 313,
  ConnectionForced: 320,
  InvalidPath: 402,
  AccessRefused: 403,
  NotFound: 404,
  ResourceLocked: 405,
  PreconditionFailed: 406,
  FrameError: 501,
  SyntaxError: 502,
  CommandInvalid: 503,
  ChannelError: 504,
  UnexpectedFrame: 505,
  ResourceError: 506,
  NotAllowed: 530,
  NotImplemented: 540,
  InternalError: 541,
} as const satisfies Record<string, ReplyCode>

const rows: ReadonlyMap<number, Row> = new Map(table.map((row) => [row.code, row]))

/** `ACCESS_REFUSED` for 403; null for a number that is no reply code. */
export function replyName(code: number): string | null {
  return rows.get(code)?.name ?? null
}

/** What the code closes; `connection` for a code we do not know, as for all hard errors. */
export function scopeOf(code: ErrorCode): Scope {
  return rows.get(code)?.closes ?? 'connection'
}

/** `NAME - explanation` as a short string holds it: at most 255 bytes, no character cut in two. */
export function replyText(code: ReplyCode, explanation: string): string {
  return cutToBytes(`${replyName(code) ?? code} - ${explanation}`, 255)
}

/**
 * The peer broke the protocol or asked for what it cannot have. Its `message` is the reply text as it goes over the
 * wire. On channel 0 every error closes the connection, whatever the scope (AMQP 0-9-1 §4.10.2): that is for the
 * catcher to know.
 */
export class ProtocolError extends Error {
  readonly code = 'PROTOCOL_ERROR'
  readonly replyCode: ErrorCode
  readonly scope: Scope
  /** The method that failed; 0 and 0 when it was no method, or is not known. */
  readonly classId: number
  readonly methodId: number
  readonly #explanation: string

  /** `method` is an id from `Methods`. */
  constructor(replyCode: ErrorCode, explanation: string, method = 0, cause?: unknown) {
    super(replyText(replyCode, explanation), cause === undefined ? undefined : { cause })
    this.replyCode = replyCode
    this.scope = scopeOf(replyCode)
    this.classId = method >>> 16
    this.methodId = method & 0xffff
    this.#explanation = explanation
  }

  /** The same error with the method in which it happened; an error that names one already is left as it is. */
  inMethod(method: number): ProtocolError {
    return this.classId === 0 ? new ProtocolError(this.replyCode, this.#explanation, method, this) : this
  }
}
