/**
 * The webhooks of a node: each that is switched on, whose queue is there and is served by this node, runs here; so in a
 * cluster one node runs it, and another when the queue has moved. It is looked at often and cheaply what should run, and
 * what should not is ended. Whatever makes requests is loaded when the first webhook is to run.
 */
import type { Clock, Timer } from '../base/clock.ts'
import { Histogram } from '../base/histogram.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Resolver } from '../base/resolver.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/errors.ts'
import type { Consumer } from '../broker/ports.ts'
import type { DeclaredQueue } from '../broker/topology/declared-queue.ts'
import { queueTypeOf } from '../broker/topology/queue-arguments.ts'
import type { Webhook } from '../broker/topology/webhook.ts'
import type { WebhookCounts, WebhookFacts, WebhookReport, WebhookTrial } from '../management/webhooks.ts'
import { type Allowed, CheckedHost, whyRefused } from './address-check.ts'
import type { PushParts } from './push.ts'
import { WebhookRoom } from './webhook-room.ts'
import type { WebhookRunner } from './webhook-runner.ts'

export interface WebhooksParts {
  readonly broker: Broker
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly resolver: Resolver
  /** Of the program. */
  readonly version: string
}

/** It is looked so often what should run, in milliseconds. */
const lookMs = 1_000
/** And at once when something was declared or deleted, but no more often than that. */
const soonMs = 50
/** What the broker has refused is tried again after so long, in milliseconds. */
const againMs = 5_000

/** Webhooks that are tried out at one time. */
const trialsMax = 8

const secondsBounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** One webhook that should run here: it is being opened, runs, or has to wait. */
interface Place {
  readonly webhook: Webhook
  readonly queue: DeclaredQueue
  runner: WebhookRunner | null
  /** Null: nothing is in its way. */
  reason: string | null
  /** When it may be opened again, by the monotonic clock; Infinity while it is being opened or runs. */
  openAt: number
}

export class Webhooks implements WebhookFacts {
  /** What counts now. */
  allowed: Allowed
  readonly #parts: WebhooksParts
  readonly #room = new WebhookRoom()
  /** By the id of the webhook. */
  readonly #places = new Map<number, Place>()
  readonly #counts = new Map<number, WebhookCounts>()
  /** Also those that come to their end. */
  readonly #runners = new Set<WebhookRunner>()
  #trials = 0
  #timer: Timer | null = null
  #looksSoon = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #isStopped = false
  #allEnded: (() => void) | null = null

  constructor(parts: WebhooksParts, allowed: Allowed) {
    this.#parts = parts
    this.allowed = allowed
  }

  start(): void {
    this.#parts.broker.topology.hearSettled(() => this.#lookSoon())
    this.#look()
  }

  /** Something is another than it was; once for all that come together. */
  #lookSoon(): void {
    if (this.#isStopped || this.#looksSoon) return
    this.#looksSoon = true
    this.#timer?.cancel()
    const { clock } = this.#parts
    this.#timer = clock.after(Math.max(0, this.#lookedAt + soonMs - clock.monotonic()), () => this.#look())
  }

  /**
   * Takes nothing more; what is being sent may come to its end for so many milliseconds, then it goes back to its queue.
   * Resolves when all has been settled.
   */
  async stop(drainMsMax: number): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#places.clear()
    for (const runner of this.#runners) runner.close()
    if (this.#runners.size === 0) return
    await new Promise<void>((resolve) => {
      this.#allEnded = resolve
      this.#parts.clock.after(drainMsMax, () => {
        for (const runner of this.#runners) runner.abort()
      })
    })
  }

  // ---------------------------------------------------------------- what should run

