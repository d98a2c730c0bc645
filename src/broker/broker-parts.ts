import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { ThrottleLimits } from './access/login-throttle.ts'
import type { PasswordVerifier } from './access/password-hash.ts'
import type { TokenVerifier } from './access/tokens.ts'
import type { Topology } from './topology/topology.ts'
import type { TopologyAuthority } from './topology-authority.ts'

/** Who is let in, and what is written down of it. */
export interface AccessParts {
  /** Where logins are written down; default: `logger`. */
  readonly audit?: Logger
  /** Default: tokens are not taken. */
  readonly tokens?: TokenVerifier | null
  /** Default: 20 failures in a minute of one address, 100 of one user. */
  readonly throttle?: ThrottleLimits
}

export interface BrokerParts extends AccessParts {
  readonly topology: Topology
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Default: scrypt on the thread pool. */
  readonly verifier?: PasswordVerifier
  /** Users who may log in from this machine only; default `guest`. */
  readonly loopbackUsers?: readonly string[]
  /** Who makes changes; default: this node, at once. */
  readonly authority?: TopologyAuthority
  /** Sessions are numbered from here on; default 1. In a cluster no two nodes give out the same numbers. */
  readonly firstSessionId?: number
}
