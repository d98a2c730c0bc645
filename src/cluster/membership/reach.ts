/**
 * Who reaches whom by links, as the nodes say in their sessions, and who should own shards for it: computed alike by
 * everybody from the same entries.
 *
 * Two nodes are apart when either says so. A node that is apart from a majority of all live ones is isolated: it owns
 * nothing. Of the others those own shards that are apart from the fewest of them, which is from nobody, if there is such a
 * node: whoever is apart from an owner could not serve its clients. Where all are isolated nothing moves: it would help nobody.
 */
import type { SessionEntry } from './session-entry.ts'

/** Names, the smaller one first. */
export type NodePair = readonly [string, string]

export interface Reach {
  /** Pairs that do not reach each other, in order. */
  readonly apart: readonly NodePair[]
  /** Of those that are isolated and should own nothing. */
  readonly isolated: ReadonlySet<string>
  /** Those that should own shards, as far as links go. */
  readonly owners: ReadonlySet<string>
}

/**
 * What nodes say counts when it has been the same for so long, in milliseconds: when several lose their links at once, the
 * first to say so must not be taken for the only one.
 */
export const reachSettleMs = 2_000

export class SettlingReach {
  #apart: readonly NodePair[] = []
  #heard = ''
  #since = 0

  /** `now` by the own monotonic clock. */
  look(sessions: ReadonlyMap<string, SessionEntry>, now: number): Reach {
    const names = [...sessions.keys()].sort()
    const apart = pairsApart(sessions, names)
    const heard = apart.join(' ')
    if (heard !== this.#heard) {
      this.#heard = heard
      this.#since = now
    }
    if (now - this.#since >= reachSettleMs) this.#apart = apart
    return reachOf(
      names,
      this.#apart.filter((pair) => pair.every((name) => sessions.has(name))),
    )
  }
}

/** `names` in order. */
export function reachOf(names: readonly string[], apart: readonly NodePair[]): Reach {
  const cutOff = names.filter((name) => 2 * countOf(name, apart) > names.length)
  const others = names.filter((name) => !cutOff.includes(name))
  if (others.length === 0) return { apart, isolated: new Set(), owners: new Set(names) }
  const amongOthers = apart.filter((pair) => pair.every((name) => others.includes(name)))
  const least = Math.min(...others.map((name) => countOf(name, amongOthers)))
  const owners = others.filter((name) => countOf(name, amongOthers) === least)
  return { apart, isolated: new Set(cutOff), owners: new Set(owners) }
}

function pairsApart(sessions: ReadonlyMap<string, SessionEntry>, names: readonly string[]): NodePair[] {
  const saysSo = (one: string, other: string): boolean => {
    const incarnation = sessions.get(other)?.incarnation
    return incarnation !== undefined && sessions.get(one)?.unreached.includes(incarnation) === true
  }
  const pairs: NodePair[] = []
  for (const [index, one] of names.entries()) {
    for (const other of names.slice(index + 1)) {
      if (saysSo(one, other) || saysSo(other, one)) pairs.push([one, other])
    }
  }
  return pairs
}

function countOf(name: string, pairs: readonly NodePair[]): number {
  return pairs.filter((pair) => pair.includes(name)).length
}
