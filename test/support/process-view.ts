/**
 * A disk as one process sees it, so that a test can kill that process: from then on its calls never return, and what was
 * under way still reaches the disk or not. (In one real process nothing stops the background work of a log that was
 * simply forgotten.)
 */
import type { File, Files } from '../../src/base/files.ts'

export class ProcessView implements Files {
  readonly #files: Files
  #isKilled = false

  constructor(files: Files) {
    this.#files = files
  }

  kill(): void {
    this.#isKilled = true
  }

  makeDirectory(path: string): Promise<void> {
    return this.#call(() => this.#files.makeDirectory(path))
  }

  list(path: string): Promise<string[]> {
    return this.#call(() => this.#files.list(path))
  }

  async open(path: string, mode: 'read' | 'write' | 'create', options?: { isSynced?: boolean }): Promise<File> {
    const file = await this.#call(() => this.#files.open(path, mode, options))
    return {
      size: () => this.#call(() => file.size()),
      read: (into, at, length, position) => this.#call(() => file.read(into, at, length, position)),
      write: (from, at, length, position) => this.#call(() => file.write(from, at, length, position)),
      sync: () => this.#call(() => file.sync()),
      truncate: (size) => this.#call(() => file.truncate(size)),
      close: () => this.#call(() => file.close()),
    }
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call(() => this.#files.rename(from, to))
  }

  remove(path: string): Promise<void> {
    return this.#call(() => this.#files.remove(path))
  }

  removeDirectory(path: string): Promise<void> {
    return this.#call(() => this.#files.removeDirectory(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.#call(() => this.#files.syncDirectory(path))
  }

  freeBytes(path: string): Promise<number> {
    return this.#call(() => this.#files.freeBytes(path))
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isKilled) return never()
    const result = await work()
    return this.#isKilled ? never() : result
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => {})
}
