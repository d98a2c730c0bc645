/**
 * Whether a pattern matches anywhere in a name, in time that is at most length of the name × size of the pattern,
 * whatever both are: Thompson's way (1968) of following all possibilities at once, here from the end of the name to its
 * start.
 *
 *     at each position: which states lead to a match of what stands behind it
 *
 * From the end, because then a look ahead is a question that has been answered already: whether its first state is
 * among those. States of a look ahead have smaller numbers of area than those around it and are worked out first.
 */
import { type CharSet, word } from './char-set.ts'
import { type Node, PatternRefused } from './pattern-syntax.ts'

/** States of one pattern. Counted repeats are written out. */
export const statesMax = 10_000

type Condition =
  | { readonly kind: 'assertion'; readonly what: 'start' | 'end' | 'word-edge' | 'no-word-edge' }
  | { readonly kind: 'look-ahead'; readonly first: number; readonly isNegative: boolean }

/** Read backwards: who leads here, by a character, by nothing, or where a condition holds. */
class State {
  readonly bySet: { readonly from: number; readonly set: CharSet }[] = []
  readonly byNothing: { readonly from: number; readonly condition: Condition | null }[] = []
}

export class PatternProgram {
  readonly #states: State[] = []
  /** First the innermost look aheads, last the pattern itself; each has an end that is true everywhere. */
  readonly #areas: { readonly end: number; readonly first: number }[] = []

  /** Throws `PatternRefused` when it is too large. */
  constructor(pattern: Node) {
    this.#addArea(pattern)
  }

  matches(name: string): boolean {
    const { first } = this.#areas.at(-1) ?? { first: 0 }
    // By state: the last position, counted from the end, at which it was found to lead to a match.
    const seen = new Int32Array(this.#states.length).fill(-1)
    let behind: number[] = []
    for (let at = name.length; at >= 0; at--) {
      behind = this.#step(name, at, behind, seen)
      if (seen[first] === at) return true
    }
    return false
  }

  /** Those at this position, of those one further to the end. */
  #step(name: string, at: number, behind: readonly number[], seen: Int32Array): number[] {
    const unit = name.charCodeAt(at)
    const byArea: number[][] = this.#areas.map(() => [])
    for (const state of behind) {
      for (const { from, set } of this.#states[state]?.bySet ?? []) {
        if (seen[from] !== at && set.has(unit)) {
          seen[from] = at
          byArea[this.#areaOf(from)]?.push(from)
        }
      }
    }
    for (const [index, { end }] of this.#areas.entries()) {
      const list = byArea[index] ?? []
      seen[end] = at
      list.push(end)
      this.#close(name, at, list, seen)
    }
    return byArea.flat()
  }

  /** Adds those who come here by nothing; the list grows as it is walked. */
  #close(name: string, at: number, list: number[], seen: Int32Array): void {
    for (let index = 0; index < list.length; index++) {
      for (const { from, condition } of this.#states[list[index] ?? 0]?.byNothing ?? []) {
        if (seen[from] === at || (condition !== null && !holds(condition, name, at, seen))) continue
        seen[from] = at
        list.push(from)
      }
    }
  }

  /** Areas follow one another, each behind its end. */
  #areaOf(state: number): number {
    return this.#areaByState[state] ?? 0
  }

  readonly #areaByState: number[] = []

  // ---------------------------------------------------------------- building

  /** Its first state. States inside get their area when it is complete, look aheads in it before. */
  #addArea(node: Node): number {
    const end = this.#newState()
    const first = this.#build(node, end)
    const area = this.#areas.push({ end, first }) - 1
    for (let state = end; state < this.#states.length; state++) this.#areaByState[state] ??= area
    return first
  }

  #newState(): number {
    if (this.#states.length >= statesMax) throw new PatternRefused(`is larger than ${statesMax} states`)
    return this.#states.push(new State()) - 1
  }

  #link(from: number, to: number, condition: Condition | null = null): void {
    this.#states[to]?.byNothing.push({ from, condition })
  }

  /** The state from which this and then `next` match. */
  #build(node: Node, next: number): number {
    switch (node.kind) {
      case 'empty':
        return next
      case 'set': {
        const from = this.#newState()
        this.#states[next]?.bySet.push({ from, set: node.set })
        return from
      }
      case 'sequence':
        return node.parts.reduceRight((behind, part) => this.#build(part, behind), next)
      case 'choice': {
        const from = this.#newState()
        for (const part of node.parts) this.#link(from, this.#build(part, next))
        return from
      }
      case 'repeat':
        return this.#buildRepeat(node.part, node.least, node.most, next)
      case 'assertion': {
        const from = this.#newState()
        this.#link(from, next, node)
        return from
      }
      case 'look-ahead': {
        const { isNegative } = node
        const first = this.#addArea(node.part)
        const from = this.#newState()
        this.#link(from, next, { kind: 'look-ahead', first, isNegative })
        return from
      }
    }
  }

  #buildRepeat(part: Node, least: number, most: number | null, next: number): number {
    let from = next
    if (most === null) {
      const again = this.#newState()
      this.#link(again, next)
      this.#link(again, this.#build(part, again))
      from = again
    }
    for (let count = least; count < (most ?? least); count++) {
      const maybe = this.#newState()
      this.#link(maybe, next)
      this.#link(maybe, this.#build(part, from))
      from = maybe
    }
    for (let count = 0; count < least; count++) from = this.#build(part, from)
    return from
  }
}

function holds(condition: Condition, name: string, at: number, seen: Int32Array): boolean {
  if (condition.kind === 'look-ahead') return (seen[condition.first] === at) !== condition.isNegative
  switch (condition.what) {
    case 'start':
      return at === 0
    case 'end':
      return at === name.length
    case 'word-edge':
      return isWordAt(name, at - 1) !== isWordAt(name, at)
    case 'no-word-edge':
      return isWordAt(name, at - 1) === isWordAt(name, at)
  }
}

function isWordAt(name: string, at: number): boolean {
  return at >= 0 && at < name.length && word.has(name.charCodeAt(at))
}
