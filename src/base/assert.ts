/** Our own mistake: a state the program rules out. Never the peer's fault and never the disk's. */
export class AssertionFailed extends Error {
  readonly code = 'ASSERTION_FAILED'
}

/** Stays on in production: compare, no formatting unless it fails. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message)
}

/** Ends a `switch` over a closed set; the compiler complains when a member is missing. */
export function assertNever(value: never): never {
  throw new AssertionFailed(`unexpected value ${String(value)}`)
}
