/** Guesses which name was meant: for "did you mean". */

/** The known name that is at most a quarter of its letters away, or one with the same last part; null when none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  const ranked = known.map((other) => ({ other, distance: editDistance(name, other) }))
  const [best] = ranked.sort((a, b) => a.distance - b.distance)
  if (best !== undefined && best.distance <= Math.max(2, Math.floor(name.length / 4))) return best.other
  return known.find((other) => other.split('.').at(-1) === name.split('.').at(-1)) ?? null
}

/** Levenshtein's distance, with a swap of neighbours counted as one. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, index) => index)]
  const at = (row: number, column: number): number => rows[row]?.[column] ?? 0
  for (let row = 1; row <= a.length; row++) {
    rows.push([row])
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1]
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      const steps = [at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + (isSame ? 0 : 1)]
      if (isSwap) steps.push(at(row - 2, column - 2) + 1)
      rows[row]?.push(Math.min(...steps))
    }
  }
  return at(a.length, b.length)
}
