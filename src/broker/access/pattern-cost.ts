/**
 * In how many ways a backtracking engine might try to match a regular expression against a name of 255 bytes: an upper
 * bound, not an estimate. It does not say what an expression means and need not: it may overstate, never understate.
 *
 * One after the other multiplies, alternatives add up, an option is one way more, a repeat can stop in as many places
 * as a name has bytes, and so it can begin in as many unless it is anchored. Repeating something that itself can match
 * in several ways is beyond all bounds (`(a+)+`), and so are references back and looking behind. Looking ahead
 * (`^(?!amq\.)`) counts as what it looks for: it is tried once for each way to come there.
 */
export function waysToMatch(text: string): number {
  const groups: Group[] = []
  let group = emptyGroup()
  let isAnchored = text.startsWith('^')
  for (let at = 0; at < text.length; ) {
    const token = tokenAt(text, at)
    at += token.length
    switch (token.kind) {
      case 'atom':
        addAtom(group, 1)
        break
      case 'open':
        groups.push(group)
        group = emptyGroup()
        break
      case 'close': {
        const parent = groups.pop()
        if (parent === undefined) return Number.POSITIVE_INFINITY // not an expression at all
        addAtom(parent, waysOf(group))
        group = parent
        break
      }
      case 'or':
        if (groups.length === 0) isAnchored = false
        group.others = waysOf(group)
        group.before = 1
        group.last = 1
        break
      case 'repeat':
        group.last = token.least === token.most ? group.last ** token.least : repeated(group.last, token)
        break
      case 'costly':
        return Number.POSITIVE_INFINITY
    }
  }
  return waysOf(group) * (isAnchored ? 1 : nameBytesMax)
}

/** Three unbounded repeats in a row and a few options, or two without an anchor; what people write needs fewer. */
export const waysMax = 2 ** 26

const nameBytesMax = 256

/** A group being read: ways of its finished alternatives, and of the one under way, split before its last atom. */
interface Group {
  others: number
  before: number
  last: number
}

function emptyGroup(): Group {
  return { others: 0, before: 1, last: 1 }
}

function addAtom(group: Group, ways: number): void {
  group.before *= group.last
  group.last = ways
}

function waysOf(group: Group): number {
  return group.others + group.before * group.last
}

function repeated(ways: number, { least, most }: { least: number; most: number }): number {
  if (most === 1) return ways + 1
  return ways > 1 ? Number.POSITIVE_INFINITY : Math.min(most - least + 1, nameBytesMax)
}

type Token =
  | { readonly kind: 'atom' | 'open' | 'close' | 'or' | 'costly'; readonly length: number }
  | { readonly kind: 'repeat'; readonly length: number; readonly least: number; readonly most: number }

const groupStart = /^\((?:\?[:=!]|\?<[A-Za-z_]\w*>|(?!\?))/
const bounds = /^\{(\d{1,9})(,(\d{0,9}))?\}/
const unbounded = Number.POSITIVE_INFINITY

function tokenAt(text: string, at: number): Token {
  switch (text[at]) {
    case '\\':
      return { kind: /[1-9k]/.test(text[at + 1] ?? '') ? 'costly' : 'atom', length: 2 }
    case '[':
      return { kind: 'atom', length: classLength(text, at) }
    case '(': {
      const start = groupStart.exec(text.slice(at))
      return start === null ? { kind: 'costly', length: 1 } : { kind: 'open', length: start[0].length }
    }
    case ')':
      return { kind: 'close', length: 1 }
    case '|':
      return { kind: 'or', length: 1 }
    case '*':
    case '+':
      return repeatOf(text, at + 1, 1, { least: 0, most: unbounded })
    case '?':
      return repeatOf(text, at + 1, 1, { least: 0, most: 1 })
    case '{':
      return boundsAt(text, at)
    default:
      return { kind: 'atom', length: 1 }
  }
}

function boundsAt(text: string, at: number): Token {
  const [whole, least, comma, most] = bounds.exec(text.slice(at)) ?? []
  if (whole === undefined) return { kind: 'atom', length: 1 }
  const to = comma === undefined ? Number(least) : most === '' ? unbounded : Number(most)
  return repeatOf(text, at + whole.length, whole.length, { least: Number(least), most: to })
}

/** A `?` behind a repeat makes it reluctant, which changes the order of trying, not the number. */
function repeatOf(text: string, next: number, length: number, range: { least: number; most: number }): Token {
  return { kind: 'repeat', length: text[next] === '?' ? length + 1 : length, ...range }
}

/** From `[` through the `]` that closes it; to the end where none does. */
function classLength(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && text[end] !== ']') end += text[end] === '\\' ? 2 : 1
  return Math.min(end + 1, text.length) - at
}
