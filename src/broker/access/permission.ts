import type { StoredRecord } from '../topology/live-records.ts'
import { Pattern, patternLengthMax } from './pattern.ts'

/** The three things that can be done to a queue or an exchange. */
export type Right = 'configure' | 'write' | 'read'

/** What one user may do in one vhost. A user without a row may not even open the vhost. */
export class Permission {
  readonly kind = 'permission'
  readonly id: number
  readonly vhost: number
  readonly user: number
  readonly username: string
  readonly configure: Pattern
  readonly write: Pattern
  readonly read: Pattern
  stored: StoredRecord | null = null

  constructor(owner: PermissionOwner, patterns: { configure: string; write: string; read: string }) {
    this.id = owner.id
    this.vhost = owner.vhost
    this.user = owner.user
    this.username = owner.username
    this.configure = new Pattern(patterns.configure)
    this.write = new Pattern(patterns.write)
    this.read = new Pattern(patterns.read)
  }
}

/** What one user may write to and read from one topic exchange, by routing key. */
export class TopicPermission {
  readonly kind = 'topic-permission'
  readonly id: number
  readonly vhost: number
  readonly user: number
  readonly username: string
  readonly exchange: string
  readonly writeText: string
  readonly readText: string
  stored: StoredRecord | null = null
  #write: Pattern | null = null
  #read: Pattern | null = null

  constructor(owner: PermissionOwner & { exchange: string }, patterns: { write: string; read: string }) {
    this.id = owner.id
    this.vhost = owner.vhost
    this.user = owner.user
    this.username = owner.username
    this.exchange = owner.exchange
    this.writeText = patterns.write
    this.readText = patterns.read
  }

  allows(right: 'write' | 'read', key: string, vhostName: string): boolean {
    this.#write ??= this.#pattern(this.writeText, vhostName)
    this.#read ??= this.#pattern(this.readText, vhostName)
    return (right === 'write' ? this.#write : this.#read).matches(key)
  }

  /** `{username}` and `{vhost}` stand for the names themselves: whatever is in them matches literally. */
  #pattern(text: string, vhostName: string): Pattern {
    const values: Record<string, string> = { '{username}': this.username, '{vhost}': vhostName }
    const filled = text.replaceAll(/\{username\}|\{vhost\}/g, (variable) => escaped(values[variable] ?? ''))
    return new Pattern(filled, text.length > patternLengthMax ? 0 : filledLengthMax)
  }
}

export interface PermissionOwner {
  readonly id: number
  readonly vhost: number
  readonly user: number
  readonly username: string
}

/** Longest topic pattern once its variables are filled in, in UTF-16 units. */
const filledLengthMax = 8 * 1024

/** `-` too: it means a range when the pattern puts the variable into a class. */
function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
