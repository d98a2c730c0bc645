/**
 * At most one process uses a data directory: the one that listens on a Unix socket in `DIRECTORY/lock/`. The socket
 * dies with the process, whatever ends it, so no lock is ever left behind.
 *
 * Node has no flock, and a single socket name cannot be taken over without a race: between seeing that nobody listens
 * and removing the name, somebody else may have begun to listen there. So every process has a name of its own, never used
 * again, and a name behind which nobody listens can be removed by whoever sees it:
 *
 *   1. listen on `PID-RANDOM.start`
 *   2. list the directory, and connect to all others
 *        refused      it is dead: remove it
 *        *.held       it holds the lock: give up
 *        *.start      it is doing the same: the smaller name stays, the larger gives up
 *   3. our own name must still be there (somebody may have met it between bind and listen): else begin again
 *   4. rename it to `PID-RANDOM.held`
 *
 * Whoever comes later than 1 sees us in 2; whoever was there before 2 is seen by us.
 */
import { randomFillSync } from 'node:crypto'
import * as fs from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'

export interface DataDirectoryLock {
  release(): Promise<void>
}

/** Somebody else uses the directory. The message says who, and what to do. */
export class DataDirectoryLocked extends Error {
  readonly code = 'DATA_DIRECTORY_LOCKED'
}

const lockDirectory = 'lock'
/** A Unix socket's path has at most 107 bytes on Linux and 103 elsewhere. */
const socketPathBytesMax = 103
/** A process that is stopped (SIGSTOP) accepts no connection by itself, yet it is alive. */
const answerMsMax = 2000
const attemptsMax = 20

export async function lockDataDirectory(directory: string): Promise<DataDirectoryLock> {
  const place = await LockPlace.open(`${directory}/${lockDirectory}`)
  try {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const lock = await new Candidate(directory, place).run()
      if (lock !== null) return lock
    }
    throw new DataDirectoryLocked(
      `the data directory ${directory} is being opened by several processes; start only one`,
    )
  } catch (error) {
    await place.close()
    throw error
  }
}

/** The directory of the sockets, and paths into it that are short enough for a socket. */
class LockPlace {
  readonly path: string
  readonly #handle: fs.FileHandle

  private constructor(path: string, handle: fs.FileHandle) {
    this.path = path
    this.#handle = handle
  }

  static async open(path: string): Promise<LockPlace> {
    await fs.mkdir(path, { recursive: true, mode: 0o700 })
    return new LockPlace(path, await fs.open(path, 'r'))
  }

  /** Linux resolves a path through an open directory, which makes it short wherever the directory is. */
  socketPath(name: string): string {
    const path = `${this.path}/${name}`
    return Buffer.byteLength(path) <= socketPathBytesMax ? path : `/proc/self/fd/${this.#handle.fd}/${name}`
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** One attempt, under one name. */
class Candidate {
  readonly #directory: string
  readonly #place: LockPlace
  readonly #id: string
  readonly #server: Server
  /** Others that wait for us to give up or to hold the lock. */
  readonly #askers = new Set<Socket>()

  constructor(directory: string, place: LockPlace) {
    this.#directory = directory
    this.#place = place
    this.#id = `${process.pid}-${Buffer.from(randomFillSync(new Uint8Array(6))).toString('hex')}`
    this.#server = createServer((socket) => {
      this.#askers.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#askers.delete(socket))
      socket.unref()
    })
  }

  /** Null when it has to be tried again under another name. */
  async run(): Promise<DataDirectoryLock | null> {
    await this.#listen()
    try {
      const isAlone = await this.#outlast()
      if (isAlone && (await this.#hold())) return { release: () => this.#release() }
    } catch (error) {
      await this.#leave('start')
      throw error
    }
    await this.#leave('start')
    return null
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ path: this.#place.socketPath(`${this.#id}.start`), exclusive: true }, () => {
        this.#server.off('error', reject)
        this.#server.on('error', () => {})
        this.#server.unref()
        resolve()
      })
    })
  }

  /** True when nobody else is left; throws when somebody holds the lock or is ahead of us. */
  async #outlast(): Promise<boolean> {
    for (let round = 0; round < attemptsMax; round++) {
      const alive: string[] = []
      let hasChanged = false
      for (const name of await fs.readdir(this.#place.path)) {
        if (name.startsWith(`${this.#id}.`)) continue
        const state = await this.#ask(name)
        if (state === 'dead') await removeQuietly(`${this.#place.path}/${name}`)
        else if (state === 'alive') alive.push(name)
        else hasChanged = true
      }
      if (alive.length === 0 && !hasChanged) return true
      const ahead = alive.find((name) => name.endsWith('.held') || name < this.#id)
      if (ahead !== undefined) throw this.#locked(ahead)
    }
    return false
  }

  #locked(name: string): DataDirectoryLocked {
    const pid = name.split('-')[0]
    const doing = name.endsWith('.held') ? 'is in use by' : 'is just being opened by'
    return new DataDirectoryLocked(
      `the data directory ${this.#directory} ${doing} process ${pid}; stop that process, or use another directory`,
    )
  }

  /**
   * Dead when nobody listens there; gone when the name has been removed, or changed to `held`: then we look again. One that is behind us gives up by itself,
   * and one that is not yet behind us becomes the holder: both end the connection, so that we look again.
   */
  #ask(name: string): Promise<'alive' | 'dead' | 'gone'> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#place.socketPath(name))
      socket.on('connect', () => {
        if (name.endsWith('.held') || name < this.#id) socket.destroy()
        else socket.setTimeout(answerMsMax, () => socket.destroy())
        socket.resume()
      })
      socket.on('end', () => socket.destroy())
      socket.on('close', () => resolve('alive'))
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') resolve('dead')
        else if (error.code === 'ENOENT') resolve('gone')
        else if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve('alive')
        else reject(error)
      })
    })
  }

  async #hold(): Promise<boolean> {
    const { path } = this.#place
    try {
      await fs.rename(`${path}/${this.#id}.start`, `${path}/${this.#id}.held`)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
      throw error
    }
    this.#sendAway()
    return true
  }

  async #release(): Promise<void> {
    await this.#leave('held')
    await this.#place.close()
  }

  async #leave(state: 'start' | 'held'): Promise<void> {
    await removeQuietly(`${this.#place.path}/${this.#id}.${state}`)
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    this.#sendAway()
    await closed
  }

  #sendAway(): void {
    for (const socket of this.#askers) socket.destroy()
  }
}

/** Somebody else may have removed it first. */
async function removeQuietly(path: string): Promise<void> {
  await fs.rm(path, { force: true })
}
