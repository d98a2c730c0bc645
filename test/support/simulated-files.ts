/**
 * A disk in memory behind `Files`, for tests of crashes and failing calls.
 *
 * It keeps what a program sees (the page cache) and a journal of everything done to it, from which `CrashStates` makes
 * the disks that a crash at any point may leave. Faults it can do: fail the Nth call with any code, writes that fail in
 * the middle, a failed sync after which the bytes stay visible and never become durable (as Linux does), a disk that is
 * full, flipped bits. It does not do: reordering within one file beyond what a crash may do, slow calls, bad reads that
 * heal by themselves.
 */
import type { File, Files } from '../../src/base/files.ts'

/** One durable or durable-to-be change. `op` counts up; what is never made durable may or may not survive a crash. */
export type JournalEntry =
  | {
      readonly type: 'write'
      readonly op: number
      readonly inode: number
      readonly offset: number
      readonly bytes: Uint8Array
    }
  | { readonly type: 'truncate'; readonly op: number; readonly inode: number; readonly size: number }
  | { readonly type: 'link'; readonly op: number; readonly path: string; readonly inode: number }
  | { readonly type: 'unlink'; readonly op: number; readonly path: string }
  | { readonly type: 'rename'; readonly op: number; readonly from: string; readonly to: string; readonly inode: number }
  /** These are on stable storage from here on. */
  | { readonly type: 'durable'; readonly ops: readonly number[] }
  /** A sync of these failed: they stay visible and will never be durable. */
  | { readonly type: 'lost'; readonly ops: readonly number[] }
  /** Something the test wants to remember at this point. */
  | { readonly type: 'mark'; readonly value: unknown }

/** The content of a disk: paths and bytes. */
export type DiskImage = Map<string, Uint8Array>

interface Inode {
  readonly number: number
  bytes: Uint8Array
  size: number
  /** Operations on its content that are not durable. */
  unsynced: number[]
}

/** What is about to be done; a fault may be thrown in its place. */
export interface Call {
  /** Counts from 1 over the life of the disk. */
  readonly number: number
  readonly kind:
    | 'open'
    | 'read'
    | 'write'
    | 'sync'
    | 'truncate'
    | 'close'
    | 'rename'
    | 'remove'
    | 'list'
    | 'syncDirectory'
    | 'makeDirectory'
    | 'freeBytes'
    | 'size'
  readonly path: string
}

export interface SimulatedFilesOptions {
  readonly image?: DiskImage
  /** What was done to a disk until its process was killed: it is all visible, and what was not durable still is not. */
  readonly after?: readonly JournalEntry[]
  readonly capacityBytes?: number
  /** Called before each call; returns the code of the error it is to fail with, or null. */
  readonly fault?: (call: Call) => string | null
  /** Without a journal nothing is remembered for crashes; for tests that do not crash. */
  readonly hasJournal?: boolean
}

export class SimulatedFiles implements Files {
  readonly journal: JournalEntry[] = []
  calls = 0
  openCount = 0
  capacityBytes: number
  fault: ((call: Call) => string | null) | null
  readonly #hasJournal: boolean
  readonly #names = new Map<string, Inode>()
  readonly #inodes = new Map<number, Inode>()
  readonly #directories = new Set<string>()
  /** Changes of names that are not durable, by directory. */
  readonly #unsyncedNames = new Map<string, number[]>()
  #nextInode = 0
  #nextOp = 0

