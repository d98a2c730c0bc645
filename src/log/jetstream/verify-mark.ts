/** Holds a frame that others know to be committed against what a log holds. */
import { LogWentBack } from '../log.ts'
import type { LocalCopy } from './local-copy.ts'
import type { FrameMark } from './replica.ts'
import { chainIn } from './segment-frames.ts'
import type { StreamTail } from './stream-tail.ts'

export interface MarkedLog {
  readonly tail: StreamTail
  readonly copy: LocalCopy
  readonly name: string
}

export function lastMark({ walk }: StreamTail): FrameMark {
  return walk.isStarted ? { ordinal: walk.ordinal, chain: walk.chain } : { ordinal: -1, chain: 0 }
}

/** Throws `LogWentBack` when the log does not have the frame. One that has been trimmed is not looked for. */
export async function verifyMark({ tail, copy, name }: MarkedLog, mark: FrameMark): Promise<void> {
  const last = lastMark(tail)
  if (mark.ordinal > last.ordinal) {
    throw new LogWentBack(
      `log '${name}' ends with frame ${last.ordinal}, and frame ${mark.ordinal} was once committed: its stream has lost its end`,
    )
  }
  const chain = mark.ordinal === last.ordinal ? last.chain : await chainAt({ tail, copy }, mark.ordinal)
  if (chain === null || chain === mark.chain) return
  throw new LogWentBack(
    `log '${name}' holds another frame ${mark.ordinal} than the one that was once committed: its stream has lost an end`,
  )
}

async function chainAt({ tail, copy }: Omit<MarkedLog, 'name'>, ordinal: number): Promise<number | null> {
  const remembered = tail.marks.chainAt(ordinal)
  if (ordinal < 0 || remembered !== null) return remembered
  const { files, directory } = copy
  for (const segment of tail.segments.toReversed()) {
    if (copy.missing.has(segment.id)) continue
    const end = segment === tail.open ? tail.end : segment.span
    const chain = await chainIn({ files, directory, logId: tail.logId }, segment, end, ordinal)
    if (chain !== null) return chain
  }
  return null
}
