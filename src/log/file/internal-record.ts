/**
 * Records that the log writes for itself. `replay` never shows them to a visitor.
 *
 * epoch     an owner has opened the log; its frame is the first of the epoch
 * segments  which segments are live; in the first frame of each segment, with the owner's term
 * freed     a segment is no longer live; its file is touched only after this record is committed
 * sealed    the segment ends here; stored only once the next segment's file exists
 * closed    everything before is synced and nothing follows in this epoch
 * lost      stands where a repair found nothing intact; also any record shorter than its kind
 *
 * When you add a kind: give it the next number, add it to `decode`, to fsck, and to the specification.
 */
import { readUint64, viewOf, writeUint64 } from './byte-codec.ts'
import { FormatUnknown } from './format.ts'

export type InternalRecord =
  | { readonly kind: 'epoch'; readonly term: number; readonly nonce: Uint8Array; readonly openedMs: number }
  | { readonly kind: 'segments'; readonly term: number; readonly live: readonly Run[] }
  | { readonly kind: 'freed'; readonly segment: number }
  | { readonly kind: 'sealed'; readonly next: number }
  | { readonly kind: 'closed' }
  | { readonly kind: 'lost' }

/** The ids `first … first + count - 1`. */
export interface Run {
  readonly first: number
  readonly count: number
}

const codes = { epoch: 1, segments: 2, freed: 3, sealed: 4, closed: 5, lost: 6 } as const
export const lostCode = codes.lost
const runsOffset = 12
const runBytes = 12
export const nonceBytes = 8

export function encodeInternal(record: InternalRecord): Uint8Array {
  const bytes = new Uint8Array(encodedBytes(record))
  const view = viewOf(bytes)
  view.setUint32(0, codes[record.kind], true)
  switch (record.kind) {
    case 'epoch':
      writeUint64(view, 4, record.term)
      bytes.set(record.nonce, 12)
      writeUint64(view, 20, record.openedMs)
      break
    case 'segments':
      writeUint64(view, 4, record.term)
      record.live.forEach((run, index) => {
        writeUint64(view, runsOffset + index * runBytes, run.first)
        view.setUint32(runsOffset + 8 + index * runBytes, run.count, true)
      })
      break
    case 'freed':
      writeUint64(view, 4, record.segment)
      break
    case 'sealed':
      writeUint64(view, 4, record.next)
      break
    case 'closed':
    case 'lost':
      break
  }
  return bytes
}

function encodedBytes(record: InternalRecord): number {
  switch (record.kind) {
    case 'epoch':
      return 28
    case 'segments':
      return runsOffset + record.live.length * runBytes
    case 'freed':
    case 'sealed':
      return 12
    case 'closed':
    case 'lost':
      return 4
  }
}

/** The bytes have passed their block's check, so a kind that is not known was written by another version. */
export function decodeInternal(bytes: Uint8Array): InternalRecord {
  const view = viewOf(bytes)
  const code = bytes.byteLength >= 4 ? view.getUint32(0, true) : codes.lost
  switch (code) {
    case codes.epoch:
      return { kind: 'epoch', term: readUint64(view, 4), nonce: bytes.slice(12, 20), openedMs: readUint64(view, 20) }
    case codes.segments:
      return { kind: 'segments', term: readUint64(view, 4), live: decodeRuns(view) }
    case codes.freed:
      return { kind: 'freed', segment: readUint64(view, 4) }
    case codes.sealed:
      return { kind: 'sealed', next: readUint64(view, 4) }
    case codes.closed:
      return { kind: 'closed' }
    case codes.lost:
      return { kind: 'lost' }
    default:
      throw new FormatUnknown(`the log holds an internal record of kind ${code}, which this program does not know`)
  }
}

function decodeRuns(view: DataView): Run[] {
  const runs: Run[] = []
  for (let at = runsOffset; at + runBytes <= view.byteLength; at += runBytes) {
    runs.push({ first: readUint64(view, at), count: view.getUint32(at + 8, true) })
  }
  return runs
}

/** The runs of ids that rise. */
export function runsOf(ids: Iterable<number>): Run[] {
  const runs: { first: number; count: number }[] = []
  let last = runs[0]
  for (const id of ids) {
    if (last !== undefined && id === last.first + last.count) last.count++
    else {
      last = { first: id, count: 1 }
      runs.push(last)
    }
  }
  return runs
}

export function idsOf(runs: readonly Run[]): Set<number> {
  const ids = new Set<number>()
  for (const { first, count } of runs) {
    for (let id = first; id < first + count; id++) ids.add(id)
  }
  return ids
}
