/** How safe messages are on this node: what is stored, how fast, and what the last start found. */
import type { JSX } from 'preact'

export function DurabilityCard(): JSX.Element | null {
  return null
}
