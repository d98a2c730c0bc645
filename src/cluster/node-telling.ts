/** What a node tells all others of itself, and what they may ask it, from the start of its links to their end. */
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import type { RunQueue } from '../base/run-queue.ts'
import { LoginLedger } from '../broker/access/login-ledger.ts'
import type { LimitedCount } from '../broker/session-counts.ts'
import { LoginReports } from './login-reports.ts'
import { ManagementLink } from './management-link.ts'
import type { Members } from './members.ts'
import type { Peers } from './peers.ts'
import { QueueReports, type ReportedQueues } from './queue-reports.ts'
import { SessionReports } from './session-reports.ts'

export interface NodeTellingParts {
  readonly peers: Peers
  readonly members: Members
  readonly clock: Clock
  readonly runQueue: RunQueue
  queues(): ReportedQueues
  /** Connections and channels of this node that a limit counts. */
  limited(): Iterable<LimitedCount>
  readonly random: Random
  /** What all nodes of the cluster know. */
  readonly secret: string
}

export class NodeTelling {
  readonly link: ManagementLink
  /** Connections and channels of other nodes that a limit counts. */
  readonly sessions: SessionReports
  /** Logins of the dashboard, as far as nodes share what they know of them. */
  readonly loginLedger: LoginLedger
  readonly #queues: QueueReports

  /** Before the links start. */
  constructor(parts: NodeTellingParts) {
    this.link = new ManagementLink(parts.peers, parts.clock)
    this.#queues = new QueueReports({ ...parts, link: this.link })
    this.sessions = new SessionReports({ ...parts, link: this.link })
    this.loginLedger = new LoginLedger(parts)
    new LoginReports(this.link, this.loginLedger)
  }

  /** A client of this node has a consumer of an auto-delete queue. */
  consumerCame(id: number): void {
    this.#queues.consumerCame(id)
  }

  start(): void {
    this.#queues.start()
    this.sessions.start()
  }

  stop(): void {
    this.#queues.stop()
    this.sessions.stop()
  }
}
