/**
 * Sizes and version of the stored format; `docs/formats/log-frames.md` is its specification byte by byte.
 *
 * When you change the format: raise `formatVersion`, read the version before, save a data directory in `test/formats/`,
 * and change the specification.
 */

export const formatVersion = 1

/**
 * A segment is cut into pages and no frame crosses from one page to the next, so the frames that hold a record are
 * found from the start of its page without an index. A page in memory is the image of a page in the file. The size is
 * kept in each header; other sizes than this one (powers of two from `pageBytesMin`) are for tests.
 */
export const pageBytesDefault = 1024 * 1024
export const pageBytesMin = 16 * 1024

/** The segment header has a 4 KiB sector of its own: writing a frame never rewrites it. */
export const segmentHeaderBytes = 4096

export const frameHeaderBytes = 80
export const frameAlignBytes = 8
/** One entry of the block table: length and CRC-32. */
export const blockEntryBytes = 8
/** A block takes whole records up to this size together, or one larger record. */
export const blockBytesTarget = 16 * 1024
/** Before each record. Its highest bit marks a record of the log itself. */
export const recordHeaderBytes = 4
export const internalRecordFlag = 0x80000000
export const recordLengthMask = 0x7fffffff

/**
 * Kept free at the end of a segment's last page, in bytes: room for the frames that say *closed*, *epoch* and *sealed*,
 * which must always find a place in the segment that they speak of.
 */
export const sealSlackBytes = 512

/** Runs of live segment ids that one record lists: with more, `free` waits until others have gone. */
export const liveRunsMax = 21_000

/** Stored bytes of a version or kind that this program does not know. They are left alone; nothing is skipped. */
export class FormatUnknown extends Error {
  readonly code = 'LOG_FORMAT_UNKNOWN'
}

export function alignUp(offset: number): number {
  return (offset + frameAlignBytes - 1) & ~(frameAlignBytes - 1)
}
