/**
 * Reading a stream's records: of one segment to know its rows again, and of all that has no digest when it is opened.
 */
import type { Log, Position, Segment } from '../../log/log.ts'
import type { Sender, Senders } from '../shard/senders.ts'
import type { OffsetIndex } from './offset-index.ts'
import { digestHeaderBytes, readDigestState, readSummary } from './stream-digest.ts'
import {
  filterBytesOf,
  filterStartOf,
  offsetOf,
  readState,
  type State,
  StreamRecordKind,
  senderOf,
  timestampOf,
} from './stream-records.ts'

/** A message as the index takes it: position, timestamp, and where its filter value is. */
type Row = [position: Position, timestamp: number, buffer: Uint8Array, filterStart: number, filterEnd: number]

export interface StreamVisitor {
  message?(message: { readonly offset: number; readonly row: Row }): void
  state?(state: State): void
  /** Besides `message`. */
  sent?(sender: Sender): void
  origins?(buffer: Uint8Array, start: number): void
  letters?(buffer: Uint8Array, start: number): void
}

/** Visits the records of one segment. Rejects for a kind that this version does not know: nothing is skipped. */
export async function visitStream(log: Log, segment: Segment, visitor: StreamVisitor): Promise<void> {
  await log.replay(segment, (position, buffer, start, end) => {
    switch (buffer[start]) {
      case StreamRecordKind.message:
      case StreamRecordKind.sent: {
        const filterStart = filterStartOf(buffer, start)
        const filterEnd = filterStart < 0 ? -1 : filterStart + filterBytesOf(buffer, start)
        const row: Row = [position, timestampOf(buffer, start), buffer, filterStart, filterEnd]
        visitor.message?.({ offset: offsetOf(buffer, start), row })
        const sender = senderOf(buffer, start)
        if (sender !== null) visitor.sent?.(sender)
        break
      }
      case StreamRecordKind.origins:
        visitor.origins?.(buffer, start)
        break
      case StreamRecordKind.letters:
        visitor.letters?.(buffer, start)
        break
      case StreamRecordKind.state:
        visitor.state?.(readState(buffer, start))
        break
      case StreamRecordKind.bodyChunk:
        break
      default:
        throw new Error(
          `record kind ${buffer[start]} of ${end - start} bytes at position ${position}: this version does not know ` +
            'it; start the version that wrote it',
        )
    }
  })
}

/**
 * Fills the index: from the digests of sealed segments, and from the records of all others; and `senders`, from the records
 * alone, since what digests stand in for is said again behind them. Returns how far named
 * consumers have come; of what is said twice the further place counts, since they only ever go on.
 */
export async function openStream(
  log: Log,
  index: OffsetIndex,
  { senders, id }: { readonly senders: Senders; readonly id: number },
): Promise<Map<string, number>> {
  const places = new Map<string, number>()
  const note = (said: ReadonlyMap<string, number>): void => {
    for (const [name, place] of said) places.set(name, Math.max(place, places.get(name) ?? 0))
  }
  for (const segment of log.segments) {
    const header = segment.isSealed ? await log.readDigest(segment, 0, digestHeaderBytes) : null
    const summary = header === null ? null : readSummary(header)
    if (summary !== null) {
      index.adopt(segment, summary)
      const read = (offset: number, byteLength: number): Promise<Uint8Array | null> =>
        log.readDigest(segment, offset, byteLength)
      note((await readDigestState(summary, read)) ?? places)
      continue
    }
    index.adopt(segment, null)
    await visitStream(log, segment, {
      message: ({ offset, row }) => {
        index.goOnAt(offset)
        index.append(...row)
      },
      state: (state) => {
        index.goOnAt(state.next)
        note(state.places)
      },
      sent: (sender) => senders.stored(sender, id),
      origins: (buffer, start) => senders.origins.read(buffer, start),
      letters: (buffer, start) => senders.letters.read(buffer, start),
    })
  }
  index.committedNext = index.next
  return places
}
