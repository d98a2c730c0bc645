/**
 * The logs of a data directory, held together as they are at one moment. Logs that are closed by then are held when they
 * are opened again, before anybody uses them: they still hold what they held.
 */
import type { LogSnapshot } from './log-snapshot.ts'

/** A log that can be held. */
export interface HoldableLog {
  /** Its files are its own: neither closed nor being closed, nor failed. */
  readonly isOpen: boolean
  /** Called once, when it begins to close. */
  whenClosed: (() => void) | null
  hold(): LogSnapshot
}

/** All logs at one moment. At most one at a time. */
export class LogHold {
  readonly #snapshots = new Map<string, LogSnapshot>()
  readonly #pending: Set<string>
  readonly #waiting = new Map<string, (() => void)[]>()
  #isEnded = false
  /** Why the logs are not as they were any more; null while they are. */
  failure: string | null = null

  constructor(open: ReadonlyMap<string, HoldableLog>, pending: Iterable<string>) {
    for (const [name, log] of open) if (log.isOpen) this.#snapshots.set(name, log.hold())
    this.#pending = new Set([...pending].filter((name) => !this.#snapshots.has(name)))
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Null when the log has not been open since. */
  snapshot(name: string): LogSnapshot | null {
    return this.#snapshots.get(name) ?? null
  }

  holds(name: string): boolean {
    return this.#snapshots.has(name) || this.#pending.has(name)
  }

  /** Whether the log must stay open. */
  isInUse(name: string): boolean {
    return this.#snapshots.has(name)
  }

  opened(name: string, log: HoldableLog): void {
    if (this.#pending.delete(name)) this.#snapshots.set(name, log.hold())
    else if (this.#snapshots.has(name)) this.failure ??= `the log ${name} had to be opened anew`
  }

  /** Resolves when the files of the log are not needed any more. */
  async released(name: string): Promise<void> {
    if (!this.holds(name)) return
    await new Promise<void>((resolve) => {
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), resolve])
    })
  }

  release(name: string): void {
    this.#snapshots.get(name)?.release()
    this.#snapshots.delete(name)
    this.#pending.delete(name)
    for (const resolve of this.#waiting.get(name) ?? []) resolve()
    this.#waiting.delete(name)
  }

  end(failure: string | null = null): void {
    this.failure ??= failure
    this.#isEnded = true
    for (const name of [...this.#snapshots.keys(), ...this.#pending]) this.release(name)
  }
}

/** Which logs of a data directory are open, by their directories below it. */
export class HeldLogs {
  readonly #open = new Map<string, HoldableLog>()
  #hold: LogHold | null = null

  opened(name: string, log: HoldableLog): void {
    this.#open.set(name, log)
    // A closed one has buffers yet, and there may be very many of them.
    log.whenClosed = () => {
      if (this.#open.get(name) === log) this.#open.delete(name)
    }
    this.#current?.opened(name, log)
  }

  /** The log is about to be removed: waits as long as it is held. */
  async removing(name: string): Promise<void> {
    await this.#current?.released(name)
    this.#open.delete(name)
  }

  /** Logs that are open. */
  get size(): number {
    return this.#open.size
  }

  isInUse(name: string): boolean {
    return this.#current?.isInUse(name) === true
  }

  /** Null when they are held already, or when one that must be open is not. `mayBeClosed`: logs that need not be open. */
  begin(must: readonly string[], mayBeClosed: Iterable<string>): LogHold | null {
    if (this.#current !== null || !must.every((name) => this.#open.get(name)?.isOpen === true)) return null
    this.#hold = new LogHold(this.#open, mayBeClosed)
    return this.#hold
  }

  get #current(): LogHold | null {
    if (this.#hold?.isEnded === true) this.#hold = null
    return this.#hold
  }

  /** The node stops. */
  end(): void {
    this.#current?.end('the node stops')
  }
}
