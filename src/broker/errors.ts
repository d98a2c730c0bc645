/**
 * What the broker refuses, in its own words. `server/reply-mapping.ts` turns kinds into AMQP reply codes and
 * `management/` into HTTP status, one table each. The text is what the client reads after `NAME - `.
 */
export type BrokerErrorKind =
  | 'access-refused' // 403, channel
  | 'not-found' // 404, channel
  | 'resource-locked' // 405, channel
  | 'precondition-failed' // 406, channel
  | 'not-allowed' // 530, connection
  | 'command-invalid' // 503, connection
  | 'not-implemented' // 540, connection
  | 'resource-error' // 506, connection
  | 'internal-error' // 541, connection
  | 'syntax-error' // 502, connection

export class BrokerError extends Error {
  readonly code = 'BROKER_ERROR'
  readonly kind: BrokerErrorKind

  constructor(kind: BrokerErrorKind, text: string) {
    super(text)
    this.kind = kind
  }
}
