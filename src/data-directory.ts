/**
 * The layout of a data directory, and the two things at its door: a file that names the format, and the lock.
 *
 *     DATA/format      one line of text: whose directory this is, and which layout
 *     DATA/lock        held by the process that uses it
 *     DATA/topology/   log: vhosts, exchanges, queues, bindings, users
 *     DATA/shard-0/    log: messages and settlements of durable queues
 *     DATA/scratch/    log of transient messages; emptied at each start
 *
 * Not here: what is in the logs (`log/file/`). Nothing is ever written into a directory that holds anything else.
 */
import { join, resolve } from 'node:path'
import type { Files } from './base/files.ts'
import { errorName, StartError } from './start-error.ts'

export const dataFormat = 1

export interface DataPaths {
  readonly root: string
  readonly topology: string
  readonly shard: string
  readonly scratch: string
}

export function dataPaths(directory: string): DataPaths {
  const root = resolve(directory)
  const below = (name: string): string => join(root, name)
  return { root, topology: below('topology'), shard: below('shard-0'), scratch: below('scratch') }
}

const formatFile = 'format'
const formatLine = `warren data directory, format ${dataFormat}\n`
const newFormatFile = 'format.new'
/** What may stand in a directory that has no format yet: a start was interrupted, or it is the root of a disk. */
const harmlessNames = new Set(['lock', newFormatFile, 'lost+found'])

/** Makes the directory where there is none. Refuses one that holds something else, or a format we do not know. */
export async function checkDataDirectory(files: Files, root: string): Promise<void> {
  const mend = 'give --data a directory that this user may write to'
  try {
    await files.makeDirectory(root)
  } catch (error) {
    throw new StartError(
      'data-directory',
      `the data directory ${root} cannot be made (${errorName(error)}); ${mend}`,
      error,
    )
  }
  try {
    await checkFormat(files, root)
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(
      'data-directory',
      `the data directory ${root} cannot be used (${errorName(error)}); ${mend}`,
      error,
    )
  }
}

/** True when the directory says that it is ours, in a format we know. Throws as `checkDataDirectory` does. */
export async function hasFormat(files: Files, root: string): Promise<boolean> {
  const names = await files.list(root)
  if (!names.includes(formatFile)) return false
  const text = await readText(files, join(root, formatFile))
  const [, format] = /^warren data directory, format (\d+)\n$/.exec(text) ?? []
  if (Number(format) === dataFormat) return true
  const found = format === undefined ? 'a format file that is not readable' : `format ${format}`
  throw new StartError(
    'data-directory',
    `the data directory ${root} has ${found} and this version knows format ${dataFormat}; use the version of Warren that wrote it`,
  )
}

/** Puts our name on the door; to be called under the lock. The rename makes it all or nothing. */
export async function writeFormat(files: Files, root: string): Promise<void> {
  if (await hasFormat(files, root)) return
  if ((await files.list(root)).includes(newFormatFile)) await files.remove(join(root, newFormatFile))
  const file = await files.open(join(root, newFormatFile), 'create')
  const bytes = Buffer.from(formatLine)
  try {
    await file.write(bytes, 0, bytes.length, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(join(root, newFormatFile), join(root, formatFile))
  await files.syncDirectory(root)
}

async function checkFormat(files: Files, root: string): Promise<void> {
  if (await hasFormat(files, root)) return
  const foreign = (await files.list(root)).find((name) => !harmlessNames.has(name))
  if (foreign === undefined) return
  throw new StartError(
    'data-directory',
    `the directory ${root} is not empty (there is ${foreign}) and not Warren's; give --data an empty or a new one`,
  )
}

async function readText(files: Files, path: string): Promise<string> {
  const file = await files.open(path, 'read')
  try {
    const bytes = new Uint8Array(256)
    return Buffer.from(bytes.buffer, 0, await file.read(bytes, 0, bytes.length, 0)).toString()
  } finally {
    await file.close()
  }
}
