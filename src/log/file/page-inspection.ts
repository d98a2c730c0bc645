/**
 * Takes a page of a segment apart without trusting any of it: intact frames, what is wrong inside others, and the bytes
 * between. For fsck and repair, which go on behind damage where everybody else stops.
 */
import { blockEntryBytes, frameHeaderBytes } from './format.ts'
import { decodeFrameHeader, FrameHeader, type FramePlace, findFrame, isBlockIntact, isTableIntact } from './frame.ts'

export type PageItem =
  | {
      readonly kind: 'frame'
      readonly at: number
      readonly header: FrameHeader
      /** False when nothing is known of its blocks. */
      readonly isTableIntact: boolean
      readonly badBlocks: readonly Block[]
    }
  /** Bytes before the next intact frame header that belong to no frame we know. */
  | { readonly kind: 'gap'; readonly at: number; readonly end: number }

export interface Block {
  /** Offset of its entry in the block table. */
  readonly entry: number
  readonly start: number
  readonly end: number
}

export interface PageInspection {
  readonly items: readonly PageItem[]
  /** Offset behind the last frame whose header is intact. What follows is unused, or a damaged end. */
  readonly end: number
}

export function inspectPage(place: FramePlace, from: number, end: number): PageInspection {
  const items: PageItem[] = []
  let at = from
  for (;;) {
    const header = new FrameHeader()
    if (!decodeFrameHeader(place, at, end, header)) {
      const next = findFrame(place, at, end, header)
      if (next < 0) return { items, end: at }
      items.push({ kind: 'gap', at, end: next })
      at = next
    }
    const isIntact = isTableIntact(place, at, header)
    items.push({
      kind: 'frame',
      at,
      header,
      isTableIntact: isIntact,
      badBlocks: isIntact ? badBlocksOf(place, at, header) : [],
    })
    at += header.bytes
  }
}

function badBlocksOf(place: FramePlace, at: number, header: FrameHeader): Block[] {
  const bad: Block[] = []
  let start = at + frameHeaderBytes
  let entry = start + header.payloadBytes
  for (let block = 0; block < header.blocks; block++, entry += blockEntryBytes) {
    const end = start + place.view.getUint32(entry, true)
    if (!isBlockIntact(place, entry, start)) bad.push({ entry, start, end })
    start = end
  }
  return bad
}

/** True when the block that begins at `start` is one of the bad ones. */
export function isBad(badBlocks: readonly Block[], start: number): boolean {
  return badBlocks.some((block) => block.start === start)
}
