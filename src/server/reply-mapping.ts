import { type ErrorCode, ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import { StringTooLong } from '../amqp/short-string.ts'
import { BrokerError, type BrokerErrorKind } from '../broker/errors.ts'

/** The only place that knows AMQP's answer to what the broker refuses. What the code closes is in `reply-codes.ts`. */
const codes: Readonly<Record<BrokerErrorKind, ErrorCode>> = {
  'access-refused': ReplyCodes.AccessRefused,
  'not-found': ReplyCodes.NotFound,
  'resource-locked': ReplyCodes.ResourceLocked,
  'precondition-failed': ReplyCodes.PreconditionFailed,
  'not-allowed': ReplyCodes.NotAllowed,
  'command-invalid': ReplyCodes.CommandInvalid,
  'not-implemented': ReplyCodes.NotImplemented,
  'resource-error': ReplyCodes.ResourceError,
  'internal-error': ReplyCodes.InternalError,
  'syntax-error': ReplyCodes.SyntaxError,
}

/**
 * What the peer is told about an error that came up in `method`: null when it is neither the peer's fault nor the
 * broker's refusal, so our own mistake, of which the peer learns no more than that.
 */
export function replyFor(error: unknown, method = 0): ProtocolError | null {
  if (error instanceof ProtocolError) return error.inMethod(method)
  if (error instanceof BrokerError) return new ProtocolError(codes[error.kind], error.message, method, error)
  if (error instanceof StringTooLong) return new ProtocolError(ReplyCodes.SyntaxError, error.message, method, error)
  return null
}

export function internalError(cause: unknown): ProtocolError {
  return new ProtocolError(ReplyCodes.InternalError, 'the broker made a mistake; its log says more', 0, cause)
}
