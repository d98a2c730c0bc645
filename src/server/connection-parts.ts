import type { Arena } from '../base/arena.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { RunQueue } from '../base/run-queue.ts'
import type { BrokerCommands } from '../broker/commands.ts'
import type { ConnectionTotals } from '../broker/connection-directory.ts'
import type { Congestion } from './congestion.ts'
import type { Connection } from './connection.ts'
import type { DirectReplies } from './direct-replies.ts'
import type { ServerIdentity } from './handshake.ts'
import type { InputTurn } from './input-turn.ts'
import type { ServerLimits } from './limits.ts'
import type { NameKind } from './sasl.ts'
import type { TopologyAudit } from './topology-audit.ts'
import type { TurnEnd } from './turn-end.ts'

/** What all connections of a server share. */
export interface ConnectionParts {
  readonly broker: BrokerCommands
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly runQueue: RunQueue
  readonly inputTurn: InputTurn
  readonly turnEnd: TurnEnd
  readonly arena: Arena
  readonly directReplies: DirectReplies
  readonly totals: ConnectionTotals
  readonly limits: ServerLimits
  readonly identity: ServerIdentity
  /** Which name in a client's certificate is the user. */
  readonly userFrom: NameKind
  readonly audit: TopologyAudit
}

/** The server, as far as a connection needs it. */
export interface ConnectionOwner {
  readonly congestion: Congestion
  /** The vhost is open: the connection does not count as unauthenticated any more. */
  opened(connection: Connection): void
  closed(connection: Connection): void
  /** It wants `topologyCommitted`. */
  waitsForTopology(connection: Connection): void
  /** It wants `gateChanged`. */
  waitsForGate(connection: Connection): void
}
