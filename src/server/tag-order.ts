import type { Detached } from './unacked.ts'

/** Entries looked at between two yields. */
export const entriesPerYield = 512

/**
 * The same deliveries in the order of their tags, as a merge sort that yields again and again: there may be a million of
 * them. Those that are in order already, as they mostly are, are only looked at.
 */
export function* inTagOrder(detached: readonly Detached[]): Generator<void, readonly Detached[], void> {
  if (yield* isInOrder(detached)) return detached
  let from: Detached[] = [...detached]
  let to: Detached[] = [...detached]
  for (let width = 1; width < from.length; width *= 2) {
    yield* mergePairs(from, to, width)
    ;[from, to] = [to, from]
  }
  return from
}

function* isInOrder(detached: readonly Detached[]): Generator<void, boolean, void> {
  let last = 0
  for (const [index, { tag }] of detached.entries()) {
    if (tag < last) return false
    last = tag
    if (index % entriesPerYield === entriesPerYield - 1) yield
  }
  return true
}

/** Neighbours of `width` entries each, in order, become one of twice the width. */
function* mergePairs(from: readonly Detached[], to: Detached[], width: number): Generator<void, void, void> {
  const { length } = from
  for (let start = 0; start < length; start += 2 * width) {
    const middle = Math.min(start + width, length)
    const end = Math.min(middle + width, length)
    let left = start
    let right = middle
    for (let at = start; at < end; at++) {
      const one = from[left] as Detached
      const other = from[right] as Detached
      const isLeft = right === end || (left < middle && one.tag < other.tag)
      to[at] = isLeft ? one : other
      if (isLeft) left++
      else right++
      if (at % entriesPerYield === entriesPerYield - 1) yield
    }
  }
}
