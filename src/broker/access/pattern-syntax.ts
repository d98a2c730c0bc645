/**
 * The syntax of user patterns: what people write in RabbitMQ's permission patterns (PCRE), as far as it can be matched in
 * time that grows with the length of the name only. References back, looking behind and recursion cannot.
 *
 * Characters are UTF-16 units; `\d`, `\w`, `\s` and `[:alpha:]` mean ASCII, as PCRE reads them without its Unicode mode.
 */
import { CharSet, classEscape, posixClass } from './char-set.ts'

export type Node =
  | { readonly kind: 'empty' }
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly parts: readonly Node[] }
  /** `most` null: without end. Whether it is greedy makes no difference to whether there is a match. */
  | { readonly kind: 'repeat'; readonly part: Node; readonly least: number; readonly most: number | null }
  | { readonly kind: 'assertion'; readonly what: 'start' | 'end' | 'word-edge' | 'no-word-edge' }
  | { readonly kind: 'look-ahead'; readonly part: Node; readonly isNegative: boolean }

/** Why a text is no pattern of ours: completes "the pattern …". */
export class PatternRefused extends Error {
  readonly code = 'PATTERN_REFUSED'
}

/** Throws `PatternRefused`. */
export function parsePattern(text: string): Node {
  return new Parser(text).parse()
}

/** Groups in groups. */
const depthMax = 50
export const repeatMax = 1_000

class Parser {
  readonly #text: string
  #at = 0
  #depth = 0
  #ignoresCase = false

  constructor(text: string) {
    this.#text = text
  }

