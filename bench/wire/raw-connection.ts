import { connect, type Socket } from 'node:net'
import type { AmqpAddress } from './amqp-url.ts'
import { frameEnd } from './frame-end.ts'
import * as frames from './method-frames.ts'
import { FrameType, MethodId, showMethod } from './method-ids.ts'
import { type FrameReader, ReadBuffer } from './read-buffer.ts'
import { readServerName } from './server-name.ts'

export interface ConnectOptions {
  /** Shown by the broker's management page. */
  readonly name: string
  /** Largest frame we offer; the broker may lower it. */
  readonly frameBytesMax: number
}

/** What a connection tells its user outside of calls. */
export interface ConnectionEvents {
  /** Everything written so far is in the kernel's hands. */
  drained(): void
  /** The broker asked publishers to wait (connection.blocked, channel.flow), or to go on. */
  blocked(isBlocked: boolean): void
  /** Lost, refused or closed by the broker. Last event. */
  failed(error: Error): void
}

const connectMsMax = 10_000
const channelMaxOffered = 2047

/**
 * One AMQP connection with one channel (number 1) at the lowest useful level: handshake, calls that wait for their
 * answer, writes of prebuilt bytes, and a reader that parses deliveries or confirms in place. No reconnecting, no
 * object per message.
 */
export class RawConnection implements FrameReader {
  readonly channel = 1
  readonly #socket: Socket
  readonly #buffer: ReadBuffer
  #frameBytesMax: number
  #serverName = 'broker'
  #reader: FrameReader = this
  #events: ConnectionEvents | null = null
  #pending: { reply: number; resolve: (payload: Buffer) => void; reject: (error: Error) => void } | null = null
  #failure: Error | null = null
  #isClosing = false

  static async open(address: AmqpAddress, options: ConnectOptions): Promise<RawConnection> {
    const connection = new RawConnection(address, options)
    const timer = setTimeout(() => connection.fail(new Error('no handshake within 10 s')), connectMsMax)
    try {
      await connection.#handshake(address, options)
    } finally {
      clearTimeout(timer)
    }
    return connection
  }

  private constructor(address: AmqpAddress, options: ConnectOptions) {
    this.#frameBytesMax = options.frameBytesMax
    this.#buffer = new ReadBuffer(options.frameBytesMax)
    const onread = { buffer: this.#buffer.region, callback: (count: number) => this.#received(count) }
    // With a high-water mark of one byte 'drain' follows each write that the kernel did not take at once.
    const settings = { host: address.host, port: address.port, noDelay: true, writableHighWaterMark: 1, onread }
    this.#socket = connect(settings)
    this.#socket.on('error', (error) => this.fail(error))
    this.#socket.on('close', () => this.fail(new Error('the broker closed the connection')))
    this.#socket.on('drain', () => this.#events?.drained())
  }

  /** Negotiated: no frame in either direction is larger. */
  get frameBytesMax(): number {
    return this.#frameBytesMax
  }

  /** Product and version as the broker calls itself. */
  get serverName(): string {
    return this.#serverName
  }

  /** From now on this reader gets the frames; it hands methods it does not know to `control`. */
  use(reader: FrameReader, events: ConnectionEvents): void {
    this.#reader = reader
    this.#events = events
  }

  /** Sends a method and waits for its answer; resolves to the answer's payload, method number included. One at a time. */
  call(frame: Uint8Array, reply: number): Promise<Buffer> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#pending !== null) return Promise.reject(new Error('a call is already waiting for its answer'))
    return new Promise((resolve, reject) => {
      this.#pending = { reply, resolve, reject }
      this.#socket.write(frame)
    })
  }

