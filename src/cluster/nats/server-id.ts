/**
 * By which id the JetStream group of NATS knows a server: eight characters, made of its name. A server that was restarted
 * knows of others it has not met since no more than that, and tells it in place of the name.
 */
import { createHash } from 'node:crypto'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const idLength = 8
const placeholder = /^Server name unknown at this time \(peerID: (\w+)\)$/

export function serverIdOf(name: string): string {
  const bytes = createHash('sha256').update(name).digest().subarray(0, idLength)
  return [...bytes].map((byte) => digits[byte % digits.length]).join('')
}

/** The id in what is told in place of a name; null when it is a name. */
export function idInstead(name: string): string | null {
  return placeholder.exec(name)?.[1] ?? null
}

/** `told`, or which of `known` it stands for. */
export function nameOf(told: string, known: readonly string[]): string {
  const id = idInstead(told)
  if (id === null) return told
  return known.find((name) => serverIdOf(name) === id) ?? told
}
