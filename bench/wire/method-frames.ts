import { FrameType, frameEndOctet, MethodId } from './method-ids.ts'

/**
 * The method frames a load generator sends outside its hot path: handshake, declarations, acknowledgements. Publishes
 * are built by `publish-batch.ts`.
 */

/** Writes one method frame's arguments; made for a single frame and thrown away. */
class MethodWriter {
  readonly #parts: Buffer[] = []
  readonly #channel: number

  constructor(channel: number, method: number) {
    this.#channel = channel
    this.u32(method)
  }

  u8(value: number): this {
    return this.#add(Buffer.of(value))
  }

  u16(value: number): this {
    return this.#add(Buffer.of(value >>> 8, value & 0xff))
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return this.#add(bytes)
  }

  shortString(text: string): this {
    const bytes = Buffer.from(text)
    if (bytes.length > 255) throw new Error(`'${text.slice(0, 40)}…' is longer than 255 bytes`)
    return this.u8(bytes.length).#add(bytes)
  }

  longString(bytes: Uint8Array): this {
    return this.u32(bytes.length).#add(Buffer.from(bytes))
  }

  frame(): Buffer {
    const payload = Buffer.concat(this.#parts)
    const frame = Buffer.alloc(payload.length + 8)
    frame[0] = FrameType.Method
    frame.writeUInt16BE(this.#channel, 1)
    frame.writeUInt32BE(payload.length, 3)
    payload.copy(frame, 7)
    frame[frame.length - 1] = frameEndOctet
    return frame
  }

  #add(bytes: Buffer): this {
    this.#parts.push(bytes)
    return this
  }
}

export type Table = { readonly [key: string]: string | boolean | number | Table }

/** A field table of strings, booleans, numbers of 32 bits and tables, which is all that is needed here (AMQP 0-9-1 §4.2.5.5). */
export function encodeTable(table: Table): Buffer {
  const parts: Buffer[] = []
  for (const [key, value] of Object.entries(table)) {
    parts.push(Buffer.of(Buffer.byteLength(key)), Buffer.from(key))
    if (typeof value === 'boolean') parts.push(Buffer.from('t'), Buffer.of(value ? 1 : 0))
    else if (typeof value === 'number') {
      const bytes = Buffer.alloc(5)
      bytes.write('I', 'latin1')
      bytes.writeInt32BE(value, 1)
      parts.push(bytes)
    } else {
      const bytes = typeof value === 'string' ? Buffer.from(value) : encodeTable(value)
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      parts.push(Buffer.from(typeof value === 'string' ? 'S' : 'F'), length, bytes)
    }
  }
  return Buffer.concat(parts)
}

const noTable = Buffer.alloc(0)

export const protocolHeader = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1')

export function startOk(user: string, password: string, connectionName: string): Buffer {
  const properties = encodeTable({
    product: 'warren bench',
    connection_name: connectionName,
    capabilities: {
      publisher_confirms: true,
      'basic.nack': true,
      consumer_cancel_notify: true,
      'connection.blocked': true,
      authentication_failure_close: true,
    },
  })
  return new MethodWriter(0, MethodId.ConnectionStartOk)
    .longString(properties)
    .shortString('PLAIN')
    .longString(Buffer.from(`\0${user}\0${password}`))
    .shortString('en_US')
    .frame()
}

export function tuneOk(channelMax: number, frameBytesMax: number): Buffer {
  // Heartbeats are off: a measured row is short, and its watchdog notices a dead broker.
  return new MethodWriter(0, MethodId.ConnectionTuneOk).u16(channelMax).u32(frameBytesMax).u16(0).frame()
}

export function connectionOpen(vhost: string): Buffer {
  return new MethodWriter(0, MethodId.ConnectionOpen).shortString(vhost).shortString('').u8(0).frame()
}

export function connectionClose(): Buffer {
  return new MethodWriter(0, MethodId.ConnectionClose).u16(200).shortString('done').u16(0).u16(0).frame()
}

/** Any method without arguments: open-ok's and close-ok's kin. */
export function bareMethod(channel: number, method: number): Buffer {
  return new MethodWriter(channel, method).frame()
}

export function channelOpen(channel: number): Buffer {
  return new MethodWriter(channel, MethodId.ChannelOpen).shortString('').frame()
}

export function flowOk(channel: number, isActive: boolean): Buffer {
  return new MethodWriter(channel, MethodId.ChannelFlowOk).u8(isActive ? 1 : 0).frame()
}

export function exchangeDeclare(channel: number, exchange: string, type: string): Buffer {
  return new MethodWriter(channel, MethodId.ExchangeDeclare)
    .u16(0)
    .shortString(exchange)
    .shortString(type)
    .u8(0)
    .longString(noTable)
    .frame()
}

export function exchangeDelete(channel: number, exchange: string): Buffer {
  return new MethodWriter(channel, MethodId.ExchangeDelete).u16(0).shortString(exchange).u8(0).frame()
}

export function queueDeclare(channel: number, queue: string, isDurable: boolean, queueArguments: Table = {}): Buffer {
  return new MethodWriter(channel, MethodId.QueueDeclare)
    .u16(0)
    .shortString(queue)
    .u8(isDurable ? 2 : 0)
    .longString(encodeTable(queueArguments))
    .frame()
}

/** Asks how many messages are ready. */
export function queueDeclarePassive(channel: number, queue: string): Buffer {
  return new MethodWriter(channel, MethodId.QueueDeclare).u16(0).shortString(queue).u8(1).longString(noTable).frame()
}

export function queueBind(channel: number, queue: string, exchange: string): Buffer {
  return new MethodWriter(channel, MethodId.QueueBind)
    .u16(0)
    .shortString(queue)
    .shortString(exchange)
    .shortString('')
    .u8(0)
    .longString(noTable)
    .frame()
}

export function queueDelete(channel: number, queue: string): Buffer {
  return new MethodWriter(channel, MethodId.QueueDelete).u16(0).shortString(queue).u8(0).frame()
}

export function basicQos(channel: number, prefetchCount: number): Buffer {
  return new MethodWriter(channel, MethodId.BasicQos).u32(0).u16(prefetchCount).u8(0).frame()
}

export function basicConsume(channel: number, queue: string, consumerTag: string, isAutoAck: boolean): Buffer {
  return new MethodWriter(channel, MethodId.BasicConsume)
    .u16(0)
    .shortString(queue)
    .shortString(consumerTag)
    .u8(isAutoAck ? 2 : 0)
    .longString(noTable)
    .frame()
}

export function confirmSelect(channel: number): Buffer {
  return new MethodWriter(channel, MethodId.ConfirmSelect).u8(0).frame()
}
