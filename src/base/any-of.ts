/** Something that is so while it is so of at least one: `changed` hears when it begins and when it ends. */
export class AnyOf<T> {
  readonly #members = new Set<T>()
  readonly #changed: (isAny: boolean) => void

  constructor(changed: (isAny: boolean) => void) {
    this.#changed = changed
  }

  get isAny(): boolean {
    return this.#members.size > 0
  }

  set(member: T, isSo: boolean): void {
    const wasAny = this.isAny
    if (isSo) this.#members.add(member)
    else this.#members.delete(member)
    if (this.isAny !== wasAny) this.#changed(this.isAny)
  }
}
