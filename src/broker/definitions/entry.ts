/**
 * One entry of a definitions file, read field by field. What does not fit is refused with a sentence that names category,
 * place, name and field, so that it can be found in a file of thousands.
 */

/** A definitions file that cannot be imported, or an entry of it. */
export class DefinitionsError extends Error {
  readonly code = 'DEFINITIONS_INVALID'
}

export type JsonObject = Readonly<Record<string, unknown>>

export class Entry {
  /** `queues[3] ('orders')`. */
  readonly where: string
  readonly #fields: ReadonlyMap<string, unknown>

  constructor(category: string, index: number, value: unknown) {
    const place = `${category}[${index}]`
    if (!isObject(value)) throw new DefinitionsError(`${place} is no object`)
    // A map, so that no key of the file is special.
    this.#fields = new Map(Object.entries(value))
    const name = this.#fields.get('name') ?? this.#fields.get('user') ?? this.#fields.get('source')
    this.where = typeof name === 'string' ? `${place} ('${name}')` : place
  }

  has(key: string): boolean {
    return (this.#fields.get(key) ?? null) !== null
  }

  value(key: string): unknown {
    return this.#fields.get(key)
  }

  /** It must be there. */
  text(key: string): string {
    const value = this.#fields.get(key)
    if (typeof value !== 'string') throw this.wrong(`${key} has to be a text`)
    return value
  }

  textOr(key: string, otherwise: string): string {
    return this.has(key) ? this.text(key) : otherwise
  }

  /** As true or false, or as these words, as old exports have it. */
  flag(key: string, otherwise: boolean): boolean {
    if (!this.has(key)) return otherwise
    const value = this.#fields.get(key)
    if (value === true || value === 'true') return true
    if (value === false || value === 'false') return false
    throw this.wrong(`${key} has to be true or false`)
  }

  object(key: string): JsonObject {
    const value = this.#fields.get(key) ?? {}
    // Erlang's empty list and empty object are one, and some exports say the one for the other.
    if (Array.isArray(value) && value.length === 0) return {}
    if (!isObject(value)) throw this.wrong(`${key} has to be an object`)
    return value
  }

  /** A list of texts, or one text with commas. */
  words(key: string): string[] {
    const value = this.#fields.get(key) ?? []
    const words = typeof value === 'string' ? value.split(',').map((word) => word.trim()) : value
    if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) {
      throw this.wrong(`${key} has to be a list of texts`)
    }
    return words.filter((word) => word !== '')
  }

  wrong(why: string): DefinitionsError {
    return new DefinitionsError(`${this.where}: ${why}`)
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
