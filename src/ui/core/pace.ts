/** How often what is shown is asked for anew, as the user wants it. */
import { signal } from './signal.ts'

const storageKey = 'warren.refresh'

/** Milliseconds between two requests at least, and 0: none until the user wants one. 1: as each view thinks best. */
export const paces = { live: 1, slow: 30_000, paused: 0 } as const
export type Pace = keyof typeof paces

export const pace = signal<Pace>(paceOf(localStorage.getItem(storageKey)))

/** Times that the user wanted everything anew. */
export const renewals = signal(0)

export function paceOf(kept: string | null): Pace {
  return kept === 'slow' || kept === 'paused' ? kept : 'live'
}

export function choosePace(wanted: Pace): void {
  localStorage.setItem(storageKey, wanted)
  pace.value = wanted
}
