/**
 * What a stop in good order writes down: for each durable queue from which anything was sent, exactly which of its
 * entries were. After it the sent mark is 0, so that everything else goes out as new.
 */
import type { Log, Position } from '../../log/log.ts'
import { EntryFlag } from '../queue/entry-chunk.ts'
import type { LocalQueue } from '../queue/local-queue.ts'
import { queueStateBytes, queueStates, writeQueueState } from './queue-state.ts'

/** With more ranges than this the mark stays: it overstates, but it is one number. */
const rangesMax = 8_000

export function writeCleanStates(
  log: Log,
  queues: Iterable<LocalQueue>,
  touch: (queue: LocalQueue, position: Position) => void,
): void {
  for (const queue of queues) {
    if (!queue.isDurable || (queue.sentReserved === 0 && queue.maybeSentBelow === 0 && queue.flaggedBelow === 0))
      continue
    const ranges = sentRanges(queue)
    const isExact = ranges.length <= rangesMax * 2
    const mark = isExact ? 0 : (ranges[ranges.length - 1] ?? 0) + 1
    for (const state of queueStates(queue, mark, isExact ? ranges : [])) {
      const at = log.reserve(queueStateBytes(state))
      writeQueueState(log.buffer, at, state)
      touch(queue, log.appended)
    }
  }
}

/** First and last of each run of live durable entries that were sent at least once. */
function sentRanges(queue: LocalQueue): number[] {
  const ranges: number[] = []
  const head = queue.entries.head()
  if (head < queue.maybeSentBelow) ranges.push(head, queue.maybeSentBelow - 1)
  for (const chunk of queue.entries.chunks()) {
    if (chunk.isAway) continue
    for (let slot = 0; slot < chunk.flags.length; slot++) {
      const sequence = chunk.base + slot
      const flags = chunk.flags[slot] as number
      const wasSent = (flags & (EntryFlag.unacked | EntryFlag.redelivered)) !== 0 && (flags & EntryFlag.transient) === 0
      if (wasSent && sequence >= queue.maybeSentBelow) extend(ranges, sequence)
    }
  }
  return ranges
}

function extend(ranges: number[], sequence: number): void {
  if (ranges[ranges.length - 1] === sequence - 1) ranges[ranges.length - 1] = sequence
  else ranges.push(sequence, sequence)
}
