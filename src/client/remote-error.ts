import type { Table } from './driver/properties.ts'
import { WarrenError } from './errors.ts'

/** What a handler in another program threw, as far as it is told: name, message and code; never its stack. */
export class RemoteError extends WarrenError {
  /** `name` of the error that was thrown there. */
  readonly remoteName: string
  readonly remoteMessage: string
  /** Its `code`, if that is text; else ''. */
  readonly remoteCode: string
  /** How often it was tried: more than 1 for tasks only. */
  readonly attempts: number

  constructor(where: string, told: ToldError, attempts = 1) {
    const after = attempts > 1 ? ` after ${attempts} attempts` : ''
    const mend = 'What is wrong is on that side, or in what was sent.'
    super('REMOTE_FAILED', `${where} failed${after} (${told.name}: ${told.message}).`, { mend })
    this.name = 'RemoteError'
    this.remoteName = told.name
    this.remoteMessage = told.message
    this.remoteCode = told.code
    this.attempts = attempts
  }
}

/** An error as it travels: JSON in the body. */
export interface ToldError {
  readonly name: string
  readonly message: string
  readonly code: string
}

/** Message and name are cut to so many characters. */
const textLengthMax = 4_000

export function toldError(error: unknown): ToldError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error).slice(0, textLengthMax), code: '' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const [name, message] = [error.name, error.message].map((text) => String(text).slice(0, textLengthMax))
  return { name: name ?? 'Error', message: message ?? '', code: code.slice(0, textLengthMax) }
}

/** Whatever it is that came, something can be said. */
export function readToldError(body: Uint8Array): ToldError {
  let value: unknown = null
  try {
    value = JSON.parse(new TextDecoder().decode(body))
  } catch {
    // Not written by us: then it has no words.
  }
  const fields: Record<string, unknown> = typeof value === 'object' && value !== null ? { ...value } : {}
  const text = (key: string, otherwise: string): string => {
    const field = fields[key]
    return typeof field === 'string' ? field : otherwise
  }
  return { name: text('name', 'Error'), message: text('message', 'it did not say why'), code: text('code', '') }
}

export function numberHeader(headers: Table | undefined, name: string): number | null {
  const value = headers?.[name]
  if (typeof value === 'bigint') return Number(value)
  return typeof value === 'number' ? value : null
}

export function textHeader(headers: Table | undefined, name: string): string | null {
  const value = headers?.[name]
  return typeof value === 'string' ? value : null
}
