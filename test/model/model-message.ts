/** One message in one queue, as the model sees it. */
import type { DeathReason } from '../../src/broker/dead-letter/death-history.ts'
import type { ModelConsumer, ModelQueue } from './model-queue.ts'

/** What a publisher sends. */
export interface Publication {
  readonly id: string
  readonly priority: number
  readonly expirationMs: number | null
  /** Not ready before so long after it came. */
  readonly delayMs: number
  readonly isPersistent: boolean
  /** `x-group`; '' is none. */
  readonly group: string
  /** By which a queue with deduplication knows it; null: not at all. */
  readonly messageId: string | null
  readonly bytes: number
  readonly exchange: string
  readonly key: string
  readonly cc: readonly string[]
}

/** One entry of `x-death`. */
export interface ModelDeath {
  readonly queue: string
  readonly reason: DeathReason
  count: number
  readonly seconds: number
  readonly exchange: string
  readonly keys: readonly string[]
  readonly expiration: string | null
}

/** `no`, `yes`, or after a crash not certain. */
export type Redelivered = 'no' | 'maybe' | 'yes'

export class ModelMessage {
  readonly id: string
  readonly priority: number
  readonly isPersistent: boolean
  readonly group: string
  readonly bytes: number
  exchange: string
  key: string
  cc: readonly string[]
  expirationMs: number | null
  /** Newest first. */
  deaths: ModelDeath[]
  /** By which its queue knows it. */
  sequence = 0
  /** When it came into its queue. */
  arrivedAt = 0
  /** From when on its time to live counts. */
  livesFrom = 0
  /** Among equal priorities: where it stands. Equal places are in no certain order. */
  place = 0
  /** Not ready before. */
  dueAt = 0
  /** It waits after it was handed out, and its group waits for it. */
  get isHeldBack(): boolean {
    return this.state === 'waiting' && this.failures > 0
  }

  /** It had, or has, to wait for that. */
  hasWaited = false
  state: 'ready' | 'unacked' | 'waiting' | 'dying' = 'ready'
  holder: ModelConsumer | null = null
  redelivered: Redelivered = 'no'
  /** Its place among equal priorities is not certain. */
  isAnywhere = false
  /** Of what it is dying; null as long as it lives, or when it was too old and one too many. */
  dyingOf: DeathReason | null = null
  /** When its delivery will have failed by itself; Infinity: never. */
  leaseEndsAt = Number.POSITIVE_INFINITY
  /** To the parking queue of its queue, when it dies. */
  isParked = false
  failures = 0
  /** As far as the log knows: without retries and limit, only from a stop in good order. */
  storedFailures = 0
  /** A crash has left the count of failures as it was, or as it was stored, or anything between. */
  isCountCertain = true
  returns = 0

  constructor(from: Publication | ModelMessage) {
    this.id = from.id
    this.priority = from.priority
    this.isPersistent = from.isPersistent
    this.group = from.group
    this.bytes = from.bytes
    this.exchange = from.exchange
    this.key = from.key
    this.cc = from.cc
    this.expirationMs = from.expirationMs
    this.deaths = 'deaths' in from ? from.deaths.map((death) => ({ ...death })) : []
  }

  /** When it is too old for the queue; Infinity: never. */
  deadlineIn(queue: ModelQueue): number {
    const ttlMs = Math.min(
      this.expirationMs ?? Number.POSITIVE_INFINITY,
      queue.settings.messageTtlMs ?? Number.POSITIVE_INFINITY,
    )
    return this.livesFrom + ttlMs
  }

  /** The dead letter of this message. */
  died(queue: ModelQueue, reason: DeathReason, now: number): ModelMessage {
    const letter = new ModelMessage(this)
    const known = letter.deaths.find((death) => death.queue === queue.name && death.reason === reason)
    const death: ModelDeath = known ?? {
      queue: queue.name,
      reason,
      count: 0,
      seconds: Math.floor(now / 1000),
      exchange: this.exchange,
      keys: [this.key, ...this.cc],
      expiration: this.expirationMs === null ? null : String(this.expirationMs),
    }
    death.count++
    letter.deaths = [death, ...letter.deaths.filter((one) => one !== known)]
    letter.expirationMs = null
    const parkingQueue = this.isParked ? (queue.settings.retry?.parkingQueue ?? null) : null
    letter.exchange = parkingQueue === null ? (queue.settings.deadLetterExchange ?? '') : ''
    const key = parkingQueue ?? queue.settings.deadLetterRoutingKey
    if (key !== null) {
      letter.key = key
      letter.cc = []
    }
    return letter
  }

  /** Whether it would go round without a client ever having said no. It has just died for `reason`. */
  goesRound(target: string, reason: DeathReason): boolean {
    if (reason === 'rejected') return false
    const last = this.deaths.findIndex((death) => death.queue === target)
    return last >= 0 && this.deaths.slice(0, last + 1).every((death) => death.reason !== 'rejected')
  }
}
