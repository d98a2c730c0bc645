/**
 * Follows a stream by a consumer of its own and one pull at a time.
 *
 *   make a consumer ──► pull ──► … frames … ──► told all ──► pull …
 *        ▲                └── out of order, refused, silent ──► pause ──┐
 *        └───────────────────────────────────────────────────────────────┘
 *
 * The next pull is sent when all frames of the one before have been told, so what is under way is bounded in bytes (a window
 * in messages overruns the connection with large ones). With `gatherMs` a pull brings what has gathered so long, as one
 * delivery; when that was nothing, the next one waits for the first frame. A consumer lives on one server and in its memory; it is made anew,
 * from the next sequence, as soon as it is out of step or silent.
 */
import { AckPolicy, DeliverPolicy, JetStreamApiCodes, JetStreamApiError, ReplayPolicy } from '@nats-io/jetstream'
import { createInbox, type Msg, nanos, type Subscription } from '@nats-io/transport-node'
import type { Timer } from '../../base/clock.ts'
import { LogFailed } from '../log.ts'
import type { Following, FollowListener, StreamFrame } from './frame-stream.ts'
import { segmentOf } from './nats-frame-stream.ts'
import type { NatsParts } from './nats-streams.ts'

/** What one pull may bring. */
const windowBytes = 4 * 1024 * 1024
const windowMessages = 2_000
/** A pull that brings nothing is answered with a sign of life each second, and ends after `pullMs`. In milliseconds. */
const heartbeatMs = 1_000
const pullMs = 30_000
const silenceMsMax = 3_000
const pauseMs = 200
/** A consumer that nobody pulls from is removed by its server after this, in milliseconds. */
const idleConsumerMs = 30_000
/** So often in a row the stream must be said not to be there; servers say so too while they start. */
const missingMax = 20
const heartbeatCode = 100

interface PullRequest {
  readonly batch: number
  readonly max_bytes?: number
  /** In nanoseconds. */
  readonly expires?: number
  readonly idle_heartbeat?: number
  readonly no_wait?: boolean
}

export interface FollowedStream {
  readonly stream: string
  /** How long frames may wait to be told together with those behind them, in milliseconds; 0: not at all. */
  readonly gatherMs: number
}

export class NatsFollowing implements Following {
  readonly #parts: NatsParts
  readonly #stream: string
  readonly #listener: FollowListener
  /** Sequence of the next frame. */
  #next: number
  #consumer: string | null = null
  #subscription: Subscription | null = null
  #silence: Timer | null = null
  #pause: Timer | null = null
  #waiting: StreamFrame[] = []
  #telling: Promise<void> | null = null
  readonly #gatherMs: number
  /** Messages that the pull may still bring. */
  #pulled = 0
  /** What it has brought. */
  #brought = 0
  /** There may be more than one pull brings. */
  #isCutShort = false
  #missing = 0
  #isStopped = false

  constructor(parts: NatsParts, { stream, gatherMs }: FollowedStream, from: number, listener: FollowListener) {
    this.#parts = parts
    this.#stream = stream
    this.#gatherMs = gatherMs
    this.#next = from
    this.#listener = listener
    void this.#begin()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#pause?.cancel()
    this.#waiting = []
    await this.#end()
    await this.#telling
  }

  // ---- the consumer

