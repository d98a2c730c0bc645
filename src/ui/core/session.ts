/**
 * Who is logged in, and what proves it to the API.
 *
 * The API takes HTTP Basic and keeps no sessions, so the page has to say name and password with each request. They are
 * held in this module's memory and are gone with the page; never in an address, a cookie or lasting storage. Only who
 * asks for it ("stay logged in in this tab") has them in `sessionStorage`, which no other tab or site reads and which ends
 * with the tab. The page's policy lets no foreign script run that could read either.
 */
import { signal } from './signal.ts'

export interface User {
  readonly name: string
  readonly tags: readonly string[]
}

/** Null: nobody; the page shows its login. */
export const user = signal<User | null>(null)
/** The server refused what had been right before: the password was changed, or the user deleted. */
export const wasEnded = signal(false)

const storageKey = 'warren.login'
let authorization: string | null = null

export function authorizationHeader(): string | null {
  return authorization
}

/** HTTP Basic (RFC 7617), in UTF-8. */
export function basicOf(name: string, password: string): string {
  const bytes = new TextEncoder().encode(`${name}:${password}`)
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`
}

export function begin(who: User, header: string, staysInTab: boolean): void {
  authorization = header
  if (staysInTab) sessionStorage.setItem(storageKey, header)
  wasEnded.value = false
  user.value = who
}

export function end(byServer = false): void {
  authorization = null
  sessionStorage.removeItem(storageKey)
  wasEnded.value = byServer
  user.value = null
}

/** What this tab was asked to keep. */
export function keptHeader(): string | null {
  return sessionStorage.getItem(storageKey)
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
