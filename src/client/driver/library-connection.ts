/**
 * One AMQP connection by `@cloudamqp/amqp-client`, over any stream of bytes. The library does the protocol; here are the
 * transport, heartbeats, limits, and why something was closed.
 *
 * Nothing that a peer sends throws out of here: whatever the library cannot read is the end of the connection.
 */
import { AMQPBaseClient } from '@cloudamqp/amqp-client/amqp-base-client'
import { AMQPChannel } from '@cloudamqp/amqp-client/amqp-channel'
import { AMQPView } from '@cloudamqp/amqp-client/amqp-view'
import type { Clock, Timer } from '../../base/clock.ts'
import { closedByUser, connectionClosed, connectionLost, WarrenError } from '../errors.ts'
import type { ByteStream } from './byte-stream.ts'
import type { ChannelEvents, ConnectionEvents, ConnectTarget, DriverChannel, OutgoingMessage } from './driver.ts'
import { FrameSplitter } from './frame-splitter.ts'
import { LibraryChannel } from './library-channel.ts'
import { MessageWriter } from './message-writer.ts'
import { Output } from './output.ts'
import {
  bodyBytesIn,
  type CloseReason,
  channelClose,
  closeReasonIn,
  connectionClose,
  connectionStart,
  methodOf,
  serverProperty,
} from './peer-frames.ts'

/** Asked of the broker, in bytes. */
const frameBytesMax = 128 * 1024
/** Where the broker sets no limit, in bytes. */
const unlimitedFrameBytesMax = 16 * 1024 * 1024
/** Of one message, in bytes: as much as brokers can be set to. The library makes room for all of it at once. */
const bodyBytesMax = 512 * 1024 * 1024
/** AMQP 0-9-1 §4.2.3. */
const frameBytesMin = 4096
/** How often silence is looked for: a third of the heartbeat, as either side may be late by one. */
const looksPerHeartbeat = 3
/** So many heartbeats without a byte from the broker, and it is gone (AMQP 0-9-1 §4.2.7). */
const silentHeartbeatsMax = 2

const protocolHeader = Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1)
const heartbeatFrame = Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0xce)
const sent: Promise<void> = Promise.resolve()

export class LibraryConnection extends AMQPBaseClient {
  /** How errors name the broker. */
  readonly label: string
  readonly #stream: ByteStream
  readonly #clock: Clock
  readonly #events: ConnectionEvents
  readonly #output: Output
  readonly #splitter: FrameSplitter
  readonly #writer = new MessageWriter()
  /** Why the broker closes the channel whose frame is being read. */
  #channelReason: CloseReason | null = null
  #endedBy: WarrenError | null = null
  #isEnded = false
  #isClosing = false
  #heardAt: number
  #timer: Timer | null = null
  #product = ''
  #onEnd: (() => void)[] = []

  constructor(target: ConnectTarget, stream: ByteStream, parts: { clock: Clock; events: ConnectionEvents }) {
    const { vhost, username, password, connectionName, heartbeatSeconds } = target
    super(vhost, username, password, connectionName, 'warrenmq/client', frameBytesMax, heartbeatSeconds)
    this.label = target.label
    this.#stream = stream
    this.#clock = parts.clock
    this.#events = parts.events
    this.#output = new Output(stream, parts.clock)
    this.#splitter = new FrameSplitter(frameBytesMax, (frame) => this.#frame(frame))
    this.#heardAt = parts.clock.monotonic()
    this.onerror = () => undefined
    this.onblocked = (reason) => parts.events.blocked(reason)
    this.onunblocked = () => parts.events.unblocked()
  }

  get product(): string {
    return this.#product
  }

  get isWarren(): boolean {
    return this.#product === 'Warren'
  }

  get channelsMax(): number {
    return this.channelMax === 0 ? 65_535 : this.channelMax
  }

  /** Why it ended; null while it has not, or when it ended in order. */
  get endedBy(): WarrenError | null {
    return this.#endedBy
  }

  // ---------------------------------------------------------------- open

