/** Where audit lines go: among the other log lines, or to a file of their own, the option `audit-log`. */
import { closeSync, openSync, writeSync } from 'node:fs'
import type { LogTarget, WriteLine } from './logs.ts'
import { writerFor } from './logs.ts'

const fileMode = 0o600

export class AuditRoute {
  readonly #main: WriteLine
  readonly #failed: (error: unknown) => void
  readonly #file: WriteLine
  /** Null: among the other lines. */
  #descriptor: number | null = null
  #isFailing = false

  /** `failed` is told of the first of several failed writes. */
  constructor(main: LogTarget, failed: (error: unknown) => void) {
    this.#main = writerFor(main)
    this.#file = writerFor({ isTerminal: false, write: (line) => this.#append(line) })
    this.#failed = failed
  }

  readonly write: WriteLine = (...line) => {
    if (this.#descriptor === null) this.#main(...line)
    else this.#file(...line)
  }

  /** Opens the file, also when it is open: it may have been moved away. `none` is no file. Throws a sentence; then nothing has changed. */
  use(path: string): void {
    const descriptor = path === 'none' ? null : opened(path)
    if (this.#descriptor !== null) closeSync(this.#descriptor)
    this.#descriptor = descriptor
  }

  /** Synchronous: a line is there before whatever it tells of has an answer, and there are few of them. */
  #append(line: string): void {
    if (this.#descriptor === null) return
    try {
      writeSync(this.#descriptor, line)
      this.#isFailing = false
    } catch (error) {
      if (!this.#isFailing) this.#failed(error)
      this.#isFailing = true
    }
  }
}

function opened(path: string): number {
  try {
    return openSync(path, 'a', fileMode)
  } catch (error) {
    const name = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    const mend = 'give the path of a file that this user may write'
    throw new Error(`audit-log = "${path}" cannot be opened (${name}); ${mend}`, { cause: error })
  }
}
