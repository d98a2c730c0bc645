/**
 * Who is logged in. What proves it to the API is a cookie that no script can read; the page keeps no password.
 */
import { signal } from './signal.ts'

export interface User {
  readonly name: string
  readonly tags: readonly string[]
}

/** Null: nobody; the page shows its login. */
export const user = signal<User | null>(null)
/** The server knows the session no more: it was not used, or the password was changed, or the user deleted. */
export const wasEnded = signal(false)

export function begin(who: User): void {
  wasEnded.value = false
  user.value = who
}

export function end(byServer = false): void {
  // Of several refusals the first one says it.
  if (byServer && user.value === null) return
  wasEnded.value = byServer
  user.value = null
}

const tagsOf = {
  policymaker: ['policymaker', 'administrator'],
  monitoring: ['monitoring', 'administrator'],
  administrator: ['administrator'],
} as const

/** What the page shows; what may really be done is the broker's to decide. */
export function mayBe(level: keyof typeof tagsOf): boolean {
  const tags = user.value?.tags ?? []
  return tagsOf[level].some((tag) => tags.includes(tag))
}
