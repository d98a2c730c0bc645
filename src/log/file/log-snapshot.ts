/**
 * What a file log has committed at one moment, as the files it lies in. Sealed segments never change until they are freed
 * and used again, and of the open one what is committed never changes; so the log only has to keep back the files of
 * segments that it frees meanwhile.
 */
import { segmentHeaderBytes } from './format.ts'
import { identityName, type LogSegment, segmentName } from './segment.ts'
import { encodeIdentity, encodeSegmentHeader } from './segment-header.ts'
import type { SpareFile } from './segment-supply.ts'

export interface SnapshotFile {
  readonly name: string
  /** What of the file counts, from its start. */
  readonly storedBytes: number
  /** How long the file has to be; what is behind `storedBytes` may be zeros. */
  readonly bytes: number
  /** What is in it, where that is not read from the disk. */
  readonly content: Uint8Array | null
}

export interface LogSnapshot {
  readonly directory: string
  readonly files: readonly SnapshotFile[]
  /** The files may change from now on. */
  release(): void
}

interface WhichLog {
  readonly directory: string
  readonly logId: Uint8Array
  readonly pageBytes: number
}

/** Who holds a log, and the files that it does not need any more and they do. */
export class Holds {
  readonly #log: WhichLog
  readonly #give: (spare: SpareFile) => void
  readonly #keptBack: SpareFile[] = []
  #count = 0

  constructor(log: WhichLog, give: (spare: SpareFile) => void) {
    this.#log = log
    this.#give = give
  }

  /** A file may be used again, at once or when nobody holds the log. */
  spare(file: SpareFile): void {
    if (this.#count > 0) this.#keptBack.push(file)
    else this.#give(file)
  }

  /** `segments`: live by what is committed, and those that were begun; in whatever order. */
  hold(segments: readonly LogSegment[]): LogSnapshot {
    let isHeld = true
    this.#count++
    const release = (): void => {
      if (isHeld && --this.#count === 0) for (const spare of this.#keptBack.splice(0)) this.#give(spare)
      isHeld = false
    }
    return { directory: this.#log.directory, files: filesAt(this.#log, segments), release }
  }
}

/**
 * A log in these files opens as one that was interrupted at this moment. Its identity says that it was never closed, since
 * what the real one says may be said anew later, of more than is here.
 */
function filesAt({ logId, pageBytes }: WhichLog, segments: readonly LogSegment[]): SnapshotFile[] {
  const identity = encodeIdentity({ logId, pageBytes, frames: 0, end: 0, chain: 0 })
  const files: SnapshotFile[] = [whole(identityName, identity, identity.length)]
  for (const segment of [...segments].sort((a, b) => a.id - b.id)) {
    const { id, base, span, isSealed, committedEnd } = segment
    if (isSealed) files.push({ name: segmentName(id), storedBytes: span, bytes: span, content: null })
    else if (committedEnd > segmentHeaderBytes)
      files.push({ name: segmentName(id), storedBytes: committedEnd, bytes: span, content: null })
    // A sealed segment needs a successor, even one with nothing in it.
    else files.push(whole(segmentName(id), encodeSegmentHeader({ logId, id, base, span, pageBytes }), span))
    // Behind the first one that is not sealed nothing is committed.
    if (!isSealed) break
  }
  return files
}

function whole(name: string, content: Uint8Array, bytes: number): SnapshotFile {
  return { name, storedBytes: content.length, bytes, content }
}
