import { ByteWriter } from '../../../../src/amqp/byte-writer.ts'
import { encodeContentHeader, type SomeProperties } from '../../../../src/amqp/content-header.ts'
import { tableOf } from '../../../../src/amqp/field-table.ts'
import { FrameDecoder, FrameTypes } from '../../../../src/amqp/frame-decoder.ts'
import { encodeBodyFrames, encodeHeaderFrame, encodeMethodFrame } from '../../../../src/amqp/frame-encoder.ts'
import { decodeMethod, type Method, Methods } from '../../../../src/amqp/methods.generated.ts'
import type { ByteReader, ByteStream } from '../../../../src/client/driver/byte-stream.ts'

/** The broker's end of a stream: it logs a client in, answers what a test says, and keeps what the client sent. */
export class ScriptedBroker implements ByteStream {
  /** Names of the methods that came. */
  readonly heard: string[] = []
  readonly methods: Method[] = []
  heartbeatCount = 0
  isDestroyed = false
  isEnded = false
  frameMax = 131_072
  heartbeat = 10
  /** What answers a method; null says nothing. */
  answer: (method: Method, channel: number) => Method | null = () => null
  #reader: ByteReader | null = null

  open(reader: ByteReader): void {
    this.#reader = reader
  }

  write(bytes: Uint8Array): void {
    if (bytes[0] === 0x41) return this.#start(bytes.subarray(8))
    this.#read(bytes)
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
  }

  /** Bytes of whatever kind. */
  raw(bytes: Uint8Array): void {
    this.#reader?.data(bytes)
  }

  /** The socket has gone. */
  vanish(): void {
    this.#reader?.closed(null)
  }

  say(channel: number, method: Method): void {
    this.raw(frames((writer) => encodeMethodFrame(writer, channel, method)))
  }

  #start(rest: Uint8Array): void {
    this.say(0, {
      id: Methods.ConnectionStart,
      name: 'connection.start',
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: tableOf({ capabilities: { publisher_confirms: true }, product: 'Warren', version: '1' }),
      mechanisms: 'PLAIN',
      locales: 'en_US',
    })
    if (rest.length > 0) this.#read(rest)
  }

  #read(bytes: Uint8Array): void {
    const decoder = new FrameDecoder(1_000_000)
    decoder.reset(bytes, 0, bytes.length)
    while (decoder.next()) {
      if (decoder.type === FrameTypes.Heartbeat) this.heartbeatCount++
      if (decoder.type !== FrameTypes.Method) continue
      const method = decodeMethod(decoder.buffer, decoder.payloadStart, decoder.payloadEnd)
      this.heard.push(method.name)
      this.methods.push(method)
      this.#answer(method, decoder.channel)
    }
  }

  #answer(method: Method, channel: number): void {
    const answer = this.answer(method, channel)
    if (answer !== null) return this.say(channel, answer)
    switch (method.id) {
      case Methods.ConnectionStartOk: {
        const { frameMax, heartbeat } = this
        return this.say(0, {
          id: Methods.ConnectionTune,
          name: 'connection.tune',
          channelMax: 100,
          frameMax,
          heartbeat,
        })
      }
      case Methods.ConnectionOpen:
        return this.say(0, { id: Methods.ConnectionOpenOk, name: 'connection.open-ok' })
      case Methods.ChannelOpen:
        return this.say(channel, { id: Methods.ChannelOpenOk, name: 'channel.open-ok' })
      case Methods.ConnectionClose:
        return this.say(0, { id: Methods.ConnectionCloseOk, name: 'connection.close-ok' })
    }
  }
}

export function frames(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  write(writer)
  return writer.buffer.slice(0, writer.length)
}

/** `basic.deliver` with its content, as frames. */
export function deliverFrames(
  channel: number,
  consumerTag: string,
  body: Uint8Array,
  properties: SomeProperties,
): Uint8Array {
  return frames((writer) => {
    encodeMethodFrame(writer, channel, {
      id: Methods.BasicDeliver,
      name: 'basic.deliver',
      consumerTag,
      deliveryTag: 1,
      redelivered: false,
      exchange: '',
      routingKey: 'q',
    })
    const header = new ByteWriter()
    encodeContentHeader(header, body.length, properties)
    encodeHeaderFrame(writer, channel, header.buffer, 0, header.length)
    encodeBodyFrames(writer, channel, 4_096, body, 0, body.length)
  })
}
