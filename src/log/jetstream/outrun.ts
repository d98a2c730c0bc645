/** A reader that is so far behind that the stream was trimmed beyond it: it has to read the log anew. */
import { LogFailed } from '../log.ts'
import type { FrameStream } from './frame-stream.ts'
import type { StreamTail } from './stream-tail.ts'

export class LogOutrun extends LogFailed {
  constructor(name: string, next: number, first: number) {
    super(`log '${name}': frames ${next} to ${first - 1} of its stream were trimmed before they were read`)
  }
}

/**
 * Throws `LogOutrun` where the frame behind `tail` was trimmed: it is "not there" then and never will be. Rejects when nobody
 * answers. Whoever answers may lag behind, and then says less than is true, never more: what is trimmed stays so.
 */
export async function checkNotOutrun(stream: FrameStream, tail: StreamTail, name: string): Promise<void> {
  const next = tail.sequence + 1
  const { first } = await stream.state()
  if (first > next) throw new LogOutrun(name, next, first)
}
