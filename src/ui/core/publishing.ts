/** Whether publishers are held back, as everybody may know; asked for by what stands around every page. */
import { signal } from './signal.ts'

export interface Publishing {
  readonly state: 'open' | 'congested' | 'blocked'
  readonly reasons: readonly string[]
  /** Left out for who does not monitor, like what follows. */
  readonly alarms?: readonly { readonly node: string; readonly resource: string }[]
  /** Nodes that should be there, and are not. */
  readonly nodes_away?: readonly string[]
}

/** Null until it is known. */
export const publishing = signal<Publishing | null>(null)

export function isWell(said: Publishing | null): boolean {
  return said !== null && said.reasons.length === 0 && (said.nodes_away ?? []).length === 0
}
