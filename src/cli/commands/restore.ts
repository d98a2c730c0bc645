/**
 * `warren restore`: makes a data directory of a backup, checks every byte of it, opens it once as a broker would and says
 * what is in its queues beside what was in them at the time of the backup. Until it is through, no broker begins in the
 * directory.
 */
import { createReadStream } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { QueueCount } from '../../backup/archive.ts'
import { type LogFileSink, type ReadBackup, readBackup } from '../../backup/archive-reader.ts'
import type { File } from '../../base/files.ts'
import { SystemFiles } from '../../base/system-files.ts'
import { TarDamaged } from '../../base/tar.ts'
import { logNames, streamsName, writeFormat } from '../../data-directory.ts'
import { fsck } from '../../log/file/fsck.ts'
import { listWholeLogs } from '../../log/file/log-directories.ts'
import { CommandFailure, misuse } from '../client/command-failure.ts'
import { plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { ExitCode } from '../exit-code.ts'
import { restoredCounts } from '../restored-counts.ts'

interface Flags {
  readonly data: string
}

export function configure(command: Command): void {
  command
    .argument('<file>', 'what `warren backup` wrote')
    .requiredOption('--data <directory>', 'the new data directory; made when missing, must be empty')
    .action((file: string, flags: Flags) => run((context) => restore(file, flags, context)))
    .addHelpText('after', examples)
}

const examples = `
Examples:
  warren restore warren.tar --data ./restored
  warren serve --data ./restored

Exit codes: 0 whole, 1 the backup is damaged or does not open, 2 a wrong file or directory.`

/** With it, and without the file that says what it is, a broker refuses the directory as not its own. */
const unfinishedName = 'restore-unfinished'

async function restore(file: string, flags: Flags, { printer }: Run): Promise<ExitCode> {
  const files = new SystemFiles()
  const root = resolve(flags.data)
  await begin(files, root)
  const backup = await unpack(file, files, root)
  await checkLogs(files, root)
  await writeFormat(files, root)
  const counts = await restoredCounts(root, backup.facts.at)
  await files.remove(join(root, unfinishedName))
  await files.syncDirectory(root)
  for (const line of differences(backup.counts, counts)) printer.note(line)
  const total = counts.reduce((sum, count) => sum + count.messages, 0)
  const what = `${plural(total, 'message')} in ${plural(counts.length, 'queue')}`
  const when = new Date(backup.facts.at).toISOString()
  printer.note(`restored ${what} as of ${when}; start a broker with --data ${root}`)
  return ExitCode.done
}

async function begin(files: SystemFiles, root: string): Promise<void> {
  try {
    await files.makeDirectory(root)
    const [found] = await files.list(root)
    if (found !== undefined) throw misuse(`${root} is not empty (there is ${found}); give --data a new directory`)
    await (await files.open(join(root, unfinishedName), 'create')).close()
    await files.syncDirectory(root)
  } catch (error) {
    if (error instanceof CommandFailure) throw error
    throw misuse(`${root} cannot be made (${codeOf(error)}); give --data a directory that this user may write to`)
  }
}

async function unpack(file: string, files: SystemFiles, root: string): Promise<ReadBackup> {
  try {
    const backup = await readBackup(createReadStream(file), new Unpacking(files, root))
    const directories = new Set(backup.files.map(({ name }) => dirname(name)))
    for (const { name, bytes, fill } of backup.files) if (fill > bytes) await fillUp(files, join(root, name), fill)
    for (const directory of directories) await files.syncDirectory(join(root, directory))
    return backup
  } catch (error) {
    const left = `${root} is no data directory now; remove it`
    if (error instanceof TarDamaged)
      throw new CommandFailure(ExitCode.failed, `${file} cannot be restored: ${error.message}; ${left}`)
    if (!(error instanceof Error && 'syscall' in error)) throw error
    throw misuse(`${file} cannot be unpacked into ${root} (${error.message}); ${left}, and mend what it names`)
  }
}

/** The end of the last segment, which was still empty. */
async function fillUp(files: SystemFiles, path: string, bytes: number): Promise<void> {
  const file = await files.open(path, 'write')
  try {
    await file.truncate(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

class Unpacking implements LogFileSink {
  readonly #files: SystemFiles
  readonly #root: string
  readonly #made = new Set<string>()
  #file: File | null = null
  #at = 0

  constructor(files: SystemFiles, root: string) {
    this.#files = files
    this.#root = root
  }

  async begin(name: string): Promise<void> {
    const directory = dirname(name)
    if (!this.#made.has(directory)) await this.#files.makeDirectory(join(this.#root, directory))
    this.#made.add(directory)
    this.#file = await this.#files.open(join(this.#root, name), 'create')
    this.#at = 0
  }

  async part(bytes: Uint8Array): Promise<void> {
    await this.#file?.write(bytes, 0, bytes.length, this.#at)
    this.#at += bytes.length
  }

  async end(): Promise<void> {
    await this.#file?.sync()
    await this.#file?.close()
  }
}

/** Every frame of every log. */
async function checkLogs(files: SystemFiles, root: string): Promise<void> {
  const streams = await listWholeLogs(files, join(root, streamsName))
  for (const log of [...logNames, ...streams.map((id) => `${streamsName}/${id}`)]) {
    const { isIntact, tornTail } = await fsck(files, join(root, log)).catch((error: unknown) => {
      throw damaged(root, log, error instanceof Error ? error.message : String(error))
    })
    if (!isIntact || tornTail !== null) throw damaged(root, log, 'it holds damaged frames')
  }
}

function damaged(root: string, log: string, why: string): CommandFailure {
  const mend = `\`warren fsck ${root}\` tells more; take another backup`
  return new CommandFailure(ExitCode.failed, `the log ${log} in the backup is damaged: ${why}; ${mend}`)
}

/** Of queues that hold another number now; the rest is as it was. */
function differences(then: readonly QueueCount[], now: readonly QueueCount[]): string[] {
  const key = ({ vhost, name }: QueueCount): string => JSON.stringify([vhost, name])
  const before = new Map(then.map((count) => [key(count), count.messages]))
  const lines = now
    .filter((count) => before.get(key(count)) !== count.messages)
    .map(
      (count) => `${count.vhost} ${count.name}: ${count.messages} messages, ${before.get(key(count)) ?? 'none'} then`,
    )
  if (lines.length === 0) return []
  const why = 'messages that were not persistent, not stored yet or settled in that very moment are not in a backup'
  return [...lines, `${plural(lines.length, 'queue')} with another number of messages than at that moment: ${why}`]
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
