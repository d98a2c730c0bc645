/**
 * A hand-driven AMQP 0-9-1 client: sends exactly the frames (or bytes) a test says and shows exactly what comes back, in
 * order, per channel. Nothing is answered by itself, not even a heartbeat or a close.
 *
 * Invariant: what arrives is taken by `next` in the order of arrival on that channel; every wait has a deadline.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { contentMethods } from './methods.ts'
import {
  type Args,
  type ContentHeader,
  content,
  frame,
  frameBody,
  frameHeader,
  frameHeartbeat,
  frameMethod,
  method,
  type Properties,
  readFrame,
  readHeader,
  readMethod,
  type Table,
  type Value,
} from './wire.ts'

/** What came on one channel: a method, with its content where it has one; a heartbeat; the end of the connection. */
export interface Arrival {
  /** The method's name, or `heartbeat`, or `end`. */
  readonly name: string
  readonly channel: number
  readonly args: Record<string, Value>
  readonly properties: Record<string, Value>
  /** The content header's flags and properties as they came. */
  readonly rawProperties: Buffer
  readonly body: Buffer
  /** How the body came: the payload bytes of each frame. */
  readonly bodyFrames: readonly number[]
}

export interface Publish {
  readonly exchange?: string
  readonly routingKey?: string
  readonly mandatory?: boolean
  readonly immediate?: boolean
  readonly properties?: Properties
  readonly body?: string | Buffer
}

export interface Address {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** Opens the stream to the broker there, instead of TCP. */
  readonly open?: () => Promise<Duplex>
}

export interface Handshake {
  readonly header?: Buffer
  readonly clientProperties?: Table
  readonly mechanism?: string
  readonly response?: Buffer
  readonly channelMax?: number
  readonly frameMax?: number
  readonly heartbeat?: number
  readonly vhost?: string
}

export const protocolHeader = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1')

/** How long a test waits for what must come. */
const waitMsMax = 60_000

/** The capabilities of a full client. */
export const fullCapabilities: Table = {
  publisher_confirms: true,
  exchange_exchange_bindings: true,
  'basic.nack': true,
  consumer_cancel_notify: true,
  'connection.blocked': true,
  authentication_failure_close: true,
}

interface Partial {
  readonly name: string
  readonly args: Record<string, Value>
  header: ContentHeader | null
  readonly bodies: Buffer[]
  bodyBytes: number
}

export class RawClient {
  readonly #socket: Duplex
  #rest: Buffer = Buffer.alloc(0)
  #isFramed = true
  readonly #arrived: Arrival[] = []
  readonly #waiting = new Set<() => void>()
  readonly #partial = new Map<number, Partial>()
  #failure: Error | null = null
  #bodyBytesMax = 131_072 - 8

  private constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('data', (bytes: Buffer) => this.#received(bytes))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#push(arrival('end', 0)))
  }

  // ---------------------------------------------------------------- open

  /** Only the TCP connection, or what the address has instead; nothing is sent. */
  static async dial(address: Address): Promise<RawClient> {
    if (address.open !== undefined) return new RawClient(await address.open())
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new RawClient(socket)
  }

  /** Everything up to `connection.open-ok`. */
  static async connect(address: Address, options: Handshake = {}): Promise<RawClient> {
    const client = await RawClient.dial(address)
    await client.logIn(address, options)
    await client.call(0, 'connection.open', { vhost: options.vhost ?? '/' })
    return client
  }

  /** With channel 1 open. */
  static async withChannel(address: Address, options: Handshake = {}): Promise<RawClient> {
    const client = await RawClient.connect(address, options)
    await client.call(1, 'channel.open')
    return client
  }

  /** Header, start-ok, tune-ok. Gives start and tune as they came. */
  async logIn(address: Address, options: Handshake = {}): Promise<{ start: Arrival; tune: Arrival }> {
    this.sendBytes(options.header ?? protocolHeader)
    const start = await this.expect(0, 'connection.start')
    this.send(0, 'connection.start-ok', {
      clientProperties: options.clientProperties ?? { product: 'raw test client', capabilities: fullCapabilities },
      mechanism: options.mechanism ?? 'PLAIN',
      response: options.response ?? plainResponse(address.user, address.password),
      locale: 'en_US',
    })
    const tune = await this.expect(0, 'connection.tune')
    const frameMax = options.frameMax ?? Number(tune.args['frameMax'])
    this.#bodyBytesMax = frameMax - 8
    this.send(0, 'connection.tune-ok', {
      channelMax: options.channelMax ?? Number(tune.args['channelMax']),
      frameMax,
      heartbeat: options.heartbeat ?? 0,
    })
    return { start, tune }
  }

