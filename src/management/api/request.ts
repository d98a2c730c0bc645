import { isObject, type JsonObject } from '../../broker/definitions/entry.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { badRequest, keysMissing, notFound, tooLarge } from './answer.ts'
import type { Caller } from './caller.ts'

/** One request that has passed login, tags and vhost. */
export interface ApiRequest {
  readonly caller: Caller
  /** Of the path, decoded. */
  readonly params: ReadonlyMap<string, string>
  readonly query: URLSearchParams
  /** Of a route with `{vhost}`. */
  readonly vhost: VhostState | null
  header(name: string): string | null
  /** Of the peer, as its socket says. */
  readonly remoteAddress: string
  /** What the client sent, as an object; without a body an empty one. Read once. */
  fields(): Promise<Fields>
}

/** Of the path; what is missing there is our own mistake. */
export function param(request: ApiRequest, name: string): string {
  const value = request.params.get(name)
  if (value === undefined) throw new Error(`the route has no ${name}`)
  return value
}

/** The name of an exchange in the path; `amq.default` is the one without a name. */
export function exchangeParam(request: ApiRequest, name: string): string {
  const value = param(request, name)
  return value === 'amq.default' ? '' : value
}

export function vhostOf({ vhost }: ApiRequest): VhostState {
  if (vhost === null) throw notFound()
  return vhost
}

/** `if-empty=true` and the like; anything else is no. */
export function isSet(request: ApiRequest, name: string): boolean {
  return request.query.get(name) === 'true'
}

/** Of the query. Throws 400. */
export function wholeNumber({ query }: ApiRequest, name: string, otherwise: number): number {
  const text = query.get(name)
  if (text === null) return otherwise
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${name} has to be a whole number`)
  return Number(text)
}

/** A JSON object that a client sent, field by field. Kept as a map: no key is special. */
export class Fields {
  readonly json: JsonObject
  readonly #fields: ReadonlyMap<string, unknown>

  constructor(json: JsonObject) {
    this.json = json
    this.#fields = new Map(Object.entries(json))
  }

  get keys(): Iterable<string> {
    return this.#fields.keys()
  }

  has(key: string): boolean {
    return (this.#fields.get(key) ?? null) !== null
  }

  value(key: string): unknown {
    return this.#fields.get(key)
  }

  /** Throws 400 in RabbitMQ's words unless all are there. */
  require(...keys: readonly string[]): void {
    const missing = keys.filter((key) => !this.#fields.has(key))
    if (missing.length > 0) throw keysMissing(missing)
  }

  text(key: string): string {
    const value = this.#fields.get(key)
    if (typeof value !== 'string') throw badRequest(`${key} has to be a text`)
    return value
  }

  textOr(key: string, otherwise: string): string {
    return this.has(key) ? this.text(key) : otherwise
  }

  /** As true or false, or as these words. */
  flag(key: string, otherwise: boolean): boolean {
    if (!this.has(key)) return otherwise
    const value = this.#fields.get(key)
    if (value === true || value === 'true') return true
    if (value === false || value === 'false') return false
    throw badRequest(`${key} has to be true or false`)
  }

  /** A whole number, also written as a text (as some tools do). */
  integer(key: string, otherwise: number | null = null): number {
    if (!this.has(key) && otherwise !== null) return otherwise
    const value = this.#fields.get(key)
    const number = typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw badRequest(`${key} has to be a whole number`)
    return number
  }

  object(key: string): JsonObject {
    const value = this.#fields.get(key) ?? {}
    if (Array.isArray(value) && value.length === 0) return {}
    if (!isObject(value)) throw badRequest(`${key} has to be an object`)
    return value
  }

  /** A list of texts, or one text with commas. */
  words(key: string): string[] {
    const value = this.#fields.get(key)
    const words = typeof value === 'string' ? value.split(',').map((word) => word.trim()) : value
    if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) {
      throw badRequest(`${key} has to be a list of texts`)
    }
    return words.filter((word) => word !== '')
  }
}

// ---------------------------------------------------------------- body

/** Reads a body that may have `bytesMax` bytes and parses it. Throws 400, and 413 before more than that is kept. */
export async function readFields(
  body: AsyncIterable<Uint8Array> | null,
  contentLength: string | null,
  bytesMax: number,
): Promise<Fields> {
  if (Number(contentLength ?? 0) > bytesMax) throw tooLarge(bytesMax)
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of body ?? []) {
    bytes += part.length
    if (bytes > bytesMax) throw tooLarge(bytesMax)
    parts.push(part)
  }
  if (bytes === 0) return new Fields({})
  const json = parsed(parts)
  if (!isObject(json)) throw badRequest('not_json')
  return new Fields(json)
}

function parsed(parts: readonly Uint8Array[]): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts)))
  } catch {
    throw badRequest('not_json')
  }
}
