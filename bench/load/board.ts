/**
 * Counters and the measured interval of one row, in memory that all its threads share. Each counter has one writer, so
 * plain stores suffice; readers see them a little late.
 *
 *     i32  stopped    f64  measured from, until      f64[]  sent, confirmed per publisher, delivered per consumer
 */
export class Board {
  readonly memory: SharedArrayBuffer
  readonly #stopped: Int32Array
  readonly #numbers: Float64Array
  readonly #publishers: number
  readonly #consumers: number

  constructor(publishers: number, consumers: number, memory?: SharedArrayBuffer) {
    this.#publishers = publishers
    this.#consumers = consumers
    this.memory = memory ?? new SharedArrayBuffer(8 + (2 + 2 * publishers + consumers) * 8)
    this.#stopped = new Int32Array(this.memory, 0, 1)
    this.#numbers = new Float64Array(this.memory, 8)
    if (memory === undefined) this.#numbers.fill(Number.POSITIVE_INFINITY, 0, 2)
  }

  /** Publishers send nothing more. Only the runner stops them. */
  get isStopped(): boolean {
    return Atomics.load(this.#stopped, 0) === 1
  }

  stop(): void {
    Atomics.store(this.#stopped, 0, 1)
  }

  /** Messages sent in [measuredFrom, measuredUntil) count for latency; infinite until known. */
  get measuredFrom(): number {
    return this.#numbers[0] as number
  }

  set measuredFrom(at: number) {
    this.#numbers[0] = at
  }

  get measuredUntil(): number {
    return this.#numbers[1] as number
  }

  set measuredUntil(at: number) {
    this.#numbers[1] = at
  }

  setSent(publisher: number, count: number): void {
    this.#numbers[2 + publisher] = count
  }

  setConfirmed(publisher: number, count: number): void {
    this.#numbers[2 + this.#publishers + publisher] = count
  }

  setDelivered(consumer: number, count: number): void {
    this.#numbers[2 + 2 * this.#publishers + consumer] = count
  }

  sent(): number {
    return this.#sum(2, this.#publishers)
  }

  confirmed(): number {
    return this.#sum(2 + this.#publishers, this.#publishers)
  }

  delivered(): number {
    return this.#sum(2 + 2 * this.#publishers, this.#consumers)
  }

  #sum(first: number, count: number): number {
    let sum = 0
    for (let index = first; index < first + count; index++) sum += this.#numbers[index] as number
    return sum
  }
}