  #look(): void {
    if (this.#isStopped) return
    this.#looksSoon = false
    this.#lookedAt = this.#parts.clock.monotonic()
    const wanted = new Set<number>()
    const known = new Set<number>()
    for (const vhost of this.#parts.broker.topology.vhosts.values()) {
      for (const webhook of vhost.webhooks.values()) {
        known.add(webhook.id)
        if (this.#wants(webhook)) wanted.add(webhook.id)
      }
    }
    for (const [id, place] of this.#places) if (!wanted.has(id)) this.#leave(id, place)
    for (const id of this.#counts.keys()) if (!known.has(id)) this.#counts.delete(id)
    this.#timer = this.#parts.clock.after(lookMs, () => this.#look())
  }

  /** Whether it should run here; then it has its place, and is opened when it is time. */
  #wants(webhook: Webhook): boolean {
    const { id, isEnabled, home } = webhook
    const queue = home.queues.get(webhook.queue)
    if (!isEnabled || home.isClosed || queue === undefined || !this.#parts.broker.topology.isServing(queue))
      return false
    let place = this.#places.get(id)
    if (place !== undefined && (place.webhook !== webhook || place.queue !== queue)) {
      this.#leave(id, place)
      place = undefined
    }
    if (place === undefined) {
      place = { webhook, queue, runner: null, reason: null, openAt: Number.NEGATIVE_INFINITY }
      this.#places.set(id, place)
    }
    if (this.#parts.clock.monotonic() >= place.openAt) void this.#open(place)
    return true
  }

  /** Does not reject. */
  async #open(place: Place): Promise<void> {
    const { webhook, queue } = place
    place.openAt = Number.POSITIVE_INFINITY
    try {
      if (queueTypeOf(queue.arguments) === 'stream') throw new CannotPush('a stream cannot be pushed')
      if (queue.isAutoDelete) throw new CannotPush('an auto-delete queue cannot be pushed')
      const runner = await this.#runner(webhook)
      this.#runners.add(runner)
      if (this.#places.get(webhook.id) !== place) return runner.close()
      place.runner = runner
      place.reason = null
    } catch (error) {
      this.#refused(place, error)
    }
  }

  #refused(place: Place, error: unknown): void {
    const { name, home } = place.webhook
    const isExpected = error instanceof BrokerError || error instanceof CannotPush
    const reason = isExpected ? error.message : 'an internal error, which stands in the log'
    const fields = { webhook: name, vhost: home.name }
    if (!isExpected) this.#parts.logger.error({ ...fields, error }, 'a webhook could not be started')
    else if (place.reason !== reason) this.#parts.logger.warn(fields, `a webhook waits: ${reason}`)
    place.reason = reason
    place.openAt = this.#parts.clock.monotonic() + againMs
  }

  async #runner(webhook: Webhook): Promise<WebhookRunner> {
    const { WebhookRunner } = await import('./webhook-runner.ts')
    return await WebhookRunner.open(webhook, {
      ...(await this.#pushParts(webhook)),
      room: this.#room,
      counts: this.#countsOf(webhook),
      ended: (runner) => this.#ended(runner),
    })
  }

  async #pushParts({ url, concurrency, caCertificates }: Webhook): Promise<WebhooksParts & PushParts> {
    const { clock, resolver } = this.#parts
    const { HttpPoster } = await import('../base/http-post.ts')
    const host = new CheckedHost(new URL(url).hostname, { resolver, clock, allowed: () => this.allowed })
    return { ...this.#parts, host, poster: new HttpPoster(clock, concurrency, caCertificates) }
  }

  #leave(id: number, place: Place): void {
    this.#places.delete(id)
    place.runner?.close()
  }

  /** Where it should run all the same, it is opened again: somebody may have taken its right, or its queue away. */
  #ended(runner: WebhookRunner): void {
    this.#runners.delete(runner)
    const place = this.#places.get(runner.webhook.id)
    if (place?.runner === runner) {
      place.runner = null
      place.openAt = this.#parts.clock.monotonic()
    }
    if (this.#runners.size === 0) this.#allEnded?.()
  }

  #countsOf({ id }: Webhook): WebhookCounts {
    let counts = this.#counts.get(id)
    if (counts === undefined) {
      const seconds = new Histogram(secondsBounds)
      counts = { delivered: 0, failed: 0, seconds, lastStatus: null, lastError: null, lastAttemptAt: null }
      this.#counts.set(id, counts)
    }
    return counts
  }

  // ---------------------------------------------------------------- what is told

  report(webhook: Webhook): WebhookReport {
    const place = this.#places.get(webhook.id)
    const counts = this.#counts.get(webhook.id) ?? null
    const told = { unacked: place?.runner?.unacked ?? 0, counts }
    if (!webhook.isEnabled) return { ...told, state: 'disabled', reason: webhook.disabledReason }
    const queue = webhook.home.queues.get(webhook.queue)
    if (queue === undefined) return { ...told, state: 'waiting', reason: `there is no queue '${webhook.queue}'` }
    if (!this.#parts.broker.topology.isServing(queue)) return { ...told, state: 'elsewhere', reason: null }
    if (place?.runner?.consumer === undefined || place.runner.consumer === null) {
      return { ...told, state: 'waiting', reason: place?.reason ?? 'it is about to start' }
    }
    const { restReason } = place.runner
    return { ...told, state: restReason === null ? 'running' : 'waiting', reason: restReason }
  }

  *running(): Generator<{ readonly webhook: Webhook; readonly consumer: Consumer }> {
    for (const runner of this.#runners) {
      const { webhook, consumer } = runner
      if (consumer !== null) yield { webhook, consumer }
    }
  }

  async trial(webhook: Webhook): Promise<WebhookTrial | null> {
    if (this.#trials === trialsMax) return null
    this.#trials++
    try {
      const { tryOut } = await import('./trial.ts')
      return await tryOut(webhook, await this.#pushParts(webhook))
    } finally {
      this.#trials--
    }
  }

  whyRefused(url: URL): string | null {
    return whyRefused(url, this.allowed)
  }
}

/** A queue of a kind that has no webhooks. */
class CannotPush extends Error {
  readonly code = 'CANNOT_PUSH'
}
