/**
 * A client that says exactly what a test wants, byte by byte if need be, over a pair of sockets in memory, and keeps what
 * the server says. It answers nothing by itself.
 */
import * as assert from 'node:assert/strict'
import { ByteWriter } from '../../src/amqp/byte-writer.ts'
import { ChunkedFrames } from '../../src/amqp/chunked-frames.ts'
import { bodySizeOf, encodeContentHeader, type SomeProperties } from '../../src/amqp/content-header.ts'
import { emptyTable, type FieldTable, tableOf } from '../../src/amqp/field-table.ts'
import { FrameTypes } from '../../src/amqp/frame-decoder.ts'
import {
  encodeBodyFrames,
  encodeHeaderFrame,
  encodeMethodFrame,
  heartbeatFrame,
  protocolHeader,
} from '../../src/amqp/frame-encoder.ts'
import { decodeMethod, type Method, Methods } from '../../src/amqp/methods.generated.ts'
import type { Socket, SocketReader } from '../../src/base/network.ts'

/** One thing the server said. A method with content comes as one. */
export interface Heard {
  readonly channel: number
  readonly name: Method['name'] | 'heartbeat'
  readonly method: Method | null
  /** Of the content: the header's payload and the whole body. */
  readonly header: Uint8Array | null
  readonly body: Uint8Array | null
  /** How many body frames there were. */
  readonly bodyFrames: number
}

export class MemoryClient implements SocketReader {
  readonly socket: Socket
  /** Everything the server said and nobody took yet. */
  heard: Heard[] = []
  /** What came in front of the first frame: a protocol header. */
  refusal: Uint8Array | null = null
  isClosed = false
  /** Largest frame that came, in bytes. */
  frameBytesSeen = 0
  readonly #frames = new ChunkedFrames(1024 * 1024)
  #content: { method: Method; channel: number; header: Uint8Array | null; body: Uint8Array[]; missing: number } | null =
    null

  constructor(socket: Socket) {
    this.socket = socket
    socket.open(this)
  }

  // ---- what the server says

  data(buffer: Uint8Array, start: number, end: number): void {
    const bytes = buffer.slice(start, end)
    if (bytes[0] === protocolHeader[0] && this.heard.length === 0) {
      this.refusal = bytes
      return
    }
    this.#frames.push(bytes)
    while (this.#frames.next()) this.#frame()
  }

  ended(): void {
    this.socket.destroy()
  }

  closed(): void {
    this.isClosed = true
  }

  #frame(): void {
    const { type, channel, buffer, payloadStart, payloadEnd, frameStart, frameEnd } = this.#frames.decoder
    this.frameBytesSeen = Math.max(this.frameBytesSeen, frameEnd - frameStart)
    const content = this.#content
    if (type === FrameTypes.Heartbeat) {
      this.#hear({ channel, name: 'heartbeat', method: null })
      return
    }
    if (type === FrameTypes.Method) {
      assert.equal(content, null, 'a method inside of content')
      const method = decodeMethod(buffer, payloadStart, payloadEnd)
      const hasContent = ['basic.deliver', 'basic.get-ok', 'basic.return'].includes(method.name)
      if (hasContent) this.#content = { method, channel, header: null, body: [], missing: 0 }
      else this.#hear({ channel, name: method.name, method })
      return
    }
    assert.ok(content !== null && content.channel === channel, 'content belongs to a method of its channel')
    if (type === FrameTypes.Header) {
      content.header = buffer.slice(payloadStart, payloadEnd)
      content.missing = bodySizeOf(buffer, payloadStart, payloadEnd)
    } else {
      content.body.push(buffer.slice(payloadStart, payloadEnd))
      content.missing -= payloadEnd - payloadStart
    }
    if (content.missing > 0) return
    this.#content = null
    const body = Buffer.concat(content.body)
    const { method, header } = content
    this.#hear({ channel, name: method.name, method, header, body, bodyFrames: content.body.length })
  }

