import type { StoredRecord } from '../topology/live-records.ts'

/** Somebody who may log in. What they may do where is in the vhosts' permissions. */
export class User {
  readonly kind = 'user'
  readonly id: number
  readonly name: string
  /** What is kept of the password (`password-hash.ts`). */
  passwordHash: string
  tags: readonly string[]
  /** The weaker hash of the same password that was kept before, for logins that were under way; null: none. */
  upgradedFrom: string | null = null
  /** Ids of this user's permissions in all vhosts; they go with the user. */
  readonly permissions = new Set<number>()
  /** Null: none. */
  limits: UserLimits | null = null
  stored: StoredRecord | null = null

  constructor(id: number, name: string, passwordHash: string, tags: readonly string[]) {
    this.id = id
    this.name = name
    this.passwordHash = passwordHash
    this.tags = tags
  }
}

/** How much one user may have at once; null: no limit. 0 lets the user not in. */
export interface UserLimits {
  readonly kind: 'user-limits'
  readonly id: number
  readonly user: number
  readonly maxConnections: number | null
  /** In all connections together. */
  readonly maxChannels: number | null
  stored: StoredRecord | null
}
