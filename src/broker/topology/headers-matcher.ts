import type { FieldTable, FieldValue } from '../../amqp/field-table.ts'
import type { Message } from '../message.ts'
import type { Binding } from './binding.ts'
import type { Matcher } from './exchange.ts'
import { isSameValue } from './field-values.ts'
import { headersOfMessage } from './message-headers.ts'
import type { Router } from './router.ts'

/**
 * Along every binding whose arguments fit the message's headers. Every binding is looked at for every message.
 *
 * `x-match` says how: `all` (or absent) or `any` of the arguments, those named `x-…` left out; `all-with-x` and
 * `any-with-x` take these too. A void argument fits when the header is there, whatever its value.
 */
export class HeadersMatcher implements Matcher {
  readonly readsHeaders = true
  readonly #conditions = new Map<Binding, HeadersCondition>()

  add(binding: Binding): void {
    this.#conditions.set(binding, new HeadersCondition(binding.arguments))
  }

  remove(binding: Binding): void {
    this.#conditions.delete(binding)
  }

  match(router: Router, _key: string, message: Message): void {
    if (this.#conditions.size === 0) return
    const headers = headersOfMessage(message)
    for (const [binding, condition] of this.#conditions) {
      router.spend(condition.size + 1)
      if (condition.fits(headers)) router.reach(binding.destination)
    }
  }
}

export const matchKey = 'x-match'
const matchKinds = ['all', 'any', 'all-with-x', 'any-with-x']

/** What is wrong with the arguments of a binding to a headers exchange; null when nothing is. */
export function whyNoCondition(table: FieldTable): string | null {
  const kind = table.fields.get(matchKey)
  if (kind === undefined || (kind.tag === 'S' && matchKinds.includes(kind.value))) return null
  const expected = 'expected all, any, all-with-x, or any-with-x'
  return kind.tag === 'S'
    ? `Invalid x-match field value '${kind.value}'; ${expected}`
    : `Invalid x-match field type ${kind.tag}; expected a long string: ${expected}`
}

/** The arguments of a binding, ready for comparing. */
export class HeadersCondition {
  readonly #isAny: boolean
  readonly #keys: string[] = []
  readonly #values: FieldValue[] = []

  constructor(table: FieldTable) {
    const match = table.fields.get(matchKey)
    const kind = match?.tag === 'S' ? match.value : 'all'
    this.#isAny = kind.startsWith('any')
    const isWithX = kind.endsWith('-with-x')
    for (const [key, value] of table.fields) {
      if (key === matchKey || (key.startsWith('x-') && !isWithX)) continue
      this.#keys.push(key)
      this.#values.push(value)
    }
  }

  /** How many headers it looks at. */
  get size(): number {
    return this.#keys.length
  }

  fits(headers: FieldTable): boolean {
    for (let index = 0; index < this.#keys.length; index++) {
      if (this.#fitsAt(index, headers) === this.#isAny) return this.#isAny
    }
    return !this.#isAny
  }

  #fitsAt(index: number, headers: FieldTable): boolean {
    const header = headers.fields.get(this.#keys[index] ?? '')
    const wanted = this.#values[index]
    if (header === undefined || wanted === undefined) return false
    return wanted.tag === 'V' || isSameValue(wanted, header)
  }
}