  #hear(heard: Partial<Heard> & Pick<Heard, 'channel' | 'name' | 'method'>): void {
    this.heard.push({ header: null, body: null, bodyFrames: 0, ...heard })
  }

  /** The names of all that was heard, which is then forgotten. */
  async names(): Promise<string[]> {
    await turns()
    return this.heard.splice(0).map(({ name, channel }) => (channel === 0 ? name : `${channel} ${name}`))
  }

  /** The next thing the server says, which must have this name. */
  async next<N extends Heard['name']>(name: N): Promise<Heard & { method: Extract<Method, { name: N }> }> {
    for (let waited = 0; this.heard.length === 0 && waited < patienceTurns && !this.isClosed; waited++) await turn()
    const heard = this.heard.shift()
    assert.equal(heard?.name, name, `heard ${JSON.stringify(heard?.method)}`)
    return heard as Heard & { method: Extract<Method, { name: N }> }
  }

  /** So many things of this name, in a row. */
  async nextOf<N extends Heard['name']>(count: number, name: N): Promise<Heard[]> {
    const all: Heard[] = []
    while (all.length < count) all.push(await this.next(name))
    return all
  }

  /** The socket has been closed by the server. */
  async closedByServer(): Promise<void> {
    for (let waited = 0; !this.isClosed && waited < patienceTurns; waited++) await turn()
    assert.ok(this.isClosed, 'the server closes the socket')
  }

  /** The server closes the channel for this reason, and the connection goes on: the channel can be opened again. */
  async closesChannel(code: number, text: string | RegExp, channel = 1): Promise<void> {
    const { method, channel: closed } = await this.next('channel.close')
    assert.deepEqual([method.replyCode, closed], [code, channel])
    fits(method.replyText, text)
    this.methods(channel, channelCloseOk)
    await this.openChannel(channel)
  }

  /** The server closes the connection for this reason; the client agrees. */
  async closesConnection(code: number, text: string | RegExp): Promise<void> {
    const { method } = await this.next('connection.close')
    assert.equal(method.replyCode, code)
    fits(method.replyText, text)
    this.methods(0, connectionCloseOk)
    await this.closedByServer()
  }

  // ---- what it says

  bytes(bytes: Uint8Array): void {
    this.socket.write(bytes, () => {})
  }

  methods(channel: number, ...methods: Method[]): void {
    const writer = new ByteWriter()
    for (const method of methods) encodeMethodFrame(writer, channel, method)
    this.bytes(writer.copy())
  }

  heartbeat(): void {
    this.bytes(heartbeatFrame)
  }

  publish(channel: number, target: PublishOptions, body: Uint8Array | string = ''): void {
    this.bytes(publishBytes(channel, target, body))
  }

  // ---- the usual beginning

  /** Up to connection.open-ok. */
  async login(options: LoginOptions = {}): Promise<this> {
    this.bytes(protocolHeader)
    await this.next('connection.start')
    this.methods(0, startOk(options))
    const { method: tune } = await this.next('connection.tune')
    this.methods(0, {
      id: Methods.ConnectionTuneOk,
      name: 'connection.tune-ok',
      channelMax: options.channelMax ?? tune.channelMax,
      frameMax: options.frameMax ?? tune.frameMax,
      heartbeat: options.heartbeat ?? 0,
    })
    this.methods(0, { id: Methods.ConnectionOpen, name: 'connection.open', virtualHost: options.vhost ?? '/' })
    await this.next('connection.open-ok')
    return this
  }

  async openChannel(channel = 1): Promise<this> {
    this.methods(channel, channelOpen)
    await this.next('channel.open-ok')
    return this
  }

  async declare(
    channel: number,
    queue: string,
    options: { durable?: boolean; exclusive?: boolean } = {},
  ): Promise<void> {
    this.methods(channel, queueDeclare(queue, options))
    await this.next('queue.declare-ok')
  }

  async consume(channel: number, queue: string, consumerTag: string, options: { noAck?: boolean } = {}): Promise<void> {
    this.methods(channel, basicConsume(queue, consumerTag, options))
    await this.next('basic.consume-ok')
  }
}

export interface LoginOptions {
  readonly username?: string
  readonly password?: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly channelMax?: number
  readonly frameMax?: number
  readonly heartbeat?: number
  readonly vhost?: string
}

export interface PublishOptions {
  readonly exchange?: string
  readonly routingKey: string
  readonly mandatory?: boolean
  readonly immediate?: boolean
  readonly properties?: SomeProperties
  /** Largest frame to cut the body to, in bytes. */
  readonly frameBytesMax?: number
}

