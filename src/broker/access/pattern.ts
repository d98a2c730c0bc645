import { PatternProgram } from './pattern-program.ts'
import { PatternRefused, parsePattern } from './pattern-syntax.ts'

/**
 * A permission pattern: a regular expression that an administrator wrote, matched anywhere in a name. The empty pattern
 * matches the empty name only, that is: nothing.
 *
 * It is compiled once, for an engine whose time grows with the length of the name and no faster
 * (`pattern-program.ts`). A pattern that does not compile matches nothing: on any doubt deny.
 */
export class Pattern {
  readonly text: string
  /** Why it matches nothing; null when it is in order. */
  readonly error: string | null
  readonly #program: PatternProgram | null

  constructor(text: string, lengthMax = patternLengthMax) {
    this.text = text
    const compiled = text === '' ? null : compile(text, lengthMax)
    this.error = typeof compiled === 'string' ? compiled : null
    this.#program = typeof compiled === 'string' ? null : compiled
  }

  matches(name: string): boolean {
    if (this.text === '.*') return true // what most users have
    if (this.text === '') return name === ''
    return this.#program?.matches(name) ?? false
  }
}

/** Longest pattern, in UTF-16 units. */
export const patternLengthMax = 256

/** The program, or why there is none. */
function compile(text: string, lengthMax: number): PatternProgram | string {
  if (text.length > lengthMax) return `is longer than ${lengthMax} characters`
  try {
    return new PatternProgram(parsePattern(text))
  } catch (error) {
    if (error instanceof PatternRefused) return error.message
    throw error
  }
}
