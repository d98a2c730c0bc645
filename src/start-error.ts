/** Why a node cannot start, for reasons of the world outside or of what it was told: one sentence that names the thing and the mend. */
export class StartError extends Error {
  readonly code = 'START_REFUSED'
  readonly part: 'data-directory' | 'address' | 'definitions' | 'options' | 'cluster'

  constructor(part: StartError['part'], sentence: string, cause?: unknown) {
    super(sentence, { cause })
    this.part = part
  }
}

/** The system's name for an error (`EACCES`), or its text. */
export function errorName(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
