/**
 * What exists: vhosts, exchanges, queue definitions, bindings, users and permissions, as a state machine over its own
 * log. The shape is final, the commands follow.
 *
 * Life: construct it, open the log with `logListener`, `open(log)`, then give it to the broker.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Log, LogListener, Position } from '../../log/log.ts'
import type { ShardDirectory } from '../ports.ts'

export interface TopologyParts {
  readonly directory: ShardDirectory
  readonly clock: Clock
  readonly logger: Logger
  /** The log cannot go on: nothing durable can be declared or deleted any more. */
  readonly onFailed: (error: Error) => void
}

export class Topology {
  #log: Log | null = null
  /** To be given to the log when it is opened. */
  readonly logListener: LogListener

  constructor(parts: TopologyParts) {
    this.logListener = {
      committed: () => {},
      failed: parts.onFailed,
      sealed: () => {},
      roomChanged: () => {},
    }
  }

  /** Replays the log and makes what a first start needs; resolves when the topology may be used. */
  async open(log: Log): Promise<void> {
    this.#log = log
  }

  /** Everything up to here is on stable storage. */
  get committed(): Position {
    return this.#log?.committed ?? 0
  }
}
