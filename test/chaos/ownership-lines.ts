/** Judges the nodes' journals of ownership: at no time may two nodes serve a shard. All of one machine, so with one clock. */
import type { OwnershipLine } from '../../src/cluster/membership/ownership-journal.ts'

interface Span {
  readonly shard: string
  readonly who: string
  readonly from: number
  readonly to: number
}

const begins: ReadonlySet<string> = new Set(['opened', 'resumed'])
const ends: ReadonlySet<string> = new Set(['held', 'closed', 'abandoned', 'deposed', 'failed', 'released'])

/**
 * Sentences, one for each pair of spans that overlap. A node that was killed says nothing of its end: its last span ends
 * with its last line. What a frozen node served ends when it says so, or is fenced by its log; its journal cannot tell.
 */
export function overlapsIn(journals: readonly string[]): string[] {
  const spans = journals.flatMap(spansOf)
  const found: string[] = []
  for (const [index, one] of spans.entries()) {
    for (const other of spans.slice(index + 1)) {
      if (one.shard !== other.shard || one.who === other.who) continue
      if (one.from < other.to && other.from < one.to) {
        found.push(`${one.shard}: ${one.who} ${one.from}–${one.to} and ${other.who} ${other.from}–${other.to}`)
      }
    }
  }
  return found
}

function spansOf(journal: string): Span[] {
  const spans: Span[] = []
  const open = new Map<string, OwnershipLine>()
  const lines = journal.split('\n').filter((line) => line !== '')
  for (const text of lines) {
    const line: OwnershipLine = JSON.parse(text)
    const began = open.get(line.shard)
    if (began !== undefined && (ends.has(line.event) || began.incarnation !== line.incarnation)) {
      open.delete(line.shard)
      if (began.incarnation === line.incarnation) spans.push(spanOf(began, line.at))
    }
    if (begins.has(line.event)) open.set(line.shard, line)
  }
  return spans
}

function spanOf({ shard, node, incarnation, at }: OwnershipLine, to: number): Span {
  return { shard, who: `${node}/${incarnation}`, from: at, to }
}
