/**
 * What stands beside the store of a nats-server that nodes run, in `DATA/nats`:
 *
 *     nats-server.conf    what it was told
 *     nats-server.pid     its process: `ID IDENTITY`, then `VERSION PATH` of the program. There before the program begins
 *     nats-server.claim   whose it is (`base/child-processes.ts`), one word
 *     nats-server.log     what it says; older ones end with the time when they were left
 *     jetstream/          its store
 */
import { join } from 'node:path'
import type { Files } from '../../base/files.ts'
import type { NatsProgram } from './nats-program.ts'
import { readSmallFile, removeIfThere, writeSmallFile } from './small-file.ts'

/** A process as it was written down; another one may have its id by now. */
export interface NotedProcess {
  readonly pid: number
  /** `ChildProcesses.identity`. */
  readonly identity: string
  /** `VERSION PATH`. */
  readonly program: string
}

export class NatsFiles {
  readonly config: string
  readonly claim: string
  readonly log: string
  readonly #process: string
  readonly #files: Files

  constructor(files: Files, directory: string) {
    this.#files = files
    this.config = join(directory, 'nats-server.conf')
    this.claim = join(directory, 'nats-server.claim')
    this.log = natsLogFile(directory)
    this.#process = join(directory, 'nats-server.pid')
  }

  /** Null when there is none, or none that can be read. */
  async notedProcess(): Promise<NotedProcess | null> {
    const text = await this.textOf(this.#process)
    const [, pid, identity, program = ''] = /^(\d+) (.+)\n(?:(.+)\n)?$/.exec(text) ?? []
    return identity === undefined ? null : { pid: Number(pid), identity, program }
  }

  async note({ pid, identity, program }: NotedProcess): Promise<void> {
    await writeSmallFile(this.#files, this.#process, `${pid} ${identity}\n${program}\n`)
  }

  /** Empty when it cannot be read. */
  async textOf(path: string): Promise<string> {
    try {
      return await readSmallFile(this.#files, path)
    } catch {
      return ''
    }
  }

  async write(path: string, text: string): Promise<void> {
    await writeSmallFile(this.#files, path, text)
  }

  /** From now on nobody will come for the server when its node ends. */
  async renounce(): Promise<void> {
    await removeIfThere(this.#files, this.claim)
  }

  /** The server has ended. */
  async forget(): Promise<void> {
    await this.renounce()
    await removeIfThere(this.#files, this.#process)
  }
}

export function natsLogFile(directory: string): string {
  return join(directory, 'nats-server.log')
}

export function programText({ version, path }: NatsProgram): string {
  return `${version} ${path}`
}
