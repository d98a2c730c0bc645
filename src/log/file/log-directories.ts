/** File logs of one kind, each in a directory of its own below one: `<root>/<id>/`. */
import type { Files } from '../../base/files.ts'
import { type FileLog, type FileLogOptions, openFileLog } from './file-log.ts'
import { identityName, sortNames } from './segment.ts'
import { removeIfThere } from './segment-supply.ts'

export interface LogDirectoriesOptions extends Omit<FileLogOptions, 'directory' | 'name' | 'segmentBytes'> {
  readonly root: string
  /** What messages call these logs, before the id. */
  readonly name: string
}

export class LogDirectories {
  readonly #options: LogDirectoriesOptions

  constructor(options: LogDirectoriesOptions) {
    this.#options = options
  }

  /** Opens the log `id`, or makes one. `segmentBytes` is rounded up to whole pages. */
  async open(id: number, segmentBytes: number): Promise<FileLog> {
    const { root, name, ...options } = this.#options
    await options.files.makeDirectory(root)
    const pageBytes = options.pageBytes ?? 1
    const whole = Math.ceil(segmentBytes / pageBytes) * pageBytes
    return await openFileLog({ ...options, directory: `${root}/${id}`, name: `${name} ${id}`, segmentBytes: whole })
  }

  /** Ids of the logs that are there. */
  async list(): Promise<number[]> {
    return await listLogDirectories(this.#options.files, this.#options.root)
  }

  /** Removes a log that nobody has open, or what is left of it. From the first step on it is known to be on its way. */
  async remove(id: number): Promise<void> {
    const { files, root } = this.#options
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