  /** Logs in. Rejects with a `WarrenError`. */
  override connect(): Promise<this> {
    this.channels = [new AMQPChannel(this, 0)]
    return new Promise<this>((resolve, reject) => {
      const refused = (): void => reject(this.#endedBy ?? closedByUser('The connection was dropped'))
      this.#onEnd.push(refused)
      this.connectPromise = [
        () => {
          // May throw, which ends the connection and so refuses.
          this.#agree()
          this.#onEnd = this.#onEnd.filter((one) => one !== refused)
          resolve(this)
        },
        refused,
      ]
      this.#stream.open({
        data: (chunk) => this.#received(chunk),
        closed: (error) => this.#end(connectionLost(this.label, error ?? undefined)),
      })
      this.#output.write(protocolHeader)
    })
  }

  /** What the broker wants of frames, within reason. */
  #agree(): void {
    if (this.frameMax === 0) {
      this.#splitter.frameBytesMax = unlimitedFrameBytesMax
      this.frameMax = frameBytesMax
    } else if (this.frameMax < frameBytesMin) {
      throw connectionLost(this.label, new Error(`frames of ${this.frameMax} bytes are too small for AMQP`))
    } else this.#splitter.frameBytesMax = this.frameMax
    this.#watch()
  }

  openChannel(events: ChannelEvents): Promise<DriverChannel> {
    if (this.#isEnded || this.#isClosing) return Promise.reject(connectionLost(this.label, this.#endedBy))
    let id = 1
    while (this.channels[id] !== undefined) id++
    if (id > this.channelsMax) {
      const sentence = `All ${this.channelsMax} channels of the connection to ${this.label} are in use.`
      const mend = 'Use fewer consumers per client, or a second client.'
      return Promise.reject(new WarrenError('TOO_MANY_CHANNELS', sentence, { mend }))
    }
    return LibraryChannel.open(this, id, events)
  }

  // ---------------------------------------------------------------- use

  /** The library's frames. Never rejects: what cannot be written shows as the end of the connection. */
  override send(bytes: Uint8Array): Promise<void> {
    this.#output.write(bytes)
    return sent
  }

  writeMessage(channel: number, message: OutgoingMessage): void {
    this.#output.write(this.#writer.encode(channel, message, this.frameMax))
  }

  /** Once: why the broker closed this channel, while its frame is being read. */
  reasonOf(channel: number): CloseReason | null {
    const reason = this.#channelReason
    return reason !== null && reason.channel === channel ? reason : null
  }

  #received(chunk: Uint8Array): void {
    if (this.#isEnded) return
    this.#heardAt = this.#clock.monotonic()
    try {
      this.#splitter.push(chunk)
    } catch (error) {
      this.#end(error instanceof WarrenError ? error : connectionLost(this.label, error))
    }
  }

  #frame(frame: Uint8Array): void {
    if (this.#isEnded) return
    const method = methodOf(frame)
    if (method === connectionStart) this.#product = serverProperty(frame, 'product')
    else if (method === connectionClose) {
      const { replyCode, replyText } = closeReasonIn(frame)
      this.#endedBy = connectionClosed(replyCode, replyText, this.label)
    } else if (method === channelClose) this.#channelReason = closeReasonIn(frame)
    if (bodyBytesIn(frame) > bodyBytesMax) throw tooLarge(this.label, bodyBytesIn(frame))
    this.parseFrames(new AMQPView(frame.buffer as ArrayBuffer, frame.byteOffset, frame.length))
    this.#channelReason = null
    if (method === connectionClose) this.#end(this.#endedBy)
  }

  /** Sends heartbeats and looks for silence. */
  #watch(): void {
    if (this.heartbeat <= 0 || this.#isEnded) return
    const heartbeatMs = this.heartbeat * 1000
    this.#timer = this.#clock.after(heartbeatMs / looksPerHeartbeat, () => {
      const now = this.#clock.monotonic()
      if (now - this.#heardAt > heartbeatMs * silentHeartbeatsMax) {
        this.#end(
          connectionLost(this.label, new Error(`nothing was heard for ${silentHeartbeatsMax * this.heartbeat} s`)),
        )
        return
      }
      if (now - this.#output.wroteAt > heartbeatMs / silentHeartbeatsMax) this.#output.write(heartbeatFrame)
      this.#watch()
    })
  }

  // ---------------------------------------------------------------- the end

  /** In order, at most so long; then the socket is dropped. Never rejects. */
  async closeWithin(msMax: number): Promise<void> {
    if (this.#isEnded) return
    this.#isClosing = true
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(msMax, () => this.#end(null))
      this.#onEnd.push(() => {
        timer.cancel()
        resolve()
      })
      super.close('', 200).then(
        () => this.#end(null),
        () => this.#end(null),
      )
    })
  }

  destroy(error: WarrenError): void {
    this.#end(error)
  }

  /** The library's word for dropping the socket. */
  protected override closeSocket(): void {
    this.#output.flush()
    this.#stream.end()
  }

  #end(error: WarrenError | null): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.closed = true
    const isOrderly = this.#isClosing && (error === null || error.code === 'CONNECTION_LOST')
    this.#endedBy = isOrderly ? null : (this.#endedBy ?? error)
    this.#timer?.cancel()
    this.#output.flush()
    this.#output.end()
    if (this.#isClosing || error?.code === 'CONNECTION_CLOSED') this.#stream.end()
    else this.#stream.destroy()
    for (const channel of this.channels) channel?.setClosed(this.#endedBy ?? undefined)
    for (const told of this.#onEnd.splice(0)) told()
    this.#events.closed(this.#endedBy)
  }
}

function tooLarge(label: string, bytes: number): WarrenError {
  const sentence = `${label} announced a message of ${bytes} bytes, where ${bodyBytesMax} are possible.`
  return new WarrenError('CONNECTION_LOST', sentence, { mend: 'Limit the size of messages at the broker.' })
}
