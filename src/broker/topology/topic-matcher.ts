import { type Binding, BindingList } from './binding.ts'
import type { Matcher } from './exchange.ts'
import type { Router } from './router.ts'

/**
 * Along every binding whose pattern fits the routing key. Both are words between dots; in a pattern `*` is any one word
 * and `#` any number of words, none included. The empty key has no words, as in RabbitMQ.
 *
 * The patterns form a trie. A key is matched word by word with the *set* of nodes that fit so far, each in it once:
 *
 * ```
 *           ┌─ a ─ #*        patterns  a.#  and  *.b
 *   root ───┤                key a.b:  {root} → {a, a.#, *} → {a.#, *.b}
 *           └─ * ─ b*        * = a pattern ends here; a `#` node fits before any word and stays
 * ```
 *
 * So the work is at most nodes × words, whatever the patterns; trying the ways one after the other would be
 * combinatorial in the `#`s.
 */
export class TopicMatcher implements Matcher {
  readonly readsHeaders = false
  readonly #root = new TopicNode(null, '')
  /** Nodes that fit the words so far, and those being collected; used again by each match. */
  #fitting: TopicNode[] = []
  #next: TopicNode[] = []
  /** Counts sets, so that a node knows whether it is in the one being collected. */
  #set = 0

  add(binding: Binding): void {
    let node = this.#root
    for (const word of wordsOf(binding.key)) node = node.childFor(word)
    node.bindings ??= new BindingList()
    node.bindings.add(binding)
  }

  /** Nodes that lead nowhere any more go too. */
  remove(binding: Binding): void {
    let node: TopicNode | null = this.#root
    for (const word of wordsOf(binding.key)) node = node?.child(word) ?? null
    node?.bindings?.remove(binding)
    if (node?.bindings?.items.length === 0) node.bindings = null
    while (node !== null && node.parent !== null && node.isBare) {
      node.parent.drop(node)
      node = node.parent
    }
  }

  match(router: Router, key: string): void {
    this.#begin()
    this.#collect(this.#root)
    for (let start = key === '' ? 1 : 0; start <= key.length; ) {
      const dot = key.indexOf('.', start)
      const end = dot === -1 ? key.length : dot
      this.#step(router, key.slice(start, end))
      start = end + 1
    }
    for (const node of this.#next) {
      if (node.bindings !== null) router.reachAll(node.bindings)
    }
  }

  /** From the nodes that fit to those that fit with one word more. */
  #step(router: Router, word: string): void {
    const fitting = this.#next
    this.#next = this.#fitting
    this.#fitting = fitting
    this.#begin()
    router.spend(fitting.length)
    for (const node of fitting) {
      if (node.isHash) this.#collect(node)
      const child = node.words?.get(word)
      if (child !== undefined) this.#collect(child)
      if (node.star !== null) this.#collect(node.star)
    }
  }

  #begin(): void {
    this.#set++
    this.#next.length = 0
  }

  #collect(node: TopicNode): void {
    if (node.set === this.#set) return
    node.set = this.#set
    this.#next.push(node)
    if (node.hash !== null) this.#collect(node.hash)
  }
}

/** More would have no use and much cost (RabbitMQ has the same limit). */
export const hashesMax = 2

/** How many words of a pattern are `#`. */
export function hashesIn(pattern: string): number {
  return wordsOf(pattern).filter((word) => word === '#').length
}

function wordsOf(key: string): string[] {
  return key === '' ? [] : key.split('.')
}

class TopicNode {
  readonly parent: TopicNode | null
  readonly word: string
  readonly isHash: boolean
  words: Map<string, TopicNode> | null = null
  star: TopicNode | null = null
  hash: TopicNode | null = null
  bindings: BindingList | null = null
  set = 0

  constructor(parent: TopicNode | null, word: string) {
    this.parent = parent
    this.word = word
    this.isHash = word === '#'
  }

  get isBare(): boolean {
    return this.bindings === null && this.words === null && this.star === null && this.hash === null
  }

  child(word: string): TopicNode | null {
    if (word === '*') return this.star
    if (word === '#') return this.hash
    return this.words?.get(word) ?? null
  }

  childFor(word: string): TopicNode {
    const known = this.child(word)
    if (known !== null) return known
    const made = new TopicNode(this, word)
    if (word === '*') this.star = made
    else if (word === '#') this.hash = made
    else {
      this.words ??= new Map()
      this.words.set(word, made)
    }
    return made
  }

  drop(node: TopicNode): void {
    if (node === this.star) this.star = null
    else if (node === this.hash) this.hash = null
    else this.words?.delete(node.word)
    if (this.words?.size === 0) this.words = null
  }
}
