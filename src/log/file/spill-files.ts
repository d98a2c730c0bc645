/**
 * Pages of a scratch log on disk, in files of `slotsPerFile` slots. Never synced: what is here means nothing after a
 * restart. A file without pages is removed, so the disk gets its room back.
 */
import { assert } from '../../base/assert.ts'
import type { File, Files } from '../../base/files.ts'
import { memorySegmentBytes } from '../memory/memory-segment.ts'
import type { PageStore } from '../memory/paging.ts'

const slotsPerFile = 64
export const spillEnding = '.spill'

export interface SpillOptions {
  readonly files: Files
  readonly directory: string
  /** Bytes of the file system that are left alone. */
  readonly roomBytesMin: number
}

interface SpillFile {
  readonly index: number
  readonly path: string
  readonly opened: Promise<File>
  readonly taken: Uint8Array
  used: number
}

export class SpillFiles implements PageStore {
  readonly #options: SpillOptions
  readonly #open = new Map<number, SpillFile>()
  #nextIndex = 0

  constructor(options: SpillOptions) {
    this.#options = options
  }

  async store(bytes: Uint8Array): Promise<number> {
    const spill = await this.#withRoom()
    const slot = spill.taken.indexOf(0)
    spill.taken[slot] = 1
    spill.used++
    try {
      const file = await spill.opened
      await file.write(bytes, 0, memorySegmentBytes, slot * memorySegmentBytes)
    } catch (error) {
      this.release(spill.index * slotsPerFile + slot)
      throw error
    }
    return spill.index * slotsPerFile + slot
  }

  async read(slot: number, into: Uint8Array): Promise<void> {
    const spill = this.#open.get(Math.floor(slot / slotsPerFile))
    assert(spill !== undefined, 'a stored page is in an open file')
    const file = await spill.opened
    await file.read(into, 0, memorySegmentBytes, (slot % slotsPerFile) * memorySegmentBytes)
  }

  release(slot: number): void {
    const spill = this.#open.get(Math.floor(slot / slotsPerFile))
    assert(spill !== undefined && spill.taken[slot % slotsPerFile] === 1, 'a slot is released once')
    spill.taken[slot % slotsPerFile] = 0
    spill.used--
    if (spill.used > 0) return
    this.#open.delete(spill.index)
    void this.#discard(spill)
  }

  async close(): Promise<void> {
    const all = [...this.#open.values()]
    this.#open.clear()
    for (const spill of all) await this.#discard(spill)
  }

  async #withRoom(): Promise<SpillFile> {
    const { files, directory, roomBytesMin } = this.#options
    if ((await files.freeBytes(directory)) < roomBytesMin + memorySegmentBytes) {
      throw Object.assign(new Error(`less than ${roomBytesMin} bytes are free in ${directory}`), { code: 'ENOSPC' })
    }
    for (const spill of this.#open.values()) {
      if (spill.used < slotsPerFile) return spill
    }
    const index = this.#nextIndex++
    const path = `${directory}/${String(index).padStart(10, '0')}${spillEnding}`
    const spill = { index, path, opened: files.open(path, 'create'), taken: new Uint8Array(slotsPerFile), used: 0 }
    this.#open.set(index, spill)
    spill.opened.catch(() => this.#open.delete(index))
    return spill
  }

  /** The directory is emptied at the next open in any case, so a file that cannot be removed now does no harm. */
  async #discard(spill: SpillFile): Promise<void> {
    try {
      const file = await spill.opened
      await file.close()
      await this.#options.files.remove(spill.path)
    } catch {
      // see above
    }
  }
}