  async #begin(): Promise<void> {
    try {
      const { name } = await this.#parts.manager.consumers.add(this.#stream, {
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: this.#next,
        replay_policy: ReplayPolicy.Instant,
        mem_storage: true,
        num_replicas: 1,
        inactive_threshold: nanos(idleConsumerMs),
      })
      this.#missing = 0
      this.#consumer = name
      if (this.#isStopped) return await this.#end()
      this.#subscribe()
      this.#pull()
    } catch (error) {
      this.#later(error)
    }
  }

  #subscribe(): void {
    const { connection } = this.#parts
    const inbox = createInbox()
    this.#subscription = connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error === null) this.#message(message)
        else this.#later(error)
      },
    })
  }

  #pull(): void {
    const { connection } = this.#parts
    const subscription = this.#subscription
    if (this.#isStopped || subscription === null || this.#consumer === null) return
    const request = this.#request()
    this.#pulled = request.batch
    this.#brought = 0
    this.#isCutShort = false
    this.#listen()
    const subject = `${this.#parts.api}.CONSUMER.MSG.NEXT.${this.#stream}.${this.#consumer}`
    try {
      connection.publish(subject, JSON.stringify(request), { reply: subscription.getSubject() })
    } catch (error) {
      this.#later(error)
    }
  }

  #request(): PullRequest {
    const window = { batch: windowMessages, max_bytes: windowBytes }
    const waiting = { expires: nanos(pullMs), idle_heartbeat: nanos(heartbeatMs) }
    if (this.#gatherMs === 0) return { ...window, ...waiting }
    return this.#brought > 0 ? { ...window, no_wait: true } : { batch: 1, ...waiting }
  }

  /** After a pull that has ended, and whose frames have been told. */
  #pullAgain(): void {
    if (this.#isStopped || this.#subscription === null) return
    if (this.#gatherMs === 0 || this.#brought === 0 || this.#isCutShort) return this.#pull()
    this.#silence?.cancel()
    this.#pause?.cancel()
    this.#pause = this.#parts.clock.after(this.#gatherMs, () => this.#pull())
  }

  #listen(): void {
    this.#silence?.cancel()
    this.#silence = this.#parts.clock.after(silenceMsMax, () => this.#later('no sign of life'))
  }

  /** Gives the consumer up and makes another after a pause. */
  #later(reason: unknown): void {
    if (this.#isStopped) return
    const { clock, logger, connection } = this.#parts
    logger.debug({ stream: this.#stream, reason: String(reason) }, 'a stream is followed anew')
    const isMissing = reason instanceof JetStreamApiError && reason.code === JetStreamApiCodes.StreamNotFound
    this.#missing = isMissing ? this.#missing + 1 : 0
    void this.#end()
    if (connection.isClosed()) return this.#giveUp('the connection is closed')
    if (this.#missing > missingMax) return this.#giveUp('the stream is gone')
    this.#pause?.cancel()
    this.#pause = clock.after(pauseMs, () => void this.#begin())
  }

  #giveUp(why: string): void {
    this.#isStopped = true
    this.#listener.ended(new LogFailed(`the stream '${this.#stream}' cannot be followed: ${why}`))
  }

  async #end(): Promise<void> {
    const name = this.#consumer
    this.#consumer = null
    this.#silence?.cancel()
    this.#subscription?.unsubscribe()
    this.#subscription = null
    if (name === null || this.#parts.connection.isClosed()) return
    // Without an answer its server removes it by itself.
    await this.#parts.manager.consumers.delete(this.#stream, name).catch(() => {})
  }

  // ---- messages

  #message(message: Msg): void {
    if (this.#isStopped) return
    const code = message.headers?.code ?? 0
    this.#listen()
    if (code === heartbeatCode) return
    if (code > 0) return this.#status(code, message.headers?.description ?? '')
    const sequence = sequenceOf(message.reply ?? '')
    // Whether a later one is a gap in the stream or on the way is for the listener to find out.
    if (sequence < this.#next) return this.#later(`sequence ${sequence} again`)
    this.#next = sequence + 1
    this.#pulled--
    this.#brought++
    // The bytes are the message's own: a part of what one read of the socket brought, or gathered from several.
    this.#waiting.push({ sequence, segment: segmentOf(message.headers), bytes: message.data })
    this.#tell()
  }

  /** The pull has ended: by its time or its bytes, which is as it should be, or with its consumer. */
  #status(code: number, description: string): void {
    const isRegular = code === 404 || code === 408 || (code === 409 && /maxbytes|batch completed/i.test(description))
    if (!isRegular) return this.#later(`${code} ${description}`)
    this.#pulled = 0
    this.#isCutShort = code === 409
    this.#tell()
  }

  #tell(): void {
    if (this.#telling !== null) return
    this.#telling = this.#tellAll().then(() => {
      this.#telling = null
      if (this.#waiting.length > 0) this.#tell()
      else if (this.#pulled === 0) this.#pullAgain()
    })
  }

  async #tellAll(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isStopped) {
      const batch = this.#waiting
      this.#waiting = []
      for (const frame of batch) {
        if (!this.#isStopped) await this.#listener.frame(frame)
      }
    }
    if (!this.#isStopped) await this.#listener.idle()
  }
}

/** The stream's sequence stands in the reply subject: `$JS.ACK.[domain.account.]stream.consumer.delivered.SEQUENCE.…` */
function sequenceOf(reply: string): number {
  const tokens = reply.split('.')
  return Number(tokens[tokens.length > 9 ? 7 : 5])
}
