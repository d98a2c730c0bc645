import type { FileIo } from './file-io.ts'

/**
 * The file system as the program sees it. `system-files.ts` is the real one; tests and the simulation have one that
 * crashes, tears, fills up and fails on the Nth call. Every error is an `Error` with a `code` (`EIO`, `ENOSPC`, …).
 */
export interface Files {
  /** Where what is done is counted; missing where nobody counts. */
  readonly io?: FileIo | undefined
  /** Makes the directory and its parents, with mode 0700; no error when it exists. */
  makeDirectory(path: string): Promise<void>
  /** Names of the entries, sorted. */
  list(path: string): Promise<string[]>
  /**
   * `read`: must exist. `write`: must exist, opened for reading and writing. `create`: is made (mode 0600), must not
   * exist. With `isSynced` each write returns only when its data is on stable storage (O_DSYNC).
   */
  open(path: string, mode: 'read' | 'write' | 'create', options?: { isSynced?: boolean }): Promise<File>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Removes an empty directory. */
  removeDirectory(path: string): Promise<void>
  /** Makes created, renamed and removed entries of the directory durable. */
  syncDirectory(path: string): Promise<void>
  /** Bytes that may still be written to the file system of `path`. */
  freeBytes(path: string): Promise<number>
}

/** One open file. At most one operation of a kind is under way per caller; the file keeps no cursor. */
export interface File {
  size(): Promise<number>
  /** Reads up to `length` bytes; returns how many there were (0 at the end). */
  read(into: Uint8Array, at: number, length: number, position: number): Promise<number>
  /** Writes all `length` bytes or rejects. */
  write(from: Uint8Array, at: number, length: number, position: number): Promise<void>
  /** Content and size are on stable storage when it resolves (fdatasync). */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  /** Once. Whatever is asked of a closed file, closing included, rejects with `EBADF`. */
  close(): Promise<void>
}
