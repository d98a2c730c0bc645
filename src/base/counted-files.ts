import type { FileIo } from './file-io.ts'
import type { File, Files } from './files.ts'

/** Files that know whether anything is being done with them: for those who wait until nothing is. */
export class CountedFiles implements Files {
  readonly #files: Files
  #underWay = 0

  constructor(files: Files) {
    this.#files = files
  }

  get io(): FileIo | undefined {
    return this.#files.io
  }

  get isIdle(): boolean {
    return this.#underWay === 0
  }

  makeDirectory(path: string): Promise<void> {
    return this.#count(this.#files.makeDirectory(path))
  }

  list(path: string): Promise<string[]> {
    return this.#count(this.#files.list(path))
  }

  async open(path: string, mode: 'read' | 'write' | 'create', options?: { isSynced?: boolean }): Promise<File> {
    const file = await this.#count(this.#files.open(path, mode, options))
    return {
      size: () => this.#count(file.size()),
      read: (into, at, length, position) => this.#count(file.read(into, at, length, position)),
      write: (from, at, length, position) => this.#count(file.write(from, at, length, position)),
      sync: () => this.#count(file.sync()),
      truncate: (size) => this.#count(file.truncate(size)),
      close: () => this.#count(file.close()),
    }
  }

  rename(from: string, to: string): Promise<void> {
    return this.#count(this.#files.rename(from, to))
  }

  remove(path: string): Promise<void> {
    return this.#count(this.#files.remove(path))
  }

  removeDirectory(path: string): Promise<void> {
    return this.#count(this.#files.removeDirectory(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.#count(this.#files.syncDirectory(path))
  }

  freeBytes(path: string): Promise<number> {
    return this.#count(this.#files.freeBytes(path))
  }

  async #count<T>(work: Promise<T>): Promise<T> {
    this.#underWay++
    try {
      return await work
    } finally {
      this.#underWay--
    }
  }
}