  // ---------------------------------------------------------------- send

  sendBytes(...bytes: Buffer[]): void {
    this.#socket.write(Buffer.concat(bytes))
  }

  send(channel: number, name: string, args: Args = {}): void {
    this.#socket.write(method(channel, name, args))
  }

  sendFrame(type: number, channel: number, payload: Buffer): void {
    this.#socket.write(frame(type, channel, payload))
  }

  publish(channel: number, publish: Publish): void {
    this.#socket.write(this.publishBytes(channel, publish))
  }

  publishBytes(channel: number, publish: Publish): Buffer {
    const { exchange = '', routingKey = '', mandatory = false, immediate = false, properties = {} } = publish
    return Buffer.concat([
      method(channel, 'basic.publish', { exchange, routingKey, mandatory, immediate }),
      content(channel, properties, Buffer.from(publish.body ?? ''), this.#bodyBytesMax),
    ])
  }

  /** Sends a request and gives its `-ok`, which must be the next on that channel. */
  async call(channel: number, name: string, args: Args = {}): Promise<Arrival> {
    this.send(channel, name, args)
    return this.expect(channel, `${name}-ok`)
  }

  // ---------------------------------------------------------------- receive

  /** The next on this channel, whatever it is. The end of the connection is on every channel, and stays there. */
  async next(channel: number, msMax = waitMsMax): Promise<Arrival> {
    const deadline = Date.now() + msMax
    for (;;) {
      if (this.#failure !== null) throw this.#failure
      const index = this.#arrived.findIndex((one) => one.channel === channel || one.name === 'end')
      const found = this.#arrived[index]
      if (found !== undefined) {
        if (found.name !== 'end') this.#arrived.splice(index, 1)
        return found
      }
      if (!(await this.#more(deadline - Date.now()))) {
        throw new Error(`nothing came on channel ${channel} within ${msMax} ms${this.#summary()}`)
      }
    }
  }

  /** The next on whatever channel. */
  async nextOnAny(msMax = waitMsMax): Promise<Arrival> {
    if (this.#arrived.length === 0 && !(await this.#more(msMax))) throw new Error(`nothing came within ${msMax} ms`)
    const found = this.#arrived[0]
    if (found === undefined) throw this.#failure ?? new Error('woken by nothing')
    return this.next(found.channel)
  }

  /** The next on this channel, which must be this method. */
  async expect(channel: number, name: string, msMax = waitMsMax): Promise<Arrival> {
    const found = await this.next(channel, msMax)
    if (found.name !== name) assert.fail(`waited for ${name} on channel ${channel}, but there came ${describe(found)}`)
    return found
  }

  /** Takes `count` of the same method. */
  async expectMany(channel: number, name: string, count: number): Promise<Arrival[]> {
    const found: Arrival[] = []
    while (found.length < count) found.push(await this.expect(channel, name))
    return found
  }

  /** Takes everything that has come on this channel; nothing is waited for. */
  takeWaiting(channel: number): Arrival[] {
    const taken: Arrival[] = []
    const left = this.#arrived.splice(0)
    for (const one of left) {
      if (one.channel === channel && one.name !== 'end') taken.push(one)
      else this.#arrived.push(one)
    }
    return taken
  }

  /** What has come on this channel and was not taken; nothing is waited for. */
  waiting(channel: number): string[] {
    return this.#arrived.filter((one) => one.channel === channel && one.name !== 'end').map((one) => one.name)
  }

  /** The broker closes the channel with this code and text; it is answered. */
  async expectChannelClose(channel: number, code: number, text: string | RegExp): Promise<Arrival> {
    const close = await this.expect(channel, 'channel.close')
    checkReply(close, code, text)
    this.send(channel, 'channel.close-ok')
    return close
  }

  /** The broker closes the connection with this code and text; it is answered, and the socket ends. */
  async expectConnectionClose(code: number, text: string | RegExp): Promise<Arrival> {
    const close = await this.expect(0, 'connection.close')
    checkReply(close, code, text)
    this.send(0, 'connection.close-ok')
    await this.expect(0, 'end')
    return close
  }

  /** One message, or null. */
  async get(channel: number, queue: string, options: { noAck?: boolean } = {}): Promise<Arrival | null> {
    this.send(channel, 'basic.get', { queue, noAck: options.noAck ?? true })
    const answer = await this.next(channel)
    if (answer.name === 'basic.get-empty') return null
    if (answer.name !== 'basic.get-ok') assert.fail(`basic.get was answered by ${describe(answer)}`)
    return answer
  }

  /** Everything in a queue, taken and gone. */
  async drain(channel: number, queue: string): Promise<string[]> {
    const bodies: string[] = []
    for (let one = await this.get(channel, queue); one !== null; one = await this.get(channel, queue)) {
      bodies.push(one.body.toString())
    }
    return bodies
  }

  /** Bytes as they come instead of frames: for what is no frame. */
  readUnframed(): void {
    this.#isFramed = false
  }

  get unframed(): Buffer {
    return this.#rest
  }

  // ---------------------------------------------------------------- close

  async close(): Promise<void> {
    this.send(0, 'connection.close', { replyCode: 200, replyText: 'bye' })
    for (let one = await this.next(0); one.name !== 'connection.close-ok'; one = await this.next(0)) {
      if (one.name !== 'heartbeat') assert.fail(`connection.close was answered by ${describe(one)}`)
    }
    this.#socket.destroy()
  }

  /** Drops the connection without a word. */
  destroy(): void {
    this.#socket.destroy()
  }

  // ---------------------------------------------------------------- inside

  #received(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes])
    if (!this.#isFramed) return
    try {
      for (let read = readFrame(this.#rest); read !== null; read = readFrame(this.#rest)) {
        this.#rest = this.#rest.subarray(read.length)
        this.#frame(read.frame.type, read.frame.channel, read.frame.payload)
      }
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error))
      this.#wake()
    }
  }

  #frame(type: number, channel: number, payload: Buffer): void {
    const partial = this.#partial.get(channel)
    if (type === frameHeartbeat) {
      this.#push(arrival('heartbeat', channel))
    } else if (type === frameMethod) {
      const { name, args } = readMethod(payload)
      if (partial !== undefined) throw new Error(`${name} in the middle of ${describePartial(partial)}`)
      if (contentMethods.has(name)) this.#partial.set(channel, { name, args, header: null, bodies: [], bodyBytes: 0 })
      else this.#push({ ...arrival(name, channel), args })
    } else if (partial === undefined) {
      throw new Error(`content frame ${type} without a method`)
    } else if (type === frameHeader) {
      partial.header = readHeader(payload)
      this.#finishContent(channel, partial)
    } else if (type === frameBody) {
      partial.bodies.push(payload)
      partial.bodyBytes += payload.length
      this.#finishContent(channel, partial)
    } else {
      throw new Error(`a frame of type ${type}`)
    }
  }

  #finishContent(channel: number, partial: Partial): void {
    const { name, args, header, bodies } = partial
    if (header === null) throw new Error(`${name}: a body before its header`)
    if (partial.bodyBytes > header.bodyBytes) throw new Error(`${name}: more body than its header says`)
    if (partial.bodyBytes < header.bodyBytes) return
    this.#partial.delete(channel)
    const body = Buffer.concat(bodies)
    const bodyFrames = bodies.map((bytes) => bytes.length)
    this.#push({ name, channel, args, properties: header.properties, rawProperties: header.raw, body, bodyFrames })
  }

  #push(one: Arrival): void {
    this.#arrived.push(one)
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
  }

