import { waysMax, waysToMatch } from './pattern-cost.ts'

/**
 * A permission pattern: a regular expression that an administrator wrote, matched anywhere in a name. The empty pattern
 * matches the empty name only, that is: nothing.
 *
 * It is compiled once. A pattern that does not compile, or that could keep JavaScript's backtracking engine busy for
 * long (`pattern-cost.ts`), matches nothing: on any doubt deny.
 */
export class Pattern {
  readonly text: string
  /** Why it matches nothing; null when it is in order. */
  readonly error: string | null
  readonly #expression: RegExp | null

  constructor(text: string, lengthMax = patternLengthMax) {
    this.text = text
    const compiled = text === '' ? null : compile(text, lengthMax)
    this.error = typeof compiled === 'string' ? compiled : null
    this.#expression = typeof compiled === 'string' ? null : compiled
  }

  matches(name: string): boolean {
    if (this.text === '') return name === ''
    return this.#expression?.test(name) ?? false
  }
}

/** Longest pattern, in UTF-16 units. */
export const patternLengthMax = 256

/** The expression, or why there is none. */
function compile(text: string, lengthMax: number): RegExp | string {
  if (text.length > lengthMax) return `is longer than ${lengthMax} characters`
  if (waysToMatch(text) > waysMax) return 'could take too long to match'
  try {
    return new RegExp(text, 's')
  } catch {
    return 'is not a regular expression' // the engine's own words would tell its author no more
  }
}
