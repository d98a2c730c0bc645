/** Files whose content can be had again from elsewhere: nothing is synced. What is to outlive a crash is synced by its owner. */
import type { File, Files } from '../../base/files.ts'

export class DisposableFiles implements Files {
  readonly #files: Files

  constructor(files: Files) {
    this.#files = files
  }

  makeDirectory(path: string): Promise<void> {
    return this.#files.makeDirectory(path)
  }

  list(path: string): Promise<string[]> {
    return this.#files.list(path)
  }

  async open(path: string, mode: 'read' | 'write' | 'create'): Promise<File> {
    const file = await this.#files.open(path, mode)
    return {
      size: () => file.size(),
      read: (into, at, length, position) => file.read(into, at, length, position),
      write: (from, at, length, position) => file.write(from, at, length, position),
      sync: () => Promise.resolve(),
      truncate: (size) => file.truncate(size),
      close: () => file.close(),
    }
  }

  rename(from: string, to: string): Promise<void> {
    return this.#files.rename(from, to)
  }

  remove(path: string): Promise<void> {
    return this.#files.remove(path)
  }

  removeDirectory(path: string): Promise<void> {
    return this.#files.removeDirectory(path)
  }

  syncDirectory(): Promise<void> {
    return Promise.resolve()
  }

  freeBytes(path: string): Promise<number> {
    return this.#files.freeBytes(path)
  }
}
