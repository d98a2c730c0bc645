/**
 * The real file system behind `Files`. A thin layer over `node:fs`: raw descriptors and callbacks, since a
 * `FileHandle` costs about twice as much per call and may be closed by the garbage collector.
 */
import * as fs from 'node:fs'
import { dirname } from 'node:path'
import { SystemClock } from './clock.ts'
import { FileIo } from './file-io.ts'
import type { File, Files } from './files.ts'

const directoryMode = 0o700
const fileMode = 0o600

const clock = new SystemClock()

export class SystemFiles implements Files {
  readonly io = new FileIo()

  /** Level by level: Node's recursive form never returns below a parent that takes no directories, such as `/proc`. */
  async makeDirectory(path: string): Promise<void> {
    try {
      await makeOne(path)
    } catch (error) {
      const parent = dirname(path)
      if (codeOf(error) !== 'ENOENT' || parent === path) throw error
      // It may be there by now: nodes that are started at the same time make the same ones.
      await this.makeDirectory(parent)
      await makeOne(path)
    }
  }

  async list(path: string): Promise<string[]> {
    return (await fs.promises.readdir(path)).sort()
  }

  open(path: string, mode: 'read' | 'write' | 'create', options?: { isSynced?: boolean }): Promise<File> {
    const flags = openFlags[mode] | (options?.isSynced === true ? fs.constants.O_DSYNC : 0)
    return new Promise((resolve, reject) => {
      fs.open(path, flags, fileMode, (error, descriptor) => {
        if (error) reject(error)
        else resolve(new SystemFile(descriptor, options?.isSynced === true, this.io))
      })
    })
  }

  rename(from: string, to: string): Promise<void> {
    return settle((done) => fs.rename(from, to, done))
  }

  remove(path: string): Promise<void> {
    return settle((done) => fs.unlink(path, done))
  }

  removeDirectory(path: string): Promise<void> {
    return settle((done) => fs.rmdir(path, done))
  }

  async syncDirectory(path: string): Promise<void> {
    const directory = await fs.promises.open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  async freeBytes(path: string): Promise<number> {
    const { bavail, bsize } = await fs.promises.statfs(path)
    return bavail * bsize
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

async function makeOne(path: string): Promise<void> {
  try {
    await fs.promises.mkdir(path, { mode: directoryMode })
  } catch (error) {
    if (codeOf(error) !== 'EEXIST' || !(await fs.promises.stat(path)).isDirectory()) throw error
  }
}

const openFlags = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL,
}

class SystemFile implements File {
  /** -1 once it is closed: the system gives the number to the next file or socket, which is not ours to touch. */
  #descriptor: number
  readonly #isSynced: boolean
  readonly #io: FileIo

  constructor(descriptor: number, isSynced: boolean, io: FileIo) {
    this.#descriptor = descriptor
    this.#isSynced = isSynced
    this.#io = io
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#open, (error, stats) => (error ? reject(error) : resolve(stats.size)))
    })
  }

  /** The system may return less than was asked for before the end; goes on until it has all or there is no more. */
  read(into: Uint8Array, at: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let count = 0
      const begin = clock.monotonic()
      const step = (): void => {
        if (this.#descriptor < 0) return reject(fileClosed())
        fs.read(this.#descriptor, into, at + count, length - count, position + count, (error, bytes) => {
          if (error) return reject(error)
          count += bytes
          if (bytes > 0 && count < length) return step()
          this.#io.read(count, (clock.monotonic() - begin) / 1_000)
          resolve(count)
        })
      }
      if (length === 0) resolve(0)
      else step()
    })
  }

  /** A short write is not an error of the system (a signal, the last free block); the rest is tried and then fails by itself. */
  write(from: Uint8Array, at: number, length: number, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let count = 0
      const begin = clock.monotonic()
      const step = (): void => {
        if (this.#descriptor < 0) return reject(fileClosed())
        fs.write(this.#descriptor, from, at + count, length - count, position + count, (error, bytes) => {
          if (error) return reject(error)
          count += bytes
          if (count === length) {
            this.#wrote(length, (clock.monotonic() - begin) / 1_000)
            return resolve()
          }
          if (bytes === 0) return reject(Object.assign(new Error('EIO: nothing was written'), { code: 'EIO' }))
          step()
        })
      }
      if (length === 0) resolve()
      else step()
    })
  }

  #wrote(bytes: number, seconds: number): void {
    this.#io.wrote(bytes, seconds)
    if (this.#isSynced) this.#io.committed(bytes, seconds, clock.now())
  }

  async sync(): Promise<void> {
    const begin = clock.monotonic()
    await settle((done) => fs.fdatasync(this.#open, done))
    this.#io.synced((clock.monotonic() - begin) / 1_000)
  }

  truncate(size: number): Promise<void> {
    return settle((done) => fs.ftruncate(this.#open, size, done))
  }

  close(): Promise<void> {
    return settle((done) => {
      const descriptor = this.#open
      this.#descriptor = -1
      fs.close(descriptor, done)
    })
  }

  get #open(): number {
    if (this.#descriptor < 0) throw fileClosed()
    return this.#descriptor
  }
}

function fileClosed(): Error {
  return Object.assign(new Error('EBADF: the file is closed'), { code: 'EBADF' })
}

function settle(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())))
}
