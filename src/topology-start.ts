/**
 * A start that waits until the node knows what exists. It goes on for as long as others may come, and ends with a sentence
 * when the topology's log can never be followed as things are, or nobody wants the node any more.
 */
import { accountRefusal, cannotStore } from './cluster/nats/refusals.ts'
import { StreamUnfit } from './log/jetstream/frame-stream.ts'
import { LogWentBack } from './log/log.ts'
import { StartError } from './start-error.ts'

export class TopologyStart {
  #end: (error: StartError) => void = () => {}
  readonly #ended: Promise<never>

  constructor() {
    this.#ended = new Promise((_, reject) => {
      this.#end = reject
    })
    this.#ended.catch(() => undefined)
  }

  /** Passes `followed` on. The start ends when it rejects for what trying again does not mend: the others may do without the rest. */
  async following(followed: Promise<void>): Promise<void> {
    try {
      await followed
    } catch (error) {
      const sentence = sentenceOf(error)
      if (sentence !== null) this.#end(sentence)
      throw error
    }
  }

  /** Resolves with `ready`. Rejects with `StartError` when it will never be, or is not wanted. */
  async until(ready: Promise<void>, stopAsked?: AbortSignal): Promise<void> {
    const stopped = (): void =>
      this.#end(new StartError('cluster', 'the node was stopped while it waited for the others'))
    if (stopAsked?.aborted) stopped()
    else stopAsked?.addEventListener('abort', stopped, { once: true })
    try {
      await Promise.race([ready, this.#ended])
    } finally {
      stopAsked?.removeEventListener('abort', stopped)
    }
  }
}

/** Null when it may pass. */
function sentenceOf(error: unknown): StartError | null {
  if (error instanceof LogWentBack) return new StartError('data-directory', error.message, error)
  if (error instanceof StreamUnfit) return cannotStore(error, error.message)
  return accountRefusal(error) === null ? null : cannotStore(error)
}
