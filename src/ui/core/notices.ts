/** What has been done, or could not be: one line at a time, said to screen readers too. */

import { ApiFailure } from './api.ts'
import { t } from './language.ts'
import { signal } from './signal.ts'
import { after } from './time.ts'

export interface Notice {
  readonly kind: 'done' | 'failed'
  readonly text: string
  readonly undo?: () => void
}

export const notice = signal<Notice | null>(null)

const showMs = 6_000
const showWithUndoMs = 6_500
let cancel: () => void = () => {}

export function say(shown: Notice): void {
  cancel()
  notice.value = shown
  // A failure stays until it is closed.
  if (shown.kind === 'failed') return
  cancel = after(shown.undo === undefined ? showMs : showWithUndoMs, () => {
    notice.value = null
  })
}

export function close(): void {
  cancel()
  notice.value = null
}

/** Does something the user asked for, and says how it went. False when it failed. */
export async function attempt(work: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await work()
    say({ kind: 'done', text: done })
    return true
  } catch (error) {
    say({ kind: 'failed', text: sentenceOf(error) })
    return false
  }
}

export function sentenceOf(error: unknown): string {
  if (error instanceof ApiFailure && error.status === 0) return t('noAnswer', { reason: error.message })
  return error instanceof Error ? error.message : String(error)
}

const undoMs = 6_000
let pending: (() => void) | null = null

/** Does something only after a while in which the user may take it back; at once when something else follows. */
export function undoable(text: string, work: () => Promise<unknown>, done: string): void {
  pending?.()
  const go = (): void => {
    stop()
    pending = null
    void attempt(work, done)
  }
  const stop = after(undoMs, go)
  pending = go
  say({
    kind: 'done',
    text,
    undo: () => {
      stop()
      pending = null
      close()
    },
  })
}
