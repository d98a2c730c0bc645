/** Frames of a replica's own segment files: walked from the segment's first one, and found by their ordinal. */
import type { Files } from '../../base/files.ts'
import { viewOf } from '../file/byte-codec.ts'
import { segmentHeaderBytes } from '../file/format.ts'
import { decodeFrameHeader, FrameHeader, type FramePlace } from '../file/frame.ts'
import { FrameWalk } from '../file/frame-walk.ts'
import { segmentName } from '../file/segment.ts'
import type { FrameMarks } from './frame-marks.ts'
import type { SegmentPlace } from './frame-stream.ts'

export interface SegmentFramesOptions {
  readonly files: Files
  readonly directory: string
  readonly logId: Uint8Array
}

/** Checks all frames up to the file offset `end`, wholly; returns where the chain of intact ones ends. */
export async function walkSegment(
  options: SegmentFramesOptions,
  segment: SegmentPlace,
  end: number,
  marks: FrameMarks,
): Promise<FrameWalk> {
  const walk = new FrameWalk()
  await eachPage(options, segment, end, (place, from, to) => {
    for (let at = from; at < to && walk.step(place, at, to) === 'intact'; at += walk.header.bytes) {
      marks.add(walk.ordinal, walk.chain)
    }
    return true
  })
  return walk
}

/** The chain of the frame with an ordinal; null when it is not in this segment. Its payload is not looked at. */
export async function chainIn(
  options: SegmentFramesOptions,
  segment: SegmentPlace,
  end: number,
  ordinal: number,
): Promise<number | null> {
  const header = new FrameHeader()
  let chain: number | null = null
  await eachPage(options, segment, end, (place, from, to) => {
    for (let at = from; at < to && decodeFrameHeader(place, at, to, header); at += header.bytes) {
      if (header.ordinal === ordinal) chain = header.chain
      if (header.ordinal >= ordinal) return false
    }
    return true
  })
  return chain
}

async function eachPage(
  { files, directory, logId }: SegmentFramesOptions,
  { id, base, pageBytes }: SegmentPlace,
  end: number,
  visit: (place: FramePlace, from: number, to: number) => boolean,
): Promise<void> {
  const file = await files.open(`${directory}/${segmentName(id)}`, 'read')
  try {
    const bytes = new Uint8Array(pageBytes)
    const view = viewOf(bytes)
    for (let offset = 0; offset < end; offset += pageBytes) {
      const count = await file.read(bytes, 0, Math.min(pageBytes, end - offset), offset)
      bytes.fill(0, count)
      if (!visit({ bytes, view, position: base + offset, logId }, offset === 0 ? segmentHeaderBytes : 0, count)) return
    }
  } finally {
    await file.close()
  }
}
