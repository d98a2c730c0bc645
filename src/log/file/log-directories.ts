/** File logs of one kind, each in a directory of its own below one: `<root>/<id>/`. */
import { basename } from 'node:path'
import type { Files } from '../../base/files.ts'
import { type FileLog, type FileLogOptions, openFileLog } from './file-log.ts'
import type { HeldLogs } from './held-logs.ts'
import { identityName, sortNames } from './segment.ts'
import { removeIfThere } from './segment-supply.ts'

export interface LogDirectoriesOptions extends Omit<FileLogOptions, 'directory' | 'name' | 'segmentBytes'> {
  readonly root: string
  /** What messages call these logs, before the id. */
  readonly name: string
  /** Told of each log under `<name of the root>/<id>`. Left out: nobody holds them. */
  readonly held?: HeldLogs
}

export class LogDirectories {
  readonly #options: LogDirectoriesOptions

  constructor(options: LogDirectoriesOptions) {
    this.#options = options
  }

  /** Opens the log `id`, or makes one. `segmentBytes` is rounded up to whole pages. */
  async open(id: number, segmentBytes: number): Promise<FileLog> {
    const { root, name, held, ...options } = this.#options
    await options.files.makeDirectory(root)
    const pageBytes = options.pageBytes ?? 1
    const whole = Math.ceil(segmentBytes / pageBytes) * pageBytes
    const log = await openFileLog({
      ...options,
      directory: `${root}/${id}`,
      name: `${name} ${id}`,
      segmentBytes: whole,
    })
    held?.opened(this.#heldName(id), log)
    return log
  }

  /** Somebody holds it as it is: it is not closed for having nothing to do. */
  isInUse(id: number): boolean {
    return this.#options.held?.isInUse(this.#heldName(id)) === true
  }

  #heldName(id: number): string {
    return `${basename(this.#options.root)}/${id}`
  }

  /** Ids of the logs that are there. */
  async list(): Promise<number[]> {
    return await listLogDirectories(this.#options.files, this.#options.root)
  }

  /** Removes a log that nobody has open, or what is left of it. From the first step on it is known to be on its way. */
  async remove(id: number): Promise<void> {
    const { files, root, held } = this.#options
    await held?.removing(this.#heldName(id))
    const directory = `${root}/${id}`
    let names: string[]
    try {
      names = await files.list(directory)
    } catch (error) {
      if (isMissing(error)) return
      throw error
    }
    if (names.includes(identityName)) {
      await files.rename(`${directory}/${identityName}`, `${directory}/${removedName}`)
      await files.syncDirectory(directory)
    }
    for (const name of names) await removeIfThere(files, `${directory}/${name}`)
    await removeIfThere(files, `${directory}/${removedName}`)
    await files.removeDirectory(directory)
    await files.syncDirectory(root)
  }
}

/** The identity of a log that is being removed. */
const removedName = 'removed'

/** Ids of the logs below `root`, without those that were only begun or are on their way out. */
export async function listWholeLogs(files: Files, root: string): Promise<number[]> {
  const whole: number[] = []
  for (const id of await listLogDirectories(files, root)) {
    const names = await files.list(`${root}/${id}`)
    if (sortNames(names).segments.length > 0 && !names.includes(removedName)) whole.push(id)
  }
  return whole
}

/** Empty where there is no such directory. */
async function listLogDirectories(files: Files, root: string): Promise<number[]> {
  try {
    return (await files.list(root)).filter((name) => /^\d{1,16}$/.test(name)).map(Number)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
