/**
 * The directory of a replica: segment files as a file log has them, and the file `level`. It can be had again from the
 * stream, so a frame's write is not synced; from time to time all is, and then `level` says so.
 */
import { assert } from '../../base/assert.ts'
import type { File, Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { DigestStore } from '../file/digest-store.ts'
import { segmentHeaderBytes } from '../file/format.ts'
import { segmentName, sortNames } from '../file/segment.ts'
import { readSegmentFile } from '../file/segment-files.ts'
import { encodeSegmentHeader } from '../file/segment-header.ts'
import { removeIfThere } from '../file/segment-supply.ts'
import { DisposableFiles } from './disposable-files.ts'
import type { FrameMarks } from './frame-marks.ts'
import type { SegmentPlace, StreamFrame } from './frame-stream.ts'
import { readLevel, removeLevel, writeLevel } from './level-file.ts'
import { walkSegment } from './segment-frames.ts'
import type { TailSegment, TailState } from './stream-tail.ts'

export interface LocalCopyOptions {
  readonly files: Files
  readonly directory: string
  readonly logId: Uint8Array
  readonly name: string
  readonly logger: Logger
  readonly random: Random
}

export class LocalCopy {
  readonly #options: LocalCopyOptions
  /** The same files, never synced. */
  readonly files: Files
  readonly digests: DigestStore
  /** Live segments whose files are not there; they must have been freed by what the stream says since. */
  readonly missing = new Set<number>()
  #file: File | null = null
  #fileId = -1
  #gathered: Uint8Array | null = null
  #gatheredFrom = 0
  #gatheredTo = 0
  /** Segments with writes that are not synced. */
  readonly #unsynced = new Set<number>()
  #saving: Promise<void> = Promise.resolve()
  #isSaving = false
  #isDistrusted = false

  constructor(options: LocalCopyOptions) {
    this.#options = options
    this.files = new DisposableFiles(options.files)
    const { directory, logId, random } = options
    this.digests = new DigestStore({ files: this.files, directory, logId, random })
  }

  get directory(): string {
    return this.#options.directory
  }

  #path(id: number): string {
    return `${this.#options.directory}/${segmentName(id)}`
  }

  // ---- open

  /** How far the directory is level with the stream, as it says itself; null when nothing in it counts. */
  async open(marks: FrameMarks): Promise<TailState | null> {
    const { files, directory, logId } = this.#options
    await files.makeDirectory(directory)
    const state = await readLevel(files, directory, logId)
    return state !== null && (await this.#isThere(state, marks)) ? state : null
  }

  /** The last segment is looked at frame by frame; of the others, what a file log looks at when it opens. */
  async #isThere(state: TailState, marks: FrameMarks): Promise<boolean> {
    const there = new Set(sortNames(await this.files.list(this.directory)).segments)
    for (const segment of state.segments) {
      if (!there.has(segment.id) || !(await this.#isIntact(segment))) this.missing.add(segment.id)
    }
    const last = state.segments.at(-1)
    if (last === undefined) return false
    // It may have been freed and its file used again, as long as nothing more is to be written into it.
    if (this.missing.has(last.id)) return state.isSealed
    const walk = await walkSegment({ ...this.#options, files: this.files }, last, state.end, marks)
    return walk.chain === state.chain && walk.ordinal === state.ordinal
  }

  async #isIntact({ id, base, span }: TailSegment): Promise<boolean> {
    const found = await readSegmentFile(this.files, this.directory, id)
    if (found === null || found.fileBytes < span) return false
    const { header } = found
    return header.id === id && header.base === base && Buffer.compare(header.logId, this.#options.logId) === 0
  }

  /** Removes everything: it is read again from the stream. */
  async discard(): Promise<void> {
    this.missing.clear()
    await this.#closeFile()
    await removeLevel(this.#options.files, this.directory)
    await this.keepOnly([])
  }

  /** The directory counts for nothing at the next open. */
  distrust(): void {
    if (this.#isDistrusted) return
    this.#isDistrusted = true
    this.#saving = this.#saving
      .then(() => removeLevel(this.#options.files, this.directory))
      .catch((error: unknown) => {
        const { logger, name } = this.#options
        logger.error({ error, log: name, directory: this.directory }, 'a damaged copy could not be marked as such')
      })
  }

  /** Removes the files of all other segments. */
  async keepOnly(segments: readonly SegmentPlace[]): Promise<void> {
    const live = new Set(segments.map(({ id }) => id))
    for (const name of await this.files.list(this.directory)) {
      const { segments: ids, digests, temporaries } = sortNames([name])
      const [id] = [...ids, ...digests]
      const isOurs = id === undefined ? temporaries.length > 0 : !live.has(id)
      if (isOurs) await removeIfThere(this.files, `${this.directory}/${name}`)
    }
  }

  // ---- frames

  /** Writes a valid frame to its place, at once or with those that follow it. */
  async write({ segment, bytes }: StreamFrame, position: number): Promise<void> {
    if (segment.id !== this.#fileId) await this.#turnTo(segment)
    const offset = position - segment.base
    // A frame stays within its page, so as much as a page is written together.
    const isNext = this.#gathered !== null && offset === this.#gatheredTo
    if (!isNext || offset + bytes.byteLength - this.#gatheredFrom > segment.pageBytes) {
      await this.flush()
      this.#gathered ??= new Uint8Array(segment.pageBytes)
      this.#gatheredFrom = offset
      this.#gatheredTo = offset
    }
    this.#gathered?.set(bytes, offset - this.#gatheredFrom)
    this.#gatheredTo = offset + bytes.byteLength
  }

  async flush(): Promise<void> {
    const { directory, name } = this.#options
    if (this.#gathered === null || this.#gatheredTo === this.#gatheredFrom) return
    assert(this.#file !== null, `a file of log '${name}' in ${directory} is open while frames are gathered`)
    await this.#file.write(this.#gathered, 0, this.#gatheredTo - this.#gatheredFrom, this.#gatheredFrom)
    this.#gatheredFrom = this.#gatheredTo
  }

  async #turnTo(segment: SegmentPlace): Promise<void> {
    await this.#closeFile()
    const names = await this.files.list(this.directory)
    const isThere = names.includes(segmentName(segment.id)) && (await this.#isIntact({ ...segment, firstSequence: 0 }))
    if (!isThere) await this.makeSegment(segment)
    this.#file = await this.files.open(this.#path(segment.id), 'write')
    this.#fileId = segment.id
    this.#unsynced.add(segment.id)
  }

  /** Makes the file of a segment in which nothing has been written. */
  async makeSegment(segment: SegmentPlace): Promise<void> {
    const path = this.#path(segment.id)
    await removeIfThere(this.files, path)
    const file = await this.files.open(path, 'create')
    const header = encodeSegmentHeader({ ...segment, logId: this.#options.logId })
    await file.write(header, 0, segmentHeaderBytes, 0)
    await file.truncate(segment.span)
    await file.close()
    this.missing.delete(segment.id)
  }

  async remove(segmentId: number): Promise<void> {
    this.missing.delete(segmentId)
    this.#unsynced.delete(segmentId)
    if (segmentId === this.#fileId) await this.#closeFile()
    await removeIfThere(this.files, this.#path(segmentId))
    await this.digests.remove(segmentId)
  }

  async #closeFile(): Promise<void> {
    const file = this.#file
    if (file === null) return
    await this.flush()
    this.#file = null
    this.#fileId = -1
    this.#gatheredTo = this.#gatheredFrom
    await file.close()
  }

  // ---- level

  /** Somebody else has written to this segment. */
  touch(segmentId: number): void {
    this.#unsynced.add(segmentId)
  }

  /**
   * Makes what `state` speaks of durable, then says so. What has been written since does no harm. Of several in a row only
   * those count for which there is time.
   */
  saveLevel(state: TailState): void {
    if (this.#isSaving || this.#isDistrusted) return
    this.#isSaving = true
    this.#saving = this.#save(state)
      .catch((error: unknown) => {
        const { logger, name } = this.#options
        logger.warn(
          { error, log: name },
          'the local copy could not be synced; more of it is read again at the next start',
        )
      })
      .then(() => {
        this.#isSaving = false
      })
  }

  async #save(state: TailState): Promise<void> {
    const { files, directory, logId } = this.#options
    const live = new Set(state.segments.map(({ id }) => id))
    for (const id of [...this.#unsynced]) {
      this.#unsynced.delete(id)
      if (!live.has(id)) continue
      const file = await files.open(this.#path(id), 'write')
      await file.sync()
      await file.close()
    }
    await writeLevel(files, directory, logId, state)
  }

  /** Closes the open file. */
  async settle(): Promise<void> {
    await this.#closeFile()
    await this.#saving
    await this.digests.settled()
  }

  /** The last thing done to the directory. `state` is how far it is level; null: not further than it says already. */
  async close(state: TailState | null): Promise<void> {
    await this.settle()
    if (state !== null) this.saveLevel(state)
    await this.#saving
  }
}
