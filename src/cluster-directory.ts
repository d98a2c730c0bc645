/**
 * The data directory of a node of a cluster. What confirms promise is in the streams of NATS; here are copies of them, and
 * which cluster they are of.
 *
 *     DATA/cluster.json       whose directory this is: format, cluster, node, and the node's last incarnation
 *     DATA/lock               held by the process that uses it
 *     DATA/copies/            a directory for each log that this node follows or owns; can be lost
 *     DATA/scratch/           logs of transient messages; emptied at each start
 *     DATA/nats/              of the NATS server that the node runs, if it does: what confirms promise
 *     DATA/marks.json         how far the logs are known to have been confirmed
 *     DATA/ownership.jsonl    which shards this node served and when
 */
import { join, resolve } from 'node:path'
import type { Files } from './base/files.ts'
import { type Fields, isCount } from './cluster/membership/entry-fields.ts'
import { readSmallFile, writeSmallFile } from './cluster/nats/small-file.ts'
import { clusterFile, makeRoot } from './data-directory.ts'
import { StartError } from './start-error.ts'
import { asStartError } from './start-failure.ts'

export const clusterDirectoryFormat = 1
/** What may stand in a directory in which a node begins. */
const harmlessNames = new Set([
  'lock',
  'nats',
  'copies',
  'scratch',
  'ownership.jsonl',
  'marks.json',
  'marks.json.new',
  `${clusterFile}.new`,
  'lost+found',
])

export interface ClusterDirectoryFacts {
  readonly clusterId: string
  readonly node: string
  /** Of the last process that used it. */
  readonly incarnation: number
  /** Data shards of the cluster; null when an earlier version wrote this. */
  readonly shards: number | null
  /** The highest incarnation of any node that this one has known of. */
  readonly incarnationSeen: number
}

export class ClusterDirectory {
  readonly root: string
  readonly #files: Files
  /** As they are in the file, or are about to be. */
  #facts: ClusterDirectoryFacts | null = null
  #writing: Promise<void> = Promise.resolve()

  constructor(files: Files, directory: string) {
    this.#files = files
    this.root = resolve(directory)
  }

  /** Of the copy of a log. */
  copy(name: string): string {
    return join(this.root, 'copies', name)
  }

  scratch(name: string): string {
    return join(this.root, 'scratch', name)
  }

  get marks(): string {
    return join(this.root, 'marks.json')
  }

  get journal(): string {
    return join(this.root, 'ownership.jsonl')
  }

  /** It has been made and is locked. Null when a node begins in it. Throws `StartError` when it is of somebody else. */
  async open(node: string): Promise<ClusterDirectoryFacts | null> {
    const names = await this.#files.list(this.root)
    if (!names.includes(clusterFile)) {
      const found = names.find((name) => !harmlessNames.has(name))
      if (found !== undefined) throw new StartError('data-directory', foreignSentence(this.root, found))
      return null
    }
    const facts = factsOf(await readSmallFile(this.#files, join(this.root, clusterFile)))
    if (facts === null) {
      const mend = 'put it back from a copy, or begin with an empty directory: the messages are in the streams of NATS'
      throw new StartError('data-directory', `${join(this.root, clusterFile)} cannot be read; ${mend}`)
    }
    if (facts.node !== node) {
      const sentence = `the data directory ${this.root} is of node '${facts.node}', not of '${node}'`
      throw new StartError('data-directory', `${sentence}; give each node a directory of its own with --data`)
    }
    this.#facts = facts
    return facts
  }

  /** Synced, before anybody hears of the incarnation. */
  async remember(facts: Omit<ClusterDirectoryFacts, 'incarnationSeen'>): Promise<void> {
    const incarnationSeen = Math.max(facts.incarnation, this.#facts?.incarnationSeen ?? 0)
    await this.#write({ ...facts, incarnationSeen })
  }

  /** Another node has this incarnation: if what the nodes agree on is lost, this node knows that it was given. */
  async sawIncarnation(incarnation: number): Promise<void> {
    const facts = this.#facts
    if (facts === null || incarnation <= facts.incarnationSeen) return
    await this.#write({ ...facts, incarnationSeen: incarnation })
  }

  /** One after the other. */
  async #write(facts: ClusterDirectoryFacts): Promise<void> {
    this.#facts = facts
    const text = JSON.stringify({ format: clusterDirectoryFormat, ...facts })
    const write = () => writeSmallFile(this.#files, join(this.root, clusterFile), `${text}\n`)
    const writing = this.#writing.then(write, write)
    this.#writing = writing.catch(() => {})
    await writing
  }
}

/**
 * Refuses, with `StartError`, a directory that is not this node's. Before anything else is done in it: a NATS server that is
 * begun under another name writes into the store that it finds.
 */
export async function checkClusterDirectory(files: Files, directory: string, node: string): Promise<void> {
  const root = resolve(directory)
  try {
    await makeRoot(files, root)
    await new ClusterDirectory(files, root).open(node)
  } catch (error) {
    throw asStartError(error, root)
  }
}

function factsOf(text: string): ClusterDirectoryFacts | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { format, clusterId, node, incarnation, shards = null, incarnationSeen = incarnation } = value as Fields
  if (format !== clusterDirectoryFormat || typeof clusterId !== 'string' || typeof node !== 'string') return null
  if (!isCount(incarnation) || !isCount(incarnationSeen) || (shards !== null && !isCount(shards))) return null
  return { clusterId, node, incarnation, shards, incarnationSeen }
}

function foreignSentence(root: string, found: string): string {
  if (found === 'format' || found === 'topology') {
    const mend = 'start the node with an empty one, then move what is in it with `warren migrate`'
    return `the data directory ${root} is of a broker on its own, not of a node of a cluster; ${mend}`
  }
  return `the directory ${root} is not empty (there is ${found}) and not Warren's; give --data an empty or a new one`
}
