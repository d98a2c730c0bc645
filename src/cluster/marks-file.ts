/**
 * What this node knows of how far the logs have been confirmed, kept beside its data: after a start of the whole cluster
 * somebody must know what was there, or a lost end of a log would not be noticed.
 */
import type { Clock, Timer } from '../base/clock.ts'
import type { Files } from '../base/files.ts'
import type { Logger } from '../base/logger.ts'
import { fieldsOf, isCount } from './membership/entry-fields.ts'
import type { LogMark } from './membership/log-mark.ts'
import { readSmallFile, writeSmallFile } from './nats/small-file.ts'

export interface MarksFileParts {
  readonly files: Files
  readonly path: string
  readonly clock: Clock
  readonly logger: Logger
  known(): ReadonlyMap<string, LogMark>
}

const storeEachMs = 2_000

export interface KnownMarks {
  readonly known: ReadonlyMap<string, LogMark>
  restore(marks: Iterable<readonly [string, LogMark]>): void
}

/** Restores what was stored and stores what is known from now on. The result ends that, when it has been stored. */
export async function keepMarks(parts: Omit<MarksFileParts, 'known'>, marks: KnownMarks): Promise<() => Promise<void>> {
  const file = new MarksFile({ ...parts, known: () => marks.known })
  marks.restore(await file.load())
  file.start()
  return () => file.stop()
}

export class MarksFile {
  readonly #parts: MarksFileParts
  #stored = ''
  #timer: Timer | null = null
  #storing: Promise<void> = Promise.resolve()

  constructor(parts: MarksFileParts) {
    this.#parts = parts
  }

  /** Nothing when there is none, or it cannot be read: then it says what is found from now on. */
  async load(): Promise<Map<string, LogMark>> {
    const { files, path, logger } = this.#parts
    const marks = new Map<string, LogMark>()
    try {
      for (const [shard, mark] of Object.entries(fieldsOf(await readSmallFile(files, path)) ?? {})) {
        const { ordinal, chain } = mark as Partial<LogMark>
        if (isCount(ordinal) && isCount(chain)) marks.set(shard, { ordinal, chain })
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT'))
        logger.warn({ error, path }, 'what was known of the ends of the logs cannot be read')
    }
    return marks
  }

  /** Stores what is known each two seconds, if it is more. */
  start(): void {
    this.#timer = this.#parts.clock.after(storeEachMs, () => {
      this.#storing = this.#store().then(() => {
        if (this.#timer !== null) this.start()
      })
    })
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = null
    await this.#storing
    await this.#store()
  }

  async #store(): Promise<void> {
    const { files, path, logger, known } = this.#parts
    const text = JSON.stringify(Object.fromEntries(known()))
    if (text === this.#stored) return
    try {
      await writeSmallFile(files, path, text)
      this.#stored = text
    } catch (error) {
      logger.warn({ error, path }, 'what is known of the ends of the logs cannot be stored')
    }
  }
}
