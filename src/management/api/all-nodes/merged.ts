import { compared } from '../sorting.ts'

/** Between two looks at the time, in entries. */
const entriesPerYield = 256

/**
 * The order of what several sorted lists have together: for each entry the list that it is of. Equal ones are in the order
 * of the lists.
 */
export function* merged(
  lists: readonly (readonly unknown[])[],
  isReversed: boolean,
  until: number,
): Generator<void, number[]> {
  const order: number[] = []
  const at = lists.map(() => 0)
  while (order.length < until) {
    const next = first(lists, at, isReversed)
    if (next === null) return order
    at[next] = (at[next] ?? 0) + 1
    order.push(next)
    if (order.length % entriesPerYield === 0) yield
  }
  return order
}

/** The list whose next entry comes first; null: all are at their ends. */
function first(lists: readonly (readonly unknown[])[], at: readonly number[], isReversed: boolean): number | null {
  let best: number | null = null
  for (const [index, list] of lists.entries()) {
    if ((at[index] ?? 0) >= list.length) continue
    if (best === null || isBefore(list[at[index] ?? 0], lists[best]?.[at[best] ?? 0], isReversed)) best = index
  }
  return best
}

function isBefore(one: unknown, other: unknown, isReversed: boolean): boolean {
  const order = compared(one, other)
  return isReversed ? order > 0 : order < 0
}
