/**
 * What all nodes need and any may make, made by one at a time. Two that make streams at once may be given more room
 * together than servers have, and servers then refuse every change, also to less.
 */
import type { Clock } from '../base/clock.ts'
import { pause } from './membership/pause.ts'

export interface MadeInTurn {
  readonly clock: Clock
  /** Ends the waiting: it then rejects. */
  readonly signal: AbortSignal
  readonly names: readonly string[]
  /** Of those, and perhaps others, what is there by now. */
  there(): Promise<readonly string[]>
  /** Whether it is this node's turn: nobody who is there has come before it. */
  isFirst(): boolean
  make(missing: ReadonlySet<string>): Promise<void>
}

const lookMs = 250
/** How long the first may make nothing before others do it, in milliseconds. */
export const idleMsMax = 10_000

/** Resolves when all is there. Rejects with what asking or making does. */
export async function makeInTurn({ clock, signal, names, there, isFirst, make }: MadeInTurn): Promise<void> {
  let least = Number.POSITIVE_INFINITY
  let idleSince = clock.monotonic()
  for (;;) {
    const found = new Set(await there())
    const missing = new Set(names.filter((name) => !found.has(name)))
    if (missing.size < least) {
      least = missing.size
      idleSince = clock.monotonic()
    }
    if (missing.size === 0) return
    if (isFirst() || clock.monotonic() - idleSince >= idleMsMax) return await make(missing)
    await pause(clock, lookMs, signal)
  }
}
