/**
 * What a backup is: a tar archive of
 *
 *     backup.json      what it is, and of which moment: `BackupFacts`
 *     topology/…       the files of each log, as far as they counted
 *     shard-0/…
 *     streams/ID/…
 *     queues.json      how many messages were in each queue then: `QueueCount[]`
 *     sums.json        last: each file above with its SHA-256: `Sums`
 *
 * Without its last file an archive is not whole, whatever else is in it.
 */
import { createHash } from 'node:crypto'
import type { TarEntry } from '../base/tar.ts'

export const factsName = 'backup.json'
export const countsName = 'queues.json'
export const sumsName = 'sums.json'
export const backupFormat = 1
/** Of the three above, in bytes each. */
export const jsonBytesMax = 128 * 1024 * 1024

export interface BackupFacts {
  readonly format: number
  /** Of the program that wrote it. */
  readonly version: string
  /** Wall time in milliseconds. */
  readonly at: number
}

export interface QueueCount {
  readonly vhost: string
  readonly name: string
  /** Ready and unacknowledged. */
  readonly messages: number
}

export interface Sum extends TarEntry {
  /** What the file has to be filled up to with zeros, in bytes. */
  readonly fill: number
  /** Hexadecimal. */
  readonly sha256: string
}

export interface Sums {
  readonly files: readonly Sum[]
  /** Of `files` as JSON, hexadecimal. */
  readonly sha256: string
}

export function sumsOf(files: readonly Sum[]): Sums {
  return { files, sha256: createHash('sha256').update(JSON.stringify(files)).digest('hex') }
}

/** Names of files of logs, and nothing else: they become paths. */
export function isLogFile(name: string): boolean {
  return /^(topology|shard-0|streams\/\d{1,16})\/(identity|\d{10,16}\.segment)$/.test(name)
}