  /** Writes bytes as one send. False: the kernel has not taken everything yet; wait for `drained`. */
  send(bytes: Uint8Array): boolean {
    if (this.#failure !== null || this.#isClosing) return false
    this.#socket.write(bytes)
    return this.#socket.writableLength === 0
  }

  async close(): Promise<void> {
    if (this.#failure === null) {
      this.#isClosing = true
      const closed = this.call(frames.connectionClose(), MethodId.ConnectionCloseOk)
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 2000).unref())]).catch(() => {})
    }
    this.#socket.destroy()
  }

  read(bytes: Uint8Array, view: DataView, start: number, end: number): number {
    let at = start
    for (;;) {
      const next = frameEnd(bytes, view, at, end, this.#frameBytesMax)
      if (next === 0) return at
      if (bytes[at] === FrameType.Method) this.control(view, at, next)
      at = next
    }
  }

  /** A method frame that is neither delivery nor confirm: answers to calls, closings, blocking. */
  control(view: DataView, frameStart: number, frameEndAt: number): void {
    const payload = Buffer.from(view.buffer as ArrayBuffer, frameStart + 7, frameEndAt - frameStart - 8)
    const channel = view.getUint16(frameStart + 1)
    const method = payload.readUInt32BE(0)
    switch (method) {
      case MethodId.ConnectionClose:
        this.#socket.write(frames.bareMethod(0, MethodId.ConnectionCloseOk))
        this.fail(closeError('connection', payload))
        break
      case MethodId.ChannelClose:
        this.#socket.write(frames.bareMethod(channel, MethodId.ChannelCloseOk))
        this.#refused(closeError('channel', payload))
        break
      case MethodId.ConnectionBlocked:
        this.#events?.blocked(true)
        break
      case MethodId.ConnectionUnblocked:
        this.#events?.blocked(false)
        break
      case MethodId.ChannelFlow:
        this.#socket.write(frames.flowOk(channel, payload[4] === 1))
        this.#events?.blocked(payload[4] === 0)
        break
      case MethodId.BasicCancel:
        this.fail(new Error('the broker cancelled a consumer'))
        break
      default:
        this.#answer(method, payload)
    }
  }

  /** Ends the connection; every later call is refused with this error. */
  fail(error: Error): void {
    if (this.#failure !== null) return
    this.#failure = error
    this.#socket.destroy()
    const pending = this.#pending
    this.#pending = null
    pending?.reject(error)
    if (!this.#isClosing && pending === null) this.#events?.failed(error)
  }

  #received(count: number): boolean {
    try {
      this.#buffer.received(count, this.#reader)
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)))
    }
    return true
  }

  #answer(method: number, payload: Buffer): void {
    const pending = this.#pending
    if (pending === null || pending.reply !== method) {
      throw new Error(`the broker sent ${showMethod(method)}, which was not expected`)
    }
    this.#pending = null
    pending.resolve(Buffer.from(payload))
  }

  /** A closed channel refuses the call that is under way; without one it ends the connection. */
  #refused(error: Error): void {
    const pending = this.#pending
    this.#pending = null
    if (pending === null) this.fail(error)
    else pending.reject(error)
  }

  async #handshake(address: AmqpAddress, options: ConnectOptions): Promise<void> {
    const start = await this.call(frames.protocolHeader, MethodId.ConnectionStart)
    this.#serverName = readServerName(start)
    const tune = await this.call(frames.startOk(address.user, address.password, options.name), MethodId.ConnectionTune)
    const channelMax = tune.readUInt16BE(4)
    const frameBytesMax = tune.readUInt32BE(6)
    // Zero means "no limit of mine" (AMQP 0-9-1 §1.4.2.6).
    if (frameBytesMax !== 0) this.#frameBytesMax = Math.min(frameBytesMax, this.#frameBytesMax)
    const channels = channelMax === 0 ? channelMaxOffered : Math.min(channelMax, channelMaxOffered)
    this.#socket.write(frames.tuneOk(channels, this.#frameBytesMax))
    await this.call(frames.connectionOpen(address.vhost), MethodId.ConnectionOpenOk)
    await this.call(frames.channelOpen(this.channel), MethodId.ChannelOpenOk)
  }
}

function closeError(scope: string, payload: Buffer): Error {
  const code = payload.readUInt16BE(4)
  const text = payload.toString('utf8', 7, 7 + (payload[6] ?? 0))
  return new Error(`the broker closed the ${scope}: ${code} ${text}`)
}