  parse(): Node {
    const node = this.#choice()
    if (this.#at < this.#text.length) throw new PatternRefused('has a ) without its (')
    return node
  }

  #choice(): Node {
    const parts = [this.#sequence()]
    while (this.#take('|')) parts.push(this.#sequence())
    return parts.length === 1 ? (parts[0] ?? { kind: 'empty' }) : { kind: 'choice', parts }
  }

  #sequence(): Node {
    const parts: Node[] = []
    for (;;) {
      const next = this.#text[this.#at]
      if (next === undefined || next === '|' || next === ')') break
      const atom = this.#atom()
      parts.push(this.#repeated(atom))
    }
    return parts.length === 0 ? { kind: 'empty' } : { kind: 'sequence', parts }
  }

  // ---------------------------------------------------------------- one thing

  #atom(): Node {
    const char = this.#next()
    switch (char) {
      case '(':
        return this.#group()
      case '[':
        return this.#set(this.#class())
      case '.':
        return { kind: 'set', set: CharSet.all }
      case '^':
        return { kind: 'assertion', what: 'start' }
      case '$':
        return { kind: 'assertion', what: 'end' }
      case '*':
      case '+':
      case '?':
        throw new PatternRefused(`has a ${char} with nothing before it`)
      case '\\':
        return this.#escape()
      default:
        return this.#set(CharSet.of(char))
    }
  }

  #group(): Node {
    if (++this.#depth > depthMax) throw new PatternRefused(`has groups nested more than ${depthMax} deep`)
    const lookAhead = this.#take('?=') ? 'positive' : this.#take('?!') ? 'negative' : null
    if (lookAhead === null && this.#take('?i)')) {
      // To the end of the group it stands in; the group itself is empty.
      this.#ignoresCase = true
      this.#depth--
      return { kind: 'empty' }
    }
    if (lookAhead === null && this.#text[this.#at] === '?') this.#groupHead()
    const ignoredCase = this.#ignoresCase
    const part = this.#choice()
    this.#ignoresCase = ignoredCase
    if (!this.#take(')')) throw new PatternRefused('has a ( without its )')
    this.#depth--
    return lookAhead === null ? part : { kind: 'look-ahead', part, isNegative: lookAhead === 'negative' }
  }

  /** A group that captures, by name or not, or does not: all the same here. */
  #groupHead(): void {
    const head = /^\?(?::|P?<[A-Za-z_]\w*>)/.exec(this.#text.slice(this.#at))
    if (head === null) {
      const what = this.#text.startsWith('?<', this.#at) ? 'looks behind' : 'has a kind of group that is not known'
      throw new PatternRefused(`${what}, which cannot be matched here`)
    }
    this.#at += head[0].length
  }

  #escape(): Node {
    const char = this.#next()
    if (char === '') throw new PatternRefused('ends with a \\')
    if (/[1-9kgR]/.test(char))
      throw new PatternRefused('refers back to a group, which cannot be matched in bounded time')
    if (char === 'A') return { kind: 'assertion', what: 'start' }
    if (char === 'z' || char === 'Z') return { kind: 'assertion', what: 'end' }
    if (char === 'b') return { kind: 'assertion', what: 'word-edge' }
    if (char === 'B') return { kind: 'assertion', what: 'no-word-edge' }
    return this.#set(classEscape(char) ?? CharSet.of(this.#escapedChar(char)))
  }

  /** `\n`, two digits behind `\x`, four behind `\u`, and anything that is no letter. */
  #escapedChar(char: string): string {
    const control = controls[char]
    if (control !== undefined) return control
    const digits = char === 'x' ? 2 : char === 'u' ? 4 : 0
    if (digits > 0) {
      const code = this.#text.slice(this.#at, this.#at + digits)
      if (!/^[0-9a-fA-F]+$/.test(code) || code.length < digits)
        throw new PatternRefused(`has a \\${char} without its digits`)
      this.#at += digits
      return String.fromCharCode(Number.parseInt(code, 16))
    }
    if (/[A-Za-z0-9]/.test(char)) throw new PatternRefused(`has a \\${char}, which is not known`)
    return char
  }

  #set(set: CharSet): Node {
    return { kind: 'set', set: this.#ignoresCase ? set.ignoringCase() : set }
  }

  // ---------------------------------------------------------------- [classes]

  #class(): CharSet {
    const isNegated = this.#take('^')
    let set = CharSet.none
    // A ] that comes first stands for itself, as in PCRE.
    for (let isFirst = true; isFirst || this.#text[this.#at] !== ']'; isFirst = false) {
      if (this.#at >= this.#text.length) throw new PatternRefused('has a [ without its ]')
      set = set.with(this.#classItem())
    }
    this.#at++
    return isNegated ? (this.#ignoresCase ? set.ignoringCase() : set).inverted() : set
  }

  #classItem(): CharSet {
    const posix = /^\[:(\^?)(\w+):\]/.exec(this.#text.slice(this.#at))
    if (posix !== null) {
      const named = posixClass(posix[2] ?? '')
      if (named === null) throw new PatternRefused(`has a class [:${posix[2]}:], which is not known`)
      this.#at += posix[0].length
      return posix[1] === '^' ? named.inverted() : named
    }
    const low = this.#classChar()
    const isRange = this.#text[this.#at] === '-' && !['', ']'].includes(this.#text[this.#at + 1] ?? '')
    if (typeof low !== 'string' || !isRange) return typeof low === 'string' ? CharSet.of(low) : low
    this.#at++
    const high = this.#classChar()
    if (typeof high !== 'string') throw new PatternRefused('has a range that ends with a class')
    if (high < low) throw new PatternRefused(`has the range ${low}-${high}, which is the wrong way round`)
    return CharSet.range(low, high)
  }

  /** A character, or what an escape such as `\d` stands for. */
  #classChar(): string | CharSet {
    const char = this.#next()
    if (char !== '\\') return char
    const escaped = this.#next()
    if (escaped === '') throw new PatternRefused('ends with a \\')
    if (escaped === 'b') return '\b'
    return classEscape(escaped) ?? this.#escapedChar(escaped)
  }

  // ---------------------------------------------------------------- repeats

  #repeated(atom: Node): Node {
    let node = atom
    for (let bounds = this.#bounds(); bounds !== null; bounds = this.#bounds()) {
      // The second is how: reluctant or possessive. Possessive takes matches away.
      if (this.#take('+')) throw new PatternRefused('has a possessive repeat, which cannot be matched here')
      this.#take('?')
      if (node !== atom) throw new PatternRefused('repeats a repeat; put the first one into a group')
      node = { kind: 'repeat', part: atom, ...bounds }
    }
    return node
  }

  #bounds(): { least: number; most: number | null } | null {
    if (this.#take('*')) return { least: 0, most: null }
    if (this.#take('+')) return { least: 1, most: null }
    if (this.#take('?')) return { least: 0, most: 1 }
    const counted = /^\{(\d{1,9})(,(\d{0,9}))?\}/.exec(this.#text.slice(this.#at))
    if (counted === null) return null // a { that begins no count stands for itself
    this.#at += counted[0].length
    const least = Number(counted[1])
    const most = counted[2] === undefined ? least : counted[3] === '' ? null : Number(counted[3])
    if (most !== null && most < least)
      throw new PatternRefused(`has the count ${counted[0]}, which is the wrong way round`)
    if (Math.max(least, most ?? 0) > repeatMax) throw new PatternRefused(`repeats more than ${repeatMax} times`)
    return { least, most }
  }

  // ---------------------------------------------------------------- text

  /** The empty text at the end. */
  #next(): string {
    return this.#text[this.#at++] ?? ''
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }
}

const controls: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  f: '\f',
  v: '\v',
  e: '\x1b',
  a: '\x07',
  '0': '\0',
}
