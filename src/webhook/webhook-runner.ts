/**
 * One webhook at work: a consumer of its queue whose prefetch is the number of requests at one time. Each message is
 * held until its request has come to an end, and acknowledged by nothing but a 2xx: so each is pushed at least once.
 *
 *     delivered ─► sending ─► 2xx: ack
 *                    │  ▲
 *                    │  └──── resting: 429 or 503 has said when to come again, and all of the webhook waits
 *                    ├─ 410: requeue, and the webhook is switched off
 *                    └─ else: fail. Where the queue lets what failed wait, at once; else after a while, in which the
 *                       message keeps its place among those that may be out: so nobody who is down is called without end
 */
import { tableOf } from '../amqp/field-table.ts'
import type { Timer } from '../base/clock.ts'
import type { PostAnswer } from '../base/http-post.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import { restMs } from '../base/retry-after.ts'
import type { Broker } from '../broker/broker.ts'
import type { Session } from '../broker/commands.ts'
import type { Message } from '../broker/message.ts'
import type { Consumer, DeliverySink, Outcome } from '../broker/ports.ts'
import type { RetrySettings } from '../broker/queue/queue-settings.ts'
import { retryDelayMs } from '../broker/queue/retry-delay.ts'
import { countsOf } from '../broker/statistics/message-counts.ts'
import type { Webhook } from '../broker/topology/webhook.ts'
import { takenOf } from '../management/api/taken-message.ts'
import type { WebhookCounts } from '../management/webhooks.ts'
import { type PushParts, push, sentenceOf, whyNotTaken } from './push.ts'
import { PushedDelivery } from './pushed-delivery.ts'
import { deliveryCountOf } from './request-content.ts'
import type { WebhookRoom } from './webhook-room.ts'

export interface WebhookRunnerParts extends PushParts {
  readonly broker: Broker
  readonly random: Random
  readonly logger: Logger
  readonly room: WebhookRoom
  readonly counts: WebhookCounts
  /** It takes nothing more and holds nothing. */
  ended(runner: WebhookRunner): void
}

/** Between attempts at one message, where its queue does not say. */
const backoff: RetrySettings = {
  attempts: null,
  delayMs: 1_000,
  backoff: 2,
  maxDelayMs: 60_000,
  jitter: 0.2,
  on: 'all',
  parkingQueue: null,
}
/** How often one message is sent again because the receiver asked for a rest; then it has failed. */
const restsMax = 10
/** What is held is the webhook's own affair: no lease of the queue is to end it. In milliseconds. */
const leaseMs = 12 * 3_600_000

export class WebhookRunner implements DeliverySink {
  readonly webhook: Webhook
  readonly #parts: WebhookRunnerParts
  readonly #session: Session
  readonly #held = new Map<number, PushedDelivery>()
  #consumer: Consumer | null = null
  #isOver = false
  #hasEnded = false
  /** Until when nothing is sent, by the monotonic clock. */
  #restsUntil = 0
  #restTimer: Timer | null = null
  #why: string | null = null

  private constructor(webhook: Webhook, session: Session, parts: WebhookRunnerParts) {
    this.webhook = webhook
    this.#session = session
    this.#parts = parts
  }

