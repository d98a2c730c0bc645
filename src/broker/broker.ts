/**
 * The broker as the server sees it. The shape is final, the commands follow.
 */
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Position } from '../log/log.ts'
import type { AlarmReason, BrokerCommands, BrokerListener, Principal, Session } from './commands.ts'
import { BrokerError } from './errors.ts'
import type { ShardDirectory } from './ports.ts'
import type { Topology } from './topology/topology.ts'

export interface BrokerParts {
  readonly topology: Topology
  readonly directory: ShardDirectory
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export class Broker implements BrokerCommands {
  listener: BrokerListener | null = null
  readonly #topology: Topology

  constructor(parts: BrokerParts) {
    this.#topology = parts.topology
  }

  authenticate(
    _username: string,
    _password: string,
    _isLoopback: boolean,
    done: (principal: Principal | null) => void,
  ): void {
    done(null)
  }

  openSession(_principal: Principal, vhost: string): Session {
    throw new BrokerError('not-allowed', `vhost ${vhost} not found`)
  }

  closeSession(_session: Session, done: () => void): void {
    done()
  }

  get topologyCommitted(): Position {
    return this.#topology.committed
  }

  get publishGate(): 'open' | 'congested' | 'blocked' {
    return 'open'
  }

  get alarms(): readonly AlarmReason[] {
    return []
  }

  /** More is appended than the shards' logs have stored. */
  setCongested(_isCongested: boolean): void {}

  setAlarm(_reason: AlarmReason, _isOn: boolean): void {}
}