  constructor(options: SimulatedFilesOptions = {}) {
    this.capacityBytes = options.capacityBytes ?? Number.MAX_SAFE_INTEGER
    this.fault = options.fault ?? null
    this.#hasJournal = options.hasJournal ?? true
    for (const [path, bytes] of options.image ?? []) {
      const inode = this.#makeInode()
      inode.bytes = bytes.slice()
      inode.size = bytes.byteLength
      this.#names.set(path, inode)
      this.#directories.add(parentOf(path))
      const ops = [this.#nextOp++, this.#nextOp++] as const
      this.#note({ type: 'link', op: ops[0], path, inode: inode.number })
      this.#note({ type: 'write', op: ops[1], inode: inode.number, offset: 0, bytes: inode.bytes.slice() })
      this.#note({ type: 'durable', ops })
    }
    for (const entry of options.after ?? []) this.#redo(entry)
  }

  /** Everything as a program sees it now. */
  image(): DiskImage {
    return new Map([...this.#names].map(([path, inode]) => [path, inode.bytes.slice(0, inode.size)]))
  }

  mark(value: unknown): void {
    this.#note({ type: 'mark', value })
  }

  flipBit(path: string, offset: number, bit = 0): void {
    const inode = this.#find(path)
    inode.bytes[offset] = (inode.bytes[offset] ?? 0) ^ (1 << bit)
  }

  get usedBytes(): number {
    let sum = 0
    for (const inode of this.#names.values()) sum += inode.size
    return sum
  }

  // ---- Files

  async makeDirectory(path: string): Promise<void> {
    await this.#call('makeDirectory', path)
    this.#directories.add(path)
  }

  async list(path: string): Promise<string[]> {
    await this.#call('list', path)
    if (!this.#directories.has(path)) throw failure('ENOENT', `no directory ${path}`)
    return [...this.#names.keys(), ...this.#directories]
      .filter((name) => parentOf(name) === path)
      .map((name) => name.slice(path.length + 1))
      .sort()
  }

  async open(path: string, mode: 'read' | 'write' | 'create', options?: { isSynced?: boolean }): Promise<File> {
    await this.#call('open', path)
    const there = this.#names.get(path)
    if (mode === 'create') {
      if (there !== undefined) throw failure('EEXIST', path)
      const inode = this.#makeInode()
      this.#names.set(path, inode)
      this.#changeNames(parentOf(path), { type: 'link', op: this.#nextOp++, path, inode: inode.number })
      return this.#opened(inode, path, options?.isSynced === true)
    }
    if (there === undefined) throw failure('ENOENT', path)
    return this.#opened(there, path, options?.isSynced === true)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#call('rename', from)
    const inode = this.#find(from)
    this.#names.delete(from)
    this.#names.set(to, inode)
    this.#changeNames(parentOf(to), { type: 'rename', op: this.#nextOp++, from, to, inode: inode.number })
  }

  async remove(path: string): Promise<void> {
    await this.#call('remove', path)
    this.#find(path)
    this.#names.delete(path)
    this.#changeNames(parentOf(path), { type: 'unlink', op: this.#nextOp++, path })
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#call('remove', path)
    if ([...this.#names.keys()].some((name) => parentOf(name) === path)) throw failure('ENOTEMPTY', path)
    if (!this.#directories.delete(path)) throw failure('ENOENT', path)
  }

  async syncDirectory(path: string): Promise<void> {
    const ops = this.#unsyncedNames.get(path) ?? []
    this.#unsyncedNames.delete(path)
    await this.#settle('syncDirectory', path, ops)
  }

  async freeBytes(path: string): Promise<number> {
    await this.#call('freeBytes', path)
    return Math.max(0, this.capacityBytes - this.usedBytes)
  }

  // ---- one file

  #opened(inode: Inode, path: string, isSynced: boolean): File {
    this.openCount++
    let isOpen = true
    const call = async (kind: Call['kind']): Promise<void> => {
      if (!isOpen) throw failure('EBADF', `${kind} of the closed file ${path}`)
      await this.#call(kind, path)
    }
    return {
      size: async () => {
        await call('size')
        return inode.size
      },
      read: async (into, at, length, position) => {
        await call('read')
        const count = Math.max(0, Math.min(length, inode.size - position))
        into.set(inode.bytes.subarray(position, position + count), at)
        return count
      },
      write: async (from, at, length, position) => {
        if (!isOpen) throw failure('EBADF', `write to the closed file ${path}`)
        await this.#write(inode, path, isSynced, from.slice(at, at + length), position)
      },
      sync: async () => {
        if (!isOpen) throw failure('EBADF', `sync of the closed file ${path}`)
        const ops = inode.unsynced
        inode.unsynced = []
        await this.#settle('sync', path, ops)
      },
      truncate: async (size) => {
        await call('truncate')
        this.#resize(inode, size)
        this.#change(inode, { type: 'truncate', op: this.#nextOp++, inode: inode.number, size })
      },
      close: async () => {
        if (!isOpen) throw failure('EBADF', `close of the closed file ${path}`)
        // As on Linux, the descriptor is gone even when close fails.
        isOpen = false
        this.openCount--
        await this.#call('close', path)
      },
    }
  }

  /** The bytes are there for readers at once, as in a page cache; a write that fails leaves its first half. */
  async #write(inode: Inode, path: string, isSynced: boolean, bytes: Uint8Array, position: number): Promise<void> {
    const code = this.#faultOf('write', path)
    const growth = Math.max(0, position + bytes.byteLength - inode.size)
    const isFull = growth > 0 && this.usedBytes + growth > this.capacityBytes
    const isCut = isFull || code === 'ENOSPC'
    // A synced write that fails may well have all its bytes in the page cache: that is what makes it dangerous.
    const there = isCut || (code !== null && !isSynced) ? bytes.subarray(0, bytes.byteLength >> 1) : bytes
    const stays =
      isCut && growth > 0 ? there.subarray(0, Math.max(0, Math.min(there.byteLength, inode.size - position))) : there
    const op = this.#nextOp++
    if (stays.byteLength > 0) {
      this.#resize(inode, Math.max(inode.size, position + stays.byteLength))
      inode.bytes.set(stays, position)
      this.#change(inode, { type: 'write', op, inode: inode.number, offset: position, bytes: stays })
    }
    await turn()
    if (isSynced) inode.unsynced = inode.unsynced.filter((other) => other !== op)
    if (code !== null || isFull) {
      if (isSynced) this.#note({ type: 'lost', ops: [op] })
      throw failure(code ?? 'ENOSPC', `write to ${path}`)
    }
    if (isSynced) this.#note({ type: 'durable', ops: [op] })
  }

  // ---- inside

  #redo(entry: JournalEntry): void {
    this.#note(entry)
    if ('op' in entry) this.#nextOp = Math.max(this.#nextOp, entry.op + 1)
    switch (entry.type) {
      case 'write': {
        const inode = this.#inode(entry.inode)
        this.#resize(inode, Math.max(inode.size, entry.offset + entry.bytes.byteLength))
        inode.bytes.set(entry.bytes, entry.offset)
        inode.unsynced.push(entry.op)
        break
      }
      case 'truncate': {
        const inode = this.#inode(entry.inode)
        this.#resize(inode, entry.size)
        inode.unsynced.push(entry.op)
        break
      }
      case 'link':
        this.#names.set(entry.path, this.#inode(entry.inode))
        this.#redoName(entry.path, entry.op)
        break
      case 'unlink':
        this.#names.delete(entry.path)
        this.#redoName(entry.path, entry.op)
        break
      case 'rename':
        this.#names.delete(entry.from)
        this.#names.set(entry.to, this.#inode(entry.inode))
        this.#redoName(entry.to, entry.op)
        break
      case 'durable':
      case 'lost':
        for (const inode of this.#inodes.values())
          inode.unsynced = inode.unsynced.filter((op) => !entry.ops.includes(op))
        for (const [path, ops] of this.#unsyncedNames)
          this.#unsyncedNames.set(
            path,
            ops.filter((op) => !entry.ops.includes(op)),
          )
        break
      case 'mark':
        break
    }
  }

  #redoName(path: string, op: number): void {
    const directory = parentOf(path)
    this.#directories.add(directory)
    this.#unsyncedNames.set(directory, [...(this.#unsyncedNames.get(directory) ?? []), op])
  }

  #inode(number: number): Inode {
    let inode = this.#inodes.get(number)
    if (inode === undefined) {
      inode = { number, bytes: new Uint8Array(0), size: 0, unsynced: [] }
      this.#inodes.set(number, inode)
      this.#nextInode = Math.max(this.#nextInode, number + 1)
    }
    return inode
  }

  async #call(kind: Call['kind'], path: string): Promise<void> {
    const code = this.#faultOf(kind, path)
    if (code !== null) throw failure(code, `${kind} of ${path}`)
    await turn()
  }

  #faultOf(kind: Call['kind'], path: string): string | null {
    this.calls++
    return this.fault?.({ number: this.calls, kind, path }) ?? null
  }

  /** Between the call and its end the changes may or may not be durable; a failure means that they never will be. */
  async #settle(kind: 'sync' | 'syncDirectory', path: string, ops: readonly number[]): Promise<void> {
    const code = this.#faultOf(kind, path)
    await turn()
    this.#note(code === null ? { type: 'durable', ops } : { type: 'lost', ops })
    if (code !== null) throw failure(code, `${kind} of ${path}`)
  }

  #change(inode: Inode, entry: JournalEntry & { op: number }): void {
    inode.unsynced.push(entry.op)
    this.#note(entry)
  }

  #changeNames(directory: string, entry: JournalEntry & { op: number }): void {
    const ops = this.#unsyncedNames.get(directory) ?? []
    ops.push(entry.op)
    this.#unsyncedNames.set(directory, ops)
    this.#note(entry)
  }

  #note(entry: JournalEntry): void {
    if (this.#hasJournal) this.journal.push(entry)
  }

  #makeInode(): Inode {
    return this.#inode(this.#nextInode++)
  }

  #resize(inode: Inode, size: number): void {
    if (size > inode.bytes.byteLength) {
      const bytes = new Uint8Array(Math.max(size, inode.bytes.byteLength * 2))
      bytes.set(inode.bytes)
      inode.bytes = bytes
    }
    if (size < inode.size) inode.bytes.fill(0, size, inode.size)
    inode.size = size
  }

  #find(path: string): Inode {
    const inode = this.#names.get(path)
    if (inode === undefined) throw failure('ENOENT', path)
    return inode
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

function failure(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}

/** A call ends in a later turn than it began in. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
