import type { Method } from '../amqp/methods.generated.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Position } from '../broker/ports.ts'
import type { Channel } from './channel.ts'

/**
 * Which changes of exchanges, queues and bindings by AMQP are written down. `changes`: what was made or taken away, and
 * what was refused, but no exclusive queues, which come and go with their connection. `all`: those too, and declares and
 * binds of what was there already.
 */
export type AuditedChanges = 'none' | 'changes' | 'all'

/** Lines in a second of all connections together; what is more is counted, and told of in one line. */
export const auditLinesPerSecondMax = 500

/** Writes down who changed by AMQP what exists. Nothing of it is on the way of a message. */
export class TopologyAudit {
  /** Holds from the next change on. */
  level: AuditedChanges
  readonly #logger: Logger
  readonly #clock: Clock
  #secondEndsAt = 0
  #lines = 0
  #leftOut = 0

  constructor({ logger, clock, level }: { logger: Logger; clock: Clock; level: AuditedChanges }) {
    this.level = level
    this.#logger = logger
    this.#clock = clock
  }

  /** The same steps, which write down as well how it ended. `isNew`: whether a result of this kind is a change. */
  around<T>(channel: Channel, method: Method, steps: Steps<T>, isNew: (result: T) => boolean): Steps<T> {
    if (this.level === 'none' || isPassive(method)) return steps
    const done = (result: T): void => {
      if (this.level === 'all' || (isNew(result) && !isExclusive(method))) this.#write(channel, method, 'done')
    }
    return {
      use: (result, committedWith) => {
        done(result)
        steps.use(result, committedWith)
      },
      undo: done,
      refused: (error) => this.#write(channel, method, error.message),
    }
  }

  #write(channel: Channel, method: Method, outcome: string): void {
    if (!this.#mayWrite()) return
    const { connection, vhost } = channel
    const fields = {
      ...namesIn(method),
      vhost: vhost.name,
      by: connection.principal?.username ?? '',
      address: connection.remoteAddress,
      connection: connection.name,
      via: 'amqp',
      method: method.name,
      outcome,
    }
    this.#logger.info(fields, 'change')
  }

  #mayWrite(): boolean {
    const now = this.#clock.monotonic()
    if (now >= this.#secondEndsAt) {
      if (this.#leftOut > 0) this.#tellLeftOut()
      this.#secondEndsAt = now + 1_000
      this.#lines = 0
    }
    if (++this.#lines <= auditLinesPerSecondMax) return true
    // Told in time also when nothing follows.
    if (this.#leftOut++ === 0) this.#clock.after(this.#secondEndsAt - now, () => this.#tellLeftOut())
    return false
  }

  #tellLeftOut(): void {
    if (this.#leftOut > 0) this.#logger.warn({ leftOut: this.#leftOut, via: 'amqp' }, 'changes were not written down')
    this.#leftOut = 0
  }
}

interface Steps<T> {
  use(result: T, committedWith: Position): void
  undo?(result: T): void
  refused?(error: Error): void
}

function isPassive(method: Method): boolean {
  return 'passive' in method && method.passive
}

function isExclusive(method: Method): boolean {
  return method.name === 'queue.declare' && method.exclusive
}

const nameFields = ['queue', 'exchange', 'source', 'destination', 'routingKey', 'type'] as const

/** What the method names; arguments are left out. */
function namesIn(method: Method): Record<string, string> {
  const names: Record<string, string> = {}
  const values: Readonly<Record<string, unknown>> = { ...method }
  for (const field of nameFields) {
    const value = values[field]
    if (typeof value === 'string') names[field] = value
  }
  return names
}
