/**
 * Messages taken by `basic.get` whose lease has ended and whose taker has not yet said anything: its word, when it comes,
 * concerns a delivery that is over. Gets are one holder, so without this it could be taken for that of whoever got the
 * message next. (A consumer's channel knows by the delivery tag.)
 */

/** Words waited for in one queue, at most; the oldest is forgotten first. */
const lateWordsMax = 100_000

export class LateWords {
  /** By sequence: the holders, one for each delivery that is over. */
  readonly #holders = new Map<number, number[]>()

  get size(): number {
    return this.#holders.size
  }

  expect(sequence: number, holder: number): void {
    const holders = this.#holders.get(sequence)
    if (holders !== undefined) holders.push(holder)
    else this.#holders.set(sequence, [holder])
    if (this.#holders.size <= lateWordsMax) return
    const [oldest] = this.#holders.keys()
    if (oldest !== undefined) this.#holders.delete(oldest)
  }

  /** Whether a word of this holder is one that was waited for; it is not any more. */
  take(sequence: number, holder: number): boolean {
    const holders = this.#holders.get(sequence)
    const at = holders?.indexOf(holder) ?? -1
    if (holders === undefined || at < 0) return false
    holders.splice(at, 1)
    if (holders.length === 0) this.#holders.delete(sequence)
    return true
  }

  /** The message is gone: nothing that is said of it matters. */
  forget(sequence: number): void {
    this.#holders.delete(sequence)
  }
}
