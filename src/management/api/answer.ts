import { ProtocolError, type ReplyCode, ReplyCodes } from '../../amqp/reply-codes.ts'
import { StringTooLong } from '../../amqp/short-string.ts'
import { DefinitionsError } from '../../broker/definitions/entry.ts'
import { BrokerError, type BrokerErrorKind } from '../../broker/errors.ts'

/** What a route answers. At most one of `body` (as JSON), `text` (JSON in parts, as they come) and `bytes` is there. */
export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly text?: AsyncIterable<string>
  readonly bytes?: AsyncIterable<Uint8Array>
  readonly headers?: Readonly<Record<string, string>>
}

export const ok = (body: unknown): Answer => ({ status: 200, body })
export const created = (location?: string): Answer => ({
  status: 201,
  ...(location === undefined ? {} : { headers: { location } }),
})
export const noContent: Answer = { status: 204 }

/** A refusal in RabbitMQ's form: `{"error": …, "reason": …}`. */
export class ApiError extends Error {
  readonly code = 'API_ERROR'
  readonly status: number
  readonly error: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, error: string, reason: string, headers: Readonly<Record<string, string>> = {}) {
    super(reason)
    this.status = status
    this.error = error
    this.headers = headers
  }

  get answer(): Answer {
    return { status: this.status, body: { error: this.error, reason: this.message }, headers: this.headers }
  }
}

export const notFound = (): ApiError => new ApiError(404, 'Object Not Found', 'Not Found')
export const badRequest = (reason: string): ApiError => new ApiError(400, 'bad_request', reason)
export const notAuthorised = (reason: string): ApiError => new ApiError(401, 'not_authorised', reason)
export const tooLarge = (bytesMax: number): ApiError =>
  new ApiError(413, 'payload_too_large', `the request's body is larger than ${bytesMax} bytes`)

/** RabbitMQ's words for keys that have to be there. */
export function keysMissing(keys: readonly string[]): ApiError {
  const terms = keys.map((key) => `{key_missing,${key}}`)
  const line = `[${terms.join(',')}]`
  return badRequest(line.length < lineLengthMax ? line : `[${terms.join(',\n ')}]`)
}

/** Longer terms are broken into lines. */
const lineLengthMax = 79

/** One table for what the broker refuses; `not-found` tells what there is none of. */
const statusOf: Readonly<Record<BrokerErrorKind, readonly [status: number, error: string]>> = {
  'access-refused': [401, 'not_authorised'],
  'not-found': [404, 'not_found'],
  'resource-locked': [400, 'bad_request'],
  'precondition-failed': [400, 'bad_request'],
  'not-allowed': [401, 'not_authorised'],
  'command-invalid': [400, 'bad_request'],
  'not-implemented': [400, 'bad_request'],
  'resource-error': [503, 'service_unavailable'],
  'internal-error': [500, 'internal_error'],
  'syntax-error': [400, 'bad_request'],
}

/** The refusal that an error means; null for a mistake of ours, of which nothing is told. */
export function refusalOf(error: unknown): ApiError | null {
  if (error instanceof ApiError) return error
  if (error instanceof BrokerError) {
    const [status, name] = statusOf[error.kind]
    return new ApiError(status, name, error.message)
  }
  if (error instanceof DefinitionsError) return badRequest(error.message)
  if (error instanceof StringTooLong) return badRequest(error.message)
  if (error instanceof ProtocolError && clientsFault.includes(error.replyCode)) return badRequest(error.message)
  return null
}

/** Of what reads a message's properties. */
const clientsFault: readonly ReplyCode[] = [
  ReplyCodes.PreconditionFailed,
  ReplyCodes.SyntaxError,
  ReplyCodes.FrameError,
]
