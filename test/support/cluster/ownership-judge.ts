/**
 * Reads the ownership journals of all nodes and says whether two of them ever served a shard at once. It takes nothing
 * from the code that writes them but the form of a line.
 */
import type { OwnershipLine } from '../../../src/cluster/membership/ownership-journal.ts'

/** A process that was ended from outside, and so wrote no last line. */
export interface ProcessEnd {
  readonly incarnation: number
  /** Wall time in milliseconds. */
  readonly at: number
}

interface Interval {
  readonly node: string
  readonly incarnation: number
  readonly epoch: number
  readonly from: number
  readonly until: number
}

const begins: ReadonlySet<string> = new Set(['opened', 'resumed'])
const ends: ReadonlySet<string> = new Set(['held', 'closed', 'abandoned', 'deposed', 'failed'])

export interface Allowed {
  /** Two nodes may serve a shard for so long, in milliseconds. Default 0. */
  readonly overlapMsMax?: number
  /** Leases were set back by hand: an epoch may be given twice, since only the log knows that it was. It is served once. */
  readonly areSetBack?: boolean
}

/** Sentences; empty when all is well. */
export function judgeOwnership(
  lines: readonly string[],
  killed: readonly ProcessEnd[],
  { overlapMsMax = 0, areSetBack = false }: Allowed = {},
): string[] {
  const found: string[] = []
  const byShard = new Map<string, OwnershipLine[]>()
  for (const text of lines) {
    const line: OwnershipLine = JSON.parse(text)
    const ofShard = byShard.get(line.shard) ?? []
    ofShard.push(line)
    byShard.set(line.shard, ofShard)
  }
  for (const [shard, ofShard] of byShard) {
    found.push(...overlaps(shard, intervalsOf(ofShard, killed), overlapMsMax))
    found.push(...epochsTwice(shard, ofShard, areSetBack ? 'opened' : 'acquired'))
  }
  return found
}

function intervalsOf(lines: readonly OwnershipLine[], killed: readonly ProcessEnd[]): Interval[] {
  const intervals: Interval[] = []
  const open = new Map<number, OwnershipLine>()
  const close = (line: OwnershipLine, until: number) => {
    open.delete(line.incarnation)
    const { node, incarnation, epoch, at: from } = line
    if (until > from) intervals.push({ node, incarnation, epoch, from, until })
  }
  for (const line of lines) {
    const begun = open.get(line.incarnation)
    if (ends.has(line.event) && begun !== undefined) close(begun, line.since ?? line.at)
    if (begins.has(line.event)) open.set(line.incarnation, line)
  }
  for (const [incarnation, begun] of [...open]) {
    close(begun, killed.find((end) => end.incarnation === incarnation)?.at ?? Number.POSITIVE_INFINITY)
  }
  return intervals.sort((one, other) => one.from - other.from)
}

function overlaps(shard: string, intervals: readonly Interval[], overlapMsMax: number): string[] {
  const found: string[] = []
  let last: Interval | null = null
  for (const interval of intervals) {
    const overlapMs = last === null ? 0 : Math.min(last.until, interval.until) - interval.from
    if (last !== null && overlapMs > overlapMsMax && interval.incarnation !== last.incarnation) {
      found.push(`shard ${shard} was served twice: ${JSON.stringify(last)} and ${JSON.stringify(interval)}`)
    }
    if (last === null || interval.until > last.until) last = interval
  }
  return found
}

function epochsTwice(shard: string, lines: readonly OwnershipLine[], what: 'acquired' | 'opened'): string[] {
  const found: string[] = []
  const epochs = new Set<number>()
  for (const { event, epoch } of lines) {
    if (event !== what) continue
    if (epochs.has(epoch)) found.push(`epoch ${epoch} of shard ${shard} was ${what} twice`)
    epochs.add(epoch)
  }
  return found
}
