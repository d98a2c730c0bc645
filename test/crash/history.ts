/**
 * One worker's history: JSON lines in a file, on disk before the worker goes on. Lines are gathered and synced together;
 * `sync` is called before anything is sent that follows from them.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'

export class History {
  readonly #file: number
  #lines: string[] = []

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  write(event: string, fields: Readonly<Record<string, unknown>>): void {
    this.#lines.push(`${JSON.stringify({ event, ...fields })}\n`)
  }

  sync(): void {
    if (this.#lines.length === 0) return
    writeSync(this.#file, this.#lines.join(''))
    this.#lines = []
    fdatasyncSync(this.#file)
  }

  close(): void {
    this.sync()
    closeSync(this.#file)
  }
}

/** One clock for all processes of the machine, in milliseconds. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
