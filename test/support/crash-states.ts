/**
 * The disks that a crash may leave: goes through the journal of a `SimulatedFiles` entry by entry and makes, at each
 * point, images in which what is durable is there and each other change is kept, dropped or torn.
 */
import type { SeededRandom } from '../../src/base/random.ts'
import type { DiskImage, JournalEntry } from './simulated-files.ts'

type Change = Exclude<JournalEntry, { type: 'durable' | 'lost' | 'mark' }>

/** What becomes of one change that was not durable. A number keeps that many first bytes of a write. */
export type Fate = 'keep' | 'drop' | 'sectors' | number

const sectorBytes = 512

export class CrashStates {
  readonly #journal: readonly JournalEntry[]
  #next = 0
  readonly #contents = new Map<number, Uint8Array>()
  readonly #names = new Map<string, number>()
  readonly #pending = new Map<number, Change>()

  constructor(journal: readonly JournalEntry[]) {
    this.#journal = journal
  }

  /** Applies the next entry and returns it; null at the end. */
  step(): JournalEntry | null {
    const entry = this.#journal[this.#next]
    if (entry === undefined) return null
    this.#next++
    switch (entry.type) {
      case 'mark':
        break
      case 'durable':
        for (const op of entry.ops) this.#makeDurable(op)
        break
      case 'lost':
        for (const op of entry.ops) this.#pending.delete(op)
        break
      default:
        this.#pending.set(entry.op, entry)
    }
    return entry
  }

  /** Changes that a crash here may or may not leave. */
  get pendingCount(): number {
    return this.#pending.size
  }

  /** Bytes of the newest pending write; 0 when there is none. */
  get lastWriteBytes(): number {
    const last = [...this.#pending.values()].at(-1)
    return last?.type === 'write' ? last.bytes.byteLength : 0
  }

  /** The disk after a crash here; its bytes are not to be changed. `fate` is asked for each pending change, in order; `index` counts them from 0. */
  image(fate: (change: Change, index: number) => Fate, random: SeededRandom): DiskImage {
    const contents = new Map(this.#contents)
    const names = new Map(this.#names)
    for (const change of this.#pending.values()) {
      if (change.type === 'write')
        contents.set(change.inode, this.#contents.get(change.inode)?.slice() ?? new Uint8Array(0))
    }
    let index = 0
    for (const change of this.#pending.values()) apply(change, fate(change, index++), { contents, names, random })
    const image: DiskImage = new Map()
    for (const [path, inode] of names) image.set(path, contents.get(inode) ?? new Uint8Array(0))
    return image
  }

  #makeDurable(op: number): void {
    const change = this.#pending.get(op)
    if (change === undefined) return
    this.#pending.delete(op)
    apply(change, 'keep', { contents: this.#contents, names: this.#names, random: null })
  }
}

interface Disk {
  readonly contents: Map<number, Uint8Array>
  readonly names: Map<string, number>
  readonly random: SeededRandom | null
}

function apply(change: Change, fate: Fate, disk: Disk): void {
  if (fate === 'drop') return
  switch (change.type) {
    case 'link':
      disk.names.set(change.path, change.inode)
      break
    case 'unlink':
      disk.names.delete(change.path)
      break
    case 'rename':
      if (disk.names.get(change.from) === change.inode) disk.names.delete(change.from)
      disk.names.set(change.to, change.inode)
      break
    case 'truncate':
      disk.contents.set(change.inode, resized(disk.contents.get(change.inode), change.size))
      break
    case 'write':
      write(change, fate, disk)
      break
  }
}

function write(change: Change & { type: 'write' }, fate: Fate, { contents, random }: Disk): void {
  const { inode, offset, bytes } = change
  const end = offset + (typeof fate === 'number' ? Math.min(fate, bytes.byteLength) : bytes.byteLength)
  const there = contents.get(inode) ?? new Uint8Array(0)
  // The size may have grown although the bytes did not arrive: then they are zeros.
  const content = there.byteLength < end ? resized(there, end) : there
  contents.set(inode, content)
  if (fate !== 'sectors') {
    content.set(bytes.subarray(0, end - offset), offset)
    return
  }
  for (let at = offset; at < end; ) {
    const sectorEnd = Math.min(end, (Math.floor(at / sectorBytes) + 1) * sectorBytes)
    if (random === null || random.below(2) === 0) content.set(bytes.subarray(at - offset, sectorEnd - offset), at)
    at = sectorEnd
  }
}

function resized(bytes: Uint8Array | undefined, size: number): Uint8Array {
  const result = new Uint8Array(size)
  if (bytes !== undefined) result.set(bytes.subarray(0, size))
  return result
}
