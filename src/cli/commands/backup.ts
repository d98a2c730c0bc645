/** `warren backup`: all that a running broker has stored, as of one moment, in one file that has been checked. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Command } from 'commander'
import { type ReadBackup, readBackup } from '../../backup/archive-reader.ts'
import { TarDamaged } from '../../base/tar.ts'
import { CommandFailure, misuse } from '../client/command-failure.ts'
import { addHttpOptions, type HttpFlags } from '../client/connection-options.ts'
import { HttpApi } from '../client/http-api.ts'
import { bytes, plural } from '../client/readable.ts'
import { type Run, run } from '../client/run.ts'
import { ExitCode } from '../exit-code.ts'

export function configure(command: Command): void {
  command
    .argument('<file>', 'where to; must not exist yet')
    .action((file: string, flags: HttpFlags) => run((context) => backup(file, flags, context)))
  addHttpOptions(command).addHelpText('after', examples)
}

const examples = `
Examples:
  warren backup warren.tar --http http://admin:secret@host:15672
  warren restore warren.tar --data ./restored

The broker goes on meanwhile. The user needs the tag administrator. There are messages and password hashes in the file.`

async function backup(file: string, flags: HttpFlags, context: Run): Promise<ExitCode> {
  if (isThere(file)) throw misuse(`${file} exists; give another name, or remove it`)
  const begun = `${file}.part`
  const out = open(begun)
  let whole: ReadBackup
  let size = 0
  try {
    const parts = new HttpApi(flags, context).stream('warren/backup')
    const written = async function* (): AsyncGenerator<Uint8Array> {
      for await (const part of parts) {
        write(out, part, begun)
        size += part.length
        yield part
      }
    }
    whole = await readBackup(written(), null)
    fsyncSync(out)
  } catch (error) {
    rmSync(begun, { force: true })
    if (!(error instanceof TarDamaged)) throw error
    const mend = 'nothing was kept; the log of the broker says whether it gave up'
    throw new CommandFailure(ExitCode.failed, `what came is no whole backup (${error.message}); ${mend}`)
  } finally {
    closeSync(out)
  }
  renameSync(begun, file)
  syncDirectory(dirname(file))
  const { facts, counts, files } = whole
  const messages = counts.reduce((sum, count) => sum + count.messages, 0)
  const what = `${plural(messages, 'message')} in ${plural(counts.length, 'queue')}, ${plural(files.length, 'file')}`
  context.printer.note(`${file}: ${bytes(size)} as of ${new Date(facts.at).toISOString()}; ${what}; all sums fit`)
  return ExitCode.done
}

function isThere(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false }) !== undefined
}

function open(file: string): number {
  try {
    return openSync(file, 'wx', 0o600)
  } catch (error) {
    throw misuse(`${file} cannot be made (${codeOf(error)}); give a file that can, or remove what an earlier run left`)
  }
}

function write(out: number, part: Uint8Array, file: string): void {
  try {
    for (let at = 0; at < part.length; ) at += writeSync(out, part, at)
  } catch (error) {
    const sentence = `${file} cannot be written (${codeOf(error)}); give a place with room`
    throw new CommandFailure(ExitCode.failed, sentence)
  }
}

function syncDirectory(directory: string): void {
  const opened = openSync(directory, 'r')
  fsyncSync(opened)
  closeSync(opened)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
