const keptMax = 5

/** What went wrong, with the first few examples of it; the rest is counted. */
export class Problems {
  readonly #kept: string[] = []
  #more = 0

  add(text: string): void {
    if (this.#kept.length < keptMax) this.#kept.push(text)
    else this.#more++
  }

  list(): string[] {
    return this.#more === 0 ? [...this.#kept] : [...this.#kept, `… and ${this.#more} more`]
  }
}
