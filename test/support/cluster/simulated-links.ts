/** Which nodes of a simulation are cut from each other by their links, while all reach the store. */
export class SimulatedLinks {
  readonly #cut = new Set<string>()

  cut(one: string, other: string): void {
    this.#cut.add(pairOf(one, other))
  }

  heal(): void {
    this.#cut.clear()
  }

  areCut(one: string, other: string): boolean {
    return this.#cut.has(pairOf(one, other))
  }
}

function pairOf(one: string, other: string): string {
  return [one, other].sort().join(' ')
}