  /** Rejects with the broker's refusal. */
  static async open(webhook: Webhook, parts: WebhookRunnerParts): Promise<WebhookRunner> {
    const session = parts.broker.openSession({ username: webhook.user, tags: [] }, webhook.home.name)
    const runner = new WebhookRunner(webhook, session, parts)
    const args = {
      queue: webhook.queue,
      tag: `webhook-${webhook.name}`,
      isNoAck: false,
      isExclusive: false,
      arguments: tableOf({ 'x-consumer-timeout': leaseMs }),
      limit: webhook.concurrency,
      shared: null,
      sink: runner,
    }
    try {
      runner.#consumer = await new Promise<Consumer>((resolve, reject) => {
        session.vhost.consume(session, args, { done: resolve, failed: reject })
      })
    } catch (error) {
      parts.broker.closeSession(session, () => {})
      throw error
    }
    session.vhost.activate(runner.#consumer)
    return runner
  }

  get consumer(): Consumer | null {
    return this.#isOver ? null : this.#consumer
  }

  get unacked(): number {
    return this.#held.size
  }

  /** Why it sends nothing just now; null: it does. */
  get restReason(): string | null {
    return this.#restsUntil > this.#parts.clock.monotonic() ? this.#why : null
  }

  // ---------------------------------------------------------------- what comes

  get isReady(): boolean {
    return !this.#isOver && this.restReason === null && this.#parts.room.hasRoomFor(this)
  }

  deliver(consumer: Consumer, message: Message, sequence: number, isRedelivered: boolean): void {
    const { vhost } = this.#session
    vhost.counts.delivered(false, isRedelivered)
    countsOf(consumer.queue.definition).delivered(false, isRedelivered)
    const delivery = new PushedDelivery(consumer, sequence, message.bodyBytes)
    this.#held.set(sequence, delivery)
    if (message.bodyBytes > this.webhook.bodyBytesMax) {
      message.chunks?.release()
      return this.#soon(delivery, () => this.#tooLong(delivery))
    }
    this.#parts.room.take(delivery.bodyBytes)
    const facts = { isRedelivered, readyLeft: 0, bytesMax: Number.POSITIVE_INFINITY }
    takenOf(
      message,
      facts,
      (taken) => {
        delivery.taken = taken
        this.#soon(delivery, () => void this.#send(delivery))
      },
      () => this.#soon(delivery, () => this.#settle(delivery, 'requeue')),
    )
  }

  /** Later, because the queue is in the middle of handing it out. */
  #soon(delivery: PushedDelivery, then: () => void): void {
    this.#parts.clock.soon(() => {
      if (!delivery.isGone) then()
    })
  }

  #tooLong(delivery: PushedDelivery): void {
    const { bodyBytesMax } = this.webhook
    this.#note(null, `a message of ${delivery.bodyBytes} bytes is longer than max_body_bytes (${bodyBytesMax})`)
    this.#settle(delivery, 'reject')
  }

  cancelled(): void {
    for (const delivery of [...this.#held.values()]) this.#forget(delivery)
    this.#over()
  }

  leaseEnded(_consumer: Consumer, sequence: number): void {
    const delivery = this.#held.get(sequence)
    if (delivery !== undefined) this.#forget(delivery)
  }

  // ---------------------------------------------------------------- what goes

  async #send(delivery: PushedDelivery): Promise<void> {
    if (this.#isOver) return this.#settle(delivery, 'requeue')
    const restsFor = this.#restsUntil - this.#parts.clock.monotonic()
    if (restsFor > 0) return this.#later(delivery, restsFor)
    if (!this.#mayRead()) return this.#settle(delivery, 'requeue')
    const begin = this.#parts.clock.monotonic()
    try {
      const answer = await this.#post(delivery)
      if (!delivery.isGone) this.#answered(delivery, answer, begin)
    } catch (error) {
      if (!delivery.isGone) this.#failed(delivery, sentenceOf(error), begin)
    }
  }

  #later(delivery: PushedDelivery, ms: number): void {
    const send = (): void => {
      delivery.waited()
      void this.#send(delivery)
    }
    delivery.wait(this.#parts.clock.after(ms, send))
  }

  /** A right that was taken away bites at once. */
  #mayRead(): boolean {
    try {
      this.#session.vhost.readableQueue(this.#session, this.webhook.queue)
      return true
    } catch {
      // Whoever opens it again is told why.
      this.close()
      return false
    }
  }

  async #post(delivery: PushedDelivery): Promise<PostAnswer> {
    const { taken, signal, consumer, sequence } = delivery
    if (taken === null) throw new Error('the message has not been read')
    const message = { taken, queueId: consumer.queue.definition.id, sequence }
    try {
      delivery.isSending = true
      return await push(this.#parts, { webhook: this.webhook, message, signal })
    } finally {
      delivery.isSending = false
    }
  }

  #answered(delivery: PushedDelivery, { status, retryAfter }: PostAnswer, begin: number): void {
    const why = whyNotTaken(status)
    if (why === null) {
      this.#observe(begin)
      this.#parts.counts.delivered++
      this.#parts.counts.lastStatus = status
      this.#parts.counts.lastError = null
      return this.#settle(delivery, 'ack')
    }
    if (status === 410) {
      this.#observe(begin)
      this.#note(status, why)
      return this.#gone(delivery)
    }
    const ms = status === 429 || status === 503 ? restMs(retryAfter, this.#parts.clock.now()) : null
    if (ms === null || delivery.rests >= restsMax) return this.#failed(delivery, why, begin, status)
    this.#observe(begin)
    this.#note(status, why)
    delivery.rests++
    this.#rest(ms, `${why}, with retry-after`)
    void this.#send(delivery)
  }

  /** Where the queue lets it wait, it waits there; else here, longer each time. */
  #failed(delivery: PushedDelivery, why: string, begin: number, status: number | null = null): void {
    this.#observe(begin)
    this.#note(status, why)
    const { retry } = delivery.consumer.queue.definition.settings
    const waitsThere = retry !== null && retry.delayMs > 0 && retry.on !== 'returned'
    if (waitsThere || this.#isOver) return this.#settle(delivery, 'fail')
    const count = delivery.taken === null ? 0 : deliveryCountOf(delivery.taken.properties)
    const ms = retryDelayMs(backoff, count + 1, this.#parts.random)
    delivery.hasFailed = true
    delivery.wait(this.#parts.clock.after(ms, () => this.#settle(delivery, 'fail')))
  }

  #gone(delivery: PushedDelivery): void {
    const { name, home, url } = this.webhook
    const reason = 'its receiver has answered 410 Gone'
    if (this.#isOver) return this.#settle(delivery, 'requeue')
    this.#parts.logger.error({ webhook: name, vhost: home.name }, `webhook is switched off: ${reason}`)
    this.#parts.broker.disableWebhook(home.name, name, { url, reason }).catch((error: unknown) => {
      this.#parts.logger.error({ error, webhook: name, vhost: home.name }, 'webhook could not be switched off')
    })
    this.#settle(delivery, 'requeue')
    this.close()
  }

  /** Nothing is sent for so long; what is held is sent then. */
  #rest(ms: number, why: string): void {
    const { clock } = this.#parts
    const until = clock.monotonic() + ms
    if (until <= this.#restsUntil) return
    this.#restsUntil = until
    this.#why = why
    this.#restTimer?.cancel()
    this.#restTimer = clock.after(ms, () => {
      this.#restsUntil = 0
      this.resume()
    })
  }

  /** There may be room again. */
  resume(): void {
    if (this.#consumer !== null && !this.#isOver) this.#session.vhost.resume(this.#consumer)
  }

  #observe(begin: number): void {
    const { counts, clock } = this.#parts
    counts.seconds.observe((clock.monotonic() - begin) / 1_000)
    counts.lastAttemptAt = clock.now()
  }

  /** The first failure after a success is a line of the log; all are counted. */
  #note(status: number | null, why: string): void {
    const { counts, logger } = this.#parts
    const { name: webhook, home } = this.webhook
    const fields = { webhook, vhost: home.name, status }
    if (counts.lastError === null) logger.warn(fields, `a webhook could not deliver: ${why}`)
    else logger.debug(fields, `a webhook could not deliver: ${why}`)
    counts.failed++
    counts.lastStatus = status
    counts.lastError = why
  }

  // ---------------------------------------------------------------- the end of a delivery, and of all

  #settle(delivery: PushedDelivery, outcome: Outcome): void {
    const { vhost } = this.#session
    const { consumer, sequence } = delivery
    if (!this.#forget(delivery)) return
    if (outcome === 'ack') {
      vhost.counts.ack++
      countsOf(consumer.queue.definition).ack++
    }
    vhost.settle(consumer.queue, consumer, sequence, sequence, outcome)
  }

  /** False: it was forgotten before. */
  #forget(delivery: PushedDelivery): boolean {
    if (delivery.isGone) return false
    delivery.end()
    this.#held.delete(delivery.sequence)
    if (delivery.bodyBytes <= this.webhook.bodyBytesMax) this.#parts.room.free(delivery.bodyBytes)
    // After the settlement, which may be what follows.
    if (this.#isOver) this.#parts.clock.soon(() => this.#endIfEmpty())
    return true
  }

  /** Takes no more. What is being sent comes to its end; what waits goes back at once. */
  close(): void {
    if (this.#isOver) return
    this.#over()
    if (this.#consumer !== null) this.#session.vhost.cancel(this.#consumer, { done: () => {}, failed: () => {} })
    for (const delivery of [...this.#held.values()]) {
      if (delivery.isWaiting) this.#settle(delivery, delivery.hasFailed ? 'fail' : 'requeue')
    }
  }

  /** What is still being sent goes back too; its receiver may have got it. */
  abort(): void {
    this.close()
    for (const delivery of [...this.#held.values()]) this.#settle(delivery, 'requeue')
  }

  #over(): void {
    this.#isOver = true
    this.#restTimer?.cancel()
    this.#parts.clock.soon(() => this.#endIfEmpty())
  }

  #endIfEmpty(): void {
    if (this.#hasEnded || this.#held.size > 0) return
    this.#hasEnded = true
    this.#parts.poster.close()
    this.#parts.broker.closeSession(this.#session, () => {})
    this.#parts.ended(this)
  }
}