  /** True as soon as anything has come, false when the time is over. */
  async #more(ms: number): Promise<boolean> {
    if (ms <= 0) return false
    return new Promise((resolve) => {
      const timer = setTimeout(() => end(false), ms)
      const end = (isMore: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(wake)
        resolve(isMore)
      }
      const wake = (): void => end(true)
      this.#waiting.add(wake)
    })
  }

  #summary(): string {
    if (this.#arrived.length === 0) return ''
    return `; on other channels there came ${this.#arrived.map(describe).join(', ')}`
  }
}

export function plainResponse(user: string, password: string): Buffer {
  return Buffer.from(`\0${user}\0${password}`)
}

export function describe(one: Arrival): string {
  const args = JSON.stringify(one.args)
  return `${one.name}${args === '{}' ? '' : ` ${args}`}${one.body.length > 0 ? ` with ${one.body.length} bytes` : ''}`
}

function describePartial({ name, args, header, bodyBytes }: Partial): string {
  const come = header === null ? 'no header' : `${bodyBytes} of ${header.bodyBytes} bytes`
  return `${name} ${JSON.stringify(args)}, of which there came ${come}`
}

function checkReply(close: Arrival, code: number, text: string | RegExp): void {
  assert.equal(close.args['replyCode'], code, `the reply was: ${describe(close)}`)
  if (typeof text === 'string') assert.equal(close.args['replyText'], text)
  else assert.match(String(close.args['replyText']), text)
}

function arrival(name: string, channel: number): Arrival {
  return {
    name,
    channel,
    args: {},
    properties: {},
    rawProperties: Buffer.alloc(0),
    body: Buffer.alloc(0),
    bodyFrames: [],
  }
}
