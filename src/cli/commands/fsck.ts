/**
 * `warren fsck`: checks every stored frame of a stopped broker and says exactly what is damaged. Changes nothing; with
 * `--repair` it writes what is whole to a new directory.
 *
 * Exit codes: 0 nothing is lost, 1 damage (also after a repair of it), 2 the directory cannot be examined.
 */
import { join, resolve } from 'node:path'
import { SystemFiles } from '../../base/system-files.ts'
import { logNames, standingOf, streamsName, writeFormat } from '../../data-directory.ts'
import { lockDataDirectory } from '../../log/file/data-directory-lock.ts'
import { type Damage, type FsckReport, fsck as fsckLog, repair } from '../../log/file/fsck.ts'
import { listWholeLogs } from '../../log/file/log-directories.ts'
import { errorName } from '../../start-error.ts'
import { ExitCode } from '../exit-code.ts'

export interface FsckCommandOptions {
  /** The new directory; null to look only. */
  readonly repair: string | null
  readonly isJson: boolean
}

/** One log of the directory; `error` when nothing in it could be read. */
interface LogResult {
  readonly log: string
  readonly report: FsckReport | null
  readonly error: string | null
}

export async function fsck(directory: string, options: FsckCommandOptions): Promise<ExitCode> {
  const files = new SystemFiles()
  const root = resolve(directory)
  try {
    await checkPlaces(files, root, options.repair)
    const release = await lock(root)
    try {
      const results: LogResult[] = []
      for (const log of await logsOf(files, root)) results.push(await examine(files, root, log, options))
      if (options.repair !== null && results.every(({ report }) => report !== null)) {
        await writeFormat(files, resolve(options.repair))
      }
      process.stdout.write(options.isJson ? asJson(root, results) : asText(root, results, options.repair))
      return isDamaged(results) ? ExitCode.failed : ExitCode.done
    } finally {
      await release()
    }
  } catch (error) {
    process.stderr.write(`warren: ${sentence(error, root)}\n`)
    return ExitCode.usage
  }
}

/** By the names of their directories. */
async function logsOf(files: SystemFiles, root: string): Promise<string[]> {
  const streams = await listWholeLogs(files, join(root, streamsName))
  return [...logNames, ...streams.map((id) => `${streamsName}/${id}`)]
}

/** Wrong use of the command: the text says what to do. */
class WrongUse extends Error {
  readonly code = 'WRONG_USE'
}

async function checkPlaces(files: SystemFiles, root: string, newDirectory: string | null): Promise<void> {
  const standing = await standingOf(files, root)
  const names = standing.kind === 'foreign' ? [] : await files.list(root)
  const missing = logNames.find((name) => !names.includes(name))
  if (missing !== undefined)
    throw new WrongUse(`${root} is not a data directory (it has no folder ${missing}); give the one of --data`)
  if (newDirectory === null) return
  const to = resolve(newDirectory)
  await files.makeDirectory(to)
  if ((await files.list(to)).length > 0) throw new WrongUse(`${to} is not empty; give --repair a new directory`)
}

/** Nobody may write meanwhile. A file system that nobody can write to needs no lock. */
async function lock(root: string): Promise<() => Promise<void>> {
  try {
    const held = await lockDataDirectory(root)
    return () => held.release()
  } catch (error) {
    if (errorName(error) === 'EROFS') return async () => {}
    throw error
  }
}

async function examine(files: SystemFiles, root: string, log: string, options: FsckCommandOptions): Promise<LogResult> {
  const directory = join(root, log)
  try {
    if (options.repair === null)
      return { log, report: await fsckLog(files, directory, { onProgress: progressOf(log) }), error: null }
    const { found } = await repair(files, directory, join(resolve(options.repair), log))
    return { log, report: found, error: null }
  } catch (error) {
    if (errorName(error) !== 'LOG_DAMAGED') throw error
    return { log, report: null, error: error instanceof Error ? error.message : String(error) }
  }
}

function progressOf(log: string): (done: number, total: number) => void {
  if (process.stderr.isTTY !== true) return () => {}
  return (done, total) => {
    process.stderr.write(`\r${log}: segment ${done} of ${total}${done === total ? '\n' : ''}`)
  }
}

// ---------------------------------------------------------------- output

function isDamaged(results: readonly LogResult[]): boolean {
  return results.some(({ report }) => report === null || !report.isIntact)
}

function asJson(root: string, results: readonly LogResult[]): string {
  return `${JSON.stringify({ directory: root, isDamaged: isDamaged(results), logs: results }, null, 2)}\n`
}

function asText(root: string, results: readonly LogResult[], newDirectory: string | null): string {
  const lines = results.flatMap(describe)
  lines.push(
    isDamaged(results) ? `damage in ${root}: what is listed as lost cannot be read any more` : `no damage in ${root}`,
  )
  const isRepaired = newDirectory !== null && results.every(({ report }) => report !== null)
  if (isRepaired)
    lines.push(`what is whole has been written to ${resolve(newDirectory)}; start a broker with --data ${newDirectory}`)
  else if (newDirectory !== null) lines.push(`nothing to start from could be written to ${resolve(newDirectory)}`)
  else if (isDamaged(results))
    lines.push(`\`warren fsck ${root} --repair NEWDIR\` writes what is whole to a new directory`)
  return `${lines.join('\n')}\n`
}

function describe({ log, report, error }: LogResult): string[] {
  if (report === null) return [`${log}: lost (${error})`]
  const { segments, frames, records, recordBytes } = report.counts
  const counts = `${segments} segments, ${frames} frames, ${records} records of ${recordBytes} bytes`
  const end = report.isClean ? 'closed in good order' : 'not closed: the broker was interrupted'
  const lines = [
    `${log}: ${report.isIntact ? 'intact' : 'damaged'}; ${counts}; ${end}`,
    ...report.damage.map(describeDamage),
  ]
  if (report.tornTail !== null) {
    const { file, offset } = report.tornTail
    lines.push(
      `  ${file} from byte ${offset}: was being stored at the end, was never confirmed; the next start cuts it`,
    )
  }
  return lines
}

function describeDamage({ file, from, to, what, consequence, positions }: Damage): string {
  const where = positions === null ? '' : ` (positions ${positions.from} to ${positions.to - 1})`
  return `  ${file} bytes ${from} to ${to - 1}${where}: ${what}; ${consequence === 'lost' ? 'LOST' : 'made again at the next start'}`
}

function sentence(error: unknown, root: string): string {
  const name = errorName(error)
  const text = error instanceof Error ? error.message : String(error)
  if (name === 'ENOENT' || name === 'ENOTDIR') return `${root} is not a directory that could be checked (${name})`
  return error instanceof Error && 'syscall' in error ? `${root} cannot be checked (${text})` : text
}
