/** Dead letters counted by where they are, where they died, and of what. */
import type { JsonObject } from '../../broker/definitions/entry.ts'
import { type Browsed, type LastDeath, lastDeathOf } from './browsing.ts'

interface Group extends Omit<LastDeath, 'seconds'> {
  messages: number
  /** Wall times in milliseconds: of the oldest first death, 0 when none tells it; and when the newest came here. */
  firstDiedAt: number
  lastArrivedAt: number
}

export class DeathGroups {
  /** The queue that holds them. */
  readonly #holder: string
  readonly #groups = new Map<string, Group>()

  constructor(holder: string) {
    this.#holder = holder
  }

  get size(): number {
    return this.#groups.size
  }

  /** Passed over: what has not died, and what was sent back to the queue in which it died. */
  add({ properties, arrivedAt }: Browsed): void {
    const death = lastDeathOf(properties)
    if (death === null || death.queue === this.#holder) return
    const { queue, reason, exchange, seconds } = death
    const key = JSON.stringify([queue, reason, exchange])
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { queue, reason, exchange, messages: 0, firstDiedAt: 0, lastArrivedAt: 0 }
      this.#groups.set(key, group)
    }
    group.messages++
    const diedAt = seconds * 1_000
    if (diedAt > 0 && (group.firstDiedAt === 0 || diedAt < group.firstDiedAt)) group.firstDiedAt = diedAt
    group.lastArrivedAt = Math.max(group.lastArrivedAt, arrivedAt)
  }

  /** The largest first. */
  get json(): readonly JsonObject[] {
    return [...this.#groups.values()]
      .sort((a, b) => b.messages - a.messages)
      .map(({ queue, reason, exchange, messages, firstDiedAt, lastArrivedAt }) => ({
        queue,
        reason,
        exchange,
        messages,
        first_died_at: firstDiedAt === 0 ? null : firstDiedAt,
        last_arrived_at: lastArrivedAt,
      }))
  }
}
