/**
 * The layout of a data directory, and the two things at its door: a file that names the format, and the lock.
 *
 *     DATA/format      one line of text: whose directory this is, and which layout; written when the first start is through
 *     DATA/lock        held by the process that uses it
 *     DATA/topology/   log: vhosts, exchanges, queues, bindings, users
 *     DATA/shard-0/    log: messages and settlements of durable queues
 *     DATA/streams/    a log for each stream, by the id of its queue: the messages of streams
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
  readonly streams: string
  readonly scratch: string
}

export function dataPaths(directory: string): DataPaths {
  const root = resolve(directory)
  const below = (name: string): string => join(root, name)
  return {
    root,
    topology: below('topology'),
    shard: below('shard-0'),
    streams: below(streamsName),
    scratch: below('scratch'),
  }
}

/** In its place, in the directory of a node of a cluster (`cluster-directory.ts`). */
export const clusterFile = 'cluster.json'

const formatFile = 'format'
const formatLine = `warren data directory, format ${dataFormat}\n`
const newFormatFile = 'format.new'
/** The directory in which each stream has a log of its own. */
export const streamsName = 'streams'
/** The durable logs that every directory has, by the names of their directories. */
export const logNames = ['topology', 'shard-0'] as const
/** What may stand in a directory without format: a first start was interrupted, or it is the root of a disk. */
const harmlessNames = new Set<string>([...logNames, streamsName, 'scratch', 'lock', newFormatFile, 'lost+found'])

/**
 * What a directory is. `new`: nothing of ours is complete in it, a broker may begin there. `ours`: it has been opened
 * wholly at least once. `foreign`: it holds something else (named by `found`).
 */
export type Standing = { readonly kind: 'new' | 'ours' } | { readonly kind: 'foreign'; readonly found: string }

/** Throws `StartError` when the directory is ours in a format we do not know, or when one of its logs is missing. */
export async function standingOf(files: Files, root: string): Promise<Standing> {
  const names = await files.list(root)
  if (!names.includes(formatFile)) {
    const found = names.find((name) => name === clusterFile) ?? names.find((name) => !harmlessNames.has(name))
    return found === undefined ? { kind: 'new' } : { kind: 'foreign', found }
  }
  const text = await readText(files, join(root, formatFile))
  const [, format] = /^warren data directory, format (\d+)\n$/.exec(text) ?? []
  if (Number(format) !== dataFormat) {
    const what = format === undefined ? 'a format file that cannot be read' : `format ${format}`
    const mend = `this version knows format ${dataFormat}; use the version of Warren that wrote it`
    throw new StartError('data-directory', `the data directory ${root} has ${what} and ${mend}`)
  }
  const missing = logNames.find((name) => !names.includes(name))
  if (missing === undefined) return { kind: 'ours' }
  throw new StartError(
    'data-directory',
    `the data directory ${root} has lost its folder ${missing}; put it back from a copy`,
  )
}

/** Makes the directory where there is none. Returns true when a first start begins in it. */
export async function prepareDataDirectory(files: Files, root: string): Promise<boolean> {
  await makeRoot(files, root)
  const standing = await standingOf(files, root)
  if (standing.kind !== 'foreign') return standing.kind === 'new'
  if (standing.found === clusterFile) {
    const mend = 'start it with --node-name and --peers or --cluster, or give another --data'
    throw new StartError('data-directory', `the data directory ${root} is of a node of a cluster; ${mend}`)
  }
  const what = `not empty (there is ${standing.found}) and not Warren's`
  throw new StartError('data-directory', `the directory ${root} is ${what}; give --data an empty or a new one`)
}

/** Throws `StartError` when it cannot be made. */
export async function makeRoot(files: Files, root: string): Promise<void> {
  try {
    await files.makeDirectory(root)
  } catch (error) {
    const mend = 'give --data a directory that this user may write to'
    throw new StartError(
      'data-directory',
      `the data directory ${root} cannot be made (${errorName(error)}); ${mend}`,
      error,
    )
  }
}

/** Puts our name on the door, once all logs exist and under the lock. The rename makes it all or nothing. */
export async function writeFormat(files: Files, root: string): Promise<void> {
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

async function readText(files: Files, path: string): Promise<string> {
  const file = await files.open(path, 'read')
  try {
    const bytes = new Uint8Array(256)
    return Buffer.from(bytes.buffer, 0, await file.read(bytes, 0, bytes.length, 0)).toString()
  } finally {
    await file.close()
  }
}
