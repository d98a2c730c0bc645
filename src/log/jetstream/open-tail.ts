/**
 * Finds how far a replica's directory and the stream are the same log, before anything is read from the stream.
 *
 * What the directory holds was committed. So a stream that does not have it, or has something else there, has lost what it
 * had promised to keep; that is not mended by forgetting the only copy.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { LogWentBack } from '../log.ts'
import type { FrameStream, StreamFrame, StreamState } from './frame-stream.ts'
import type { LocalCopy } from './local-copy.ts'
import type { StreamTail } from './stream-tail.ts'

export interface OpenTailOptions {
  readonly stream: FrameStream
  readonly tail: StreamTail
  readonly copy: LocalCopy
  readonly clock: Clock
  readonly logger: Logger
  readonly name: string
  /** A directory that misses anything is read again from the stream as a whole. */
  readonly isWholeWanted: boolean
}

/** A frame that should be there is looked for so long, in milliseconds: a server may lag behind until the next election. */
const lookMs = 30_000
const pauseMs = 250

/** Brings `tail` to where reading the stream goes on. Rejects with `LogWentBack`, or when nobody answers. */
export async function openTail(options: OpenTailOptions): Promise<void> {
  const { stream, tail, copy, logger, name, isWholeWanted } = options
  const state = await copy.open(tail.marks)
  const streamState = await stream.state()
  const isOutrun = state !== null && state.sequence + 1 < streamState.first
  if (state !== null && !isOutrun && !(isWholeWanted && copy.missing.size > 0)) {
    if (state.frameSequence >= streamState.first) await checkStillThere(options, state)
    tail.restore(state)
    await copy.keepOnly(state.segments)
    return
  }
  if (state !== null)
    logger.info({ log: name, isOutrun }, 'the local copy is of no use; the log is read from its stream')
  await copy.discard()
  tail.marks.clear()
  tail.sequence = streamState.first - 1
}

interface LastFrame {
  readonly frameSequence: number
  readonly ordinal: number
  readonly chain: number
}

async function checkStillThere(options: OpenTailOptions, last: LastFrame): Promise<void> {
  const { tail, copy, name } = options
  const found = await look(options, last.frameSequence)
  if (found === 'trimmed') return
  if (found !== null) {
    const { ordinal, chain } = tail.describe(found)
    if (ordinal === last.ordinal && chain === last.chain) return
  }
  const what = found === null ? 'is not there' : 'is another one'
  throw new LogWentBack(
    `log '${name}': frame ${last.ordinal} was committed at sequence ${last.frameSequence} of its stream and ${what}; ${copy.directory} has it. ` +
      'Remove that directory to go on with what the stream has.',
  )
}

/** "Not there" proves nothing when whoever answered lags behind, so it is asked again for a while. */
async function look({ stream, clock }: OpenTailOptions, sequence: number): Promise<StreamFrame | 'trimmed' | null> {
  const deadline = clock.monotonic() + lookMs
  for (;;) {
    const found = await stream.read(sequence)
    if (found !== null) return found
    const { first }: StreamState = await stream.state()
    if (first > sequence) return 'trimmed'
    if (clock.monotonic() >= deadline) return null
    await new Promise<void>((resolve) => clock.after(pauseMs, resolve))
  }
}
