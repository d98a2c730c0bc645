/**
 * A start that waits until the node knows what exists. It goes on for as long as others may come, and ends with a sentence
 * when the topology's log can never be followed as things are, or nobody wants the node any more.
 */
import { cannotStore } from './cluster/nats/refusals.ts'
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

  /** Passes `followed` on. When it rejects, trying again would not mend it. */
  async following(followed: Promise<void>): Promise<void> {
    try {
      await followed
    } catch (error) {
      this.#end(sentenceOf(error))
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

function sentenceOf(error: unknown): StartError {
  return error instanceof LogWentBack ? new StartError('data-directory', error.message, error) : cannotStore(error)
}
