/** What happened to queues between two looks at the management API: counters of both, by difference. */
import { isObject, type JsonObject } from './http-api.ts'
import { valueAt } from './listing.ts'

export interface QueueRow {
  readonly vhost: string
  readonly name: string
  readonly ready: number
  readonly unacked: number
  readonly consumers: number
  /** Messages a second; null while there was no look before, and where the broker has counted nothing. */
  readonly published: number | null
  readonly delivered: number | null
  readonly acknowledged: number | null
}

interface Counters {
  readonly published: number
  readonly delivered: number
  readonly acknowledged: number
}

export class QueueRates {
  #before = new Map<string, Counters | null>()
  #beforeMs: number | null = null

  /** `nowMs` by a monotonic clock. */
  look(queues: readonly JsonObject[], nowMs: number): QueueRow[] {
    const seconds = this.#beforeMs === null ? 0 : (nowMs - this.#beforeMs) / 1000
    const counters = new Map<string, Counters | null>()
    const rows = queues.map((queue): QueueRow => {
      const vhost = String(queue['vhost'] ?? '/')
      const name = String(queue['name'] ?? '')
      const key = JSON.stringify([vhost, name])
      const now = countersOf(queue)
      const before = this.#before.get(key)
      counters.set(key, now)
      const rate = (field: keyof Counters): number | null => {
        if (seconds <= 0 || now === null) return null
        // A queue that was made or first used meanwhile began at 0; one that was made again counts anew.
        return Math.max(0, now[field] - (before?.[field] ?? 0)) / seconds
      }
      return {
        vhost,
        name,
        ready: number(queue, 'messages_ready'),
        unacked: number(queue, 'messages_unacknowledged'),
        consumers: number(queue, 'consumers'),
        published: rate('published'),
        delivered: rate('delivered'),
        acknowledged: rate('acknowledged'),
      }
    })
    this.#before = counters
    this.#beforeMs = nowMs
    return rows
  }
}

function countersOf(queue: JsonObject): Counters | null {
  if (!isObject(queue['message_stats'])) return null
  return {
    published: number(queue, 'message_stats.publish'),
    delivered: number(queue, 'message_stats.deliver_get'),
    acknowledged: number(queue, 'message_stats.ack'),
  }
}

function number(queue: JsonObject, path: string): number {
  const value = valueAt(queue, path)
  return typeof value === 'number' ? value : 0
}
