/**
 * NATS as a node finds it: started or joined, connected and checked. `startNats` is all that the rest of a node calls.
 *
 * In this order: the child process (if the node runs one), a connection, a JetStream leader, the requirements. Only then
 * does it resolve; what cannot be had is a `StartError` with one sentence that says what to mend.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import type { ChildProcesses } from '../../base/child-processes.ts'
import type { Clock } from '../../base/clock.ts'
import type { Files } from '../../base/files.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import type { NatsSettings } from './settings.ts'

export interface NatsWorld {
  readonly clock: Clock
  readonly random: Random
  readonly files: Files
  readonly processes: ChildProcesses
  readonly logger: Logger
}

/** What was found at one server, for status and alarms. */
export interface NatsServerFacts {
  readonly name: string
  /** Such as `2.15.1`; null when it did not answer. */
  readonly version: string | null
  /** What it does not give that the contract needs, as sentences; empty when all is well. */
  readonly problems: readonly string[]
}

export interface Nats {
  readonly connection: NatsConnection
  /** In how many servers each stream and bucket is to be stored. */
  readonly replicas: number
  /** One line for people: what was started or joined. */
  readonly described: string
  /** Of the last check. */
  readonly servers: readonly NatsServerFacts[]
  /** Process id of the child, null when there is none or it is being started again. */
  readonly childPid: number | null
  /** Sentences of the last check; a change is an alarm. Empty when all is well. */
  readonly problems: readonly string[]
  /** Called when `problems` has changed. */
  listen(problemsChanged: () => void): void
  /** Drains the connection, then stops the child. Call it last of all. */
  close(): Promise<void>
}

export type StartNats = (settings: NatsSettings, world: NatsWorld) => Promise<Nats>
