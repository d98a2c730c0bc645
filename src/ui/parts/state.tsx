/** States as the broker calls them, in the user's language where they are known. */
import type { JSX } from 'preact'
import { visible } from '../core/format.ts'
import { type Key, t } from '../core/language.ts'
import { Chip } from './card.tsx'

const words: Readonly<Record<string, Key>> = {
  running: 'running',
  starting: 'starting',
  draining: 'draining',
  waiting: 'waiting',
  blocked: 'stateBlocked',
  blocking: 'stateBlocked',
  flow: 'stateFlow',
  disabled: 'disabled',
  done: 'stateDone',
  stopped: 'stateStopped',
  failed: 'stateFailed',
}

export function State({ of }: { of: string }): JSX.Element {
  const word = Object.hasOwn(words, of) ? words[of] : undefined
  const kind = of === 'running' || of === 'done' ? 'good' : of === 'failed' ? 'bad' : 'warn'
  return <Chip kind={kind}>{word === undefined ? visible(of) : t(word)}</Chip>
}
