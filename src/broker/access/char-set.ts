/** A set of UTF-16 units, as ranges in order that neither touch nor overlap. Immutable. */
export class CharSet {
  static readonly none = new CharSet([])
  static readonly all = new CharSet([[0, 0xffff]])
  readonly #ranges: readonly Range[]

  private constructor(ranges: readonly Range[]) {
    this.#ranges = ranges
  }

  static of(char: string): CharSet {
    return CharSet.range(char, char)
  }

  /** Both ends belong to it. */
  static range(low: string, high: string): CharSet {
    return new CharSet([[low.charCodeAt(0), high.charCodeAt(0)]])
  }

  has(unit: number): boolean {
    return this.#ranges.some(([low, high]) => unit >= low && unit <= high)
  }

  with(other: CharSet): CharSet {
    const sorted = [...this.#ranges, ...other.#ranges].sort(([a], [b]) => a - b)
    const merged: Range[] = []
    for (const [low, high] of sorted) {
      const last = merged.at(-1)
      if (last !== undefined && low <= last[1] + 1) merged[merged.length - 1] = [last[0], Math.max(last[1], high)]
      else merged.push([low, high])
    }
    return new CharSet(merged)
  }

  inverted(): CharSet {
    const gaps: Range[] = []
    let next = 0
    for (const [low, high] of this.#ranges) {
      if (low > next) gaps.push([next, low - 1])
      next = high + 1
    }
    if (next <= 0xffff) gaps.push([next, 0xffff])
    return new CharSet(gaps)
  }

  /** With the other case of each ASCII letter in it. */
  ignoringCase(): CharSet {
    let set: CharSet = this
    for (const [low, high] of [
      [0x41, 0x5a],
      [0x61, 0x7a],
    ] as const) {
      const shift = low === 0x41 ? 32 : -32
      const letters = this.#ranges.flatMap(([from, to]) => {
        const [first, last] = [Math.max(from, low), Math.min(to, high)]
        return first <= last ? [[first + shift, last + shift] as Range] : []
      })
      set = set.with(new CharSet(letters))
    }
    return set
  }
}

type Range = readonly [low: number, high: number]

const digit = CharSet.range('0', '9')
const lower = CharSet.range('a', 'z')
const upper = CharSet.range('A', 'Z')
const letter = lower.with(upper)
const alnum = letter.with(digit)
const space = CharSet.range('\t', '\r').with(CharSet.of(' '))
const horizontal = CharSet.of('\t').with(CharSet.of(' '))
const graph = CharSet.range('!', '~')
export const word = alnum.with(CharSet.of('_'))

const posixClasses: Readonly<Record<string, CharSet>> = {
  alpha: letter,
  digit,
  alnum,
  upper,
  lower,
  space,
  blank: horizontal,
  punct: CharSet.range('!', '/')
    .with(CharSet.range(':', '@'))
    .with(CharSet.range('[', '`'))
    .with(CharSet.range('{', '~')),
  xdigit: digit.with(CharSet.range('a', 'f')).with(CharSet.range('A', 'F')),
  word,
  graph,
  print: graph.with(CharSet.of(' ')),
  cntrl: CharSet.range('\0', '\x1f').with(CharSet.of('\x7f')),
  ascii: CharSet.range('\0', '\x7f'),
}

/** Null when there is no class of this name. */
export function posixClass(name: string): CharSet | null {
  return Object.hasOwn(posixClasses, name) ? (posixClasses[name] ?? null) : null
}

const escapes: Readonly<Record<string, CharSet>> = {
  d: digit,
  D: digit.inverted(),
  w: word,
  W: word.inverted(),
  s: space,
  S: space.inverted(),
  h: horizontal,
}

/** What `\d` and the like stand for; null for other escapes. */
export function classEscape(char: string): CharSet | null {
  return Object.hasOwn(escapes, char) ? (escapes[char] ?? null) : null
}