export function publishBytes(channel: number, target: PublishOptions, body: Uint8Array | string = ''): Uint8Array {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
  const writer = new ByteWriter()
  encodeMethodFrame(writer, channel, {
    id: Methods.BasicPublish,
    name: 'basic.publish',
    exchange: target.exchange ?? '',
    routingKey: target.routingKey,
    mandatory: target.mandatory ?? false,
    immediate: target.immediate ?? false,
  })
  const header = new ByteWriter()
  encodeContentHeader(header, bytes.length, target.properties ?? {})
  encodeHeaderFrame(writer, channel, header.buffer, 0, header.length)
  encodeBodyFrames(writer, channel, target.frameBytesMax ?? 131_072, bytes)
  return writer.copy()
}

export function startOk({ username = 'guest', password = 'guest', capabilities = {} }: LoginOptions = {}): Method {
  return {
    id: Methods.ConnectionStartOk,
    name: 'connection.start-ok',
    clientProperties: tableOf({ product: 'test', capabilities: { ...capabilities } }),
    mechanism: 'PLAIN',
    response: new TextEncoder().encode(`\0${username}\0${password}`),
    locale: 'en_US',
  }
}

export const channelOpen: Method = { id: Methods.ChannelOpen, name: 'channel.open' }
export const channelCloseOk: Method = { id: Methods.ChannelCloseOk, name: 'channel.close-ok' }
export const connectionCloseOk: Method = { id: Methods.ConnectionCloseOk, name: 'connection.close-ok' }
export const confirmSelect: Method = { id: Methods.ConfirmSelect, name: 'confirm.select', noWait: false }
export const txSelect: Method = { id: Methods.TxSelect, name: 'tx.select' }
export const txCommit: Method = { id: Methods.TxCommit, name: 'tx.commit' }
export const txRollback: Method = { id: Methods.TxRollback, name: 'tx.rollback' }

const goodbye = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 }
export const channelClose: Method = { id: Methods.ChannelClose, name: 'channel.close', ...goodbye }
export const connectionClose: Method = { id: Methods.ConnectionClose, name: 'connection.close', ...goodbye }

export function queueDeclare(
  queue: string,
  options: { durable?: boolean; exclusive?: boolean; passive?: boolean; noWait?: boolean; arguments?: FieldTable } = {},
): Method {
  return {
    id: Methods.QueueDeclare,
    name: 'queue.declare',
    queue,
    passive: options.passive ?? false,
    durable: options.durable ?? false,
    exclusive: options.exclusive ?? false,
    autoDelete: false,
    noWait: options.noWait ?? false,
    arguments: options.arguments ?? emptyTable,
  }
}

export function basicConsume(
  queue: string,
  consumerTag: string,
  options: { noAck?: boolean; noWait?: boolean } = {},
): Method {
  return {
    id: Methods.BasicConsume,
    name: 'basic.consume',
    queue,
    consumerTag,
    noLocal: false,
    noAck: options.noAck ?? false,
    exclusive: false,
    noWait: options.noWait ?? false,
    arguments: emptyTable,
  }
}

export function basicGet(queue: string, noAck = false): Method {
  return { id: Methods.BasicGet, name: 'basic.get', queue, noAck }
}

export function basicAck(deliveryTag: number, multiple = false): Method {
  return { id: Methods.BasicAck, name: 'basic.ack', deliveryTag, multiple }
}

export function basicNack(deliveryTag: number, multiple: boolean, requeue: boolean): Method {
  return { id: Methods.BasicNack, name: 'basic.nack', deliveryTag, multiple, requeue }
}

export function basicQos(prefetchCount: number, global = false, prefetchSize = 0): Method {
  return { id: Methods.BasicQos, name: 'basic.qos', prefetchSize, prefetchCount, global }
}

export function basicCancel(consumerTag: string): Method {
  return { id: Methods.BasicCancel, name: 'basic.cancel', consumerTag, noWait: false }
}

function fits(text: string, expected: string | RegExp): void {
  if (typeof expected === 'string') assert.equal(text, expected)
  else assert.match(text, expected)
}

/** Everything that is ready has happened. */
export async function turns(count = 24): Promise<void> {
  for (let done = 0; done < count; done++) await turn()
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Turns of the event loop a test waits for what must come. */
const patienceTurns = 20_000
