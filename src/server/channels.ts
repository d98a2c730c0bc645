import { readUint32 } from '../amqp/byte-reader.ts'
import { type FrameDecoder, FrameTypes } from '../amqp/frame-decoder.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Session } from '../broker/commands.ts'
import type { Position } from '../broker/ports.ts'
import { Channel, notOpened } from './channel.ts'
import { channelMethod } from './channel-methods.ts'
import type { Connection } from './connection.ts'
import { isLeasePublish } from './lease-extension.ts'

/** The channels of a connection: by number, which frames go to which, and what is to be done to all of them. */
export class Channels {
  /** Agreed on in the handshake. */
  countMax = 0
  readonly #connection: Connection
  readonly #channels = new Map<number, Channel>()
  /** The channel looked up last: frames mostly come in rows for one channel. */
  #last: Channel | null = null
  /** With acks, or confirms, to hand on when the slice, or the turn, ends. */
  #settling: Channel[] = []
  #confirming: Channel[] = []

  constructor(connection: Connection) {
    this.#connection = connection
  }

  get count(): number {
    return this.#channels.size
  }

  values(): Iterable<Channel> {
    return this.#channels.values()
  }

  get(id: number): Channel | null {
    if (this.#last?.id === id) return this.#last
    const channel = this.#channels.get(id) ?? null
    this.#last = channel
    return channel
  }

  /** The first frame of a channel that is not open: it has to be `channel.open`. */
  open(decoder: FrameDecoder, session: Session): true {
    const id = decoder.channel
    const crossed = this.get(id)
    const isMethod = decoder.type === FrameTypes.Method && decoder.payloadEnd - decoder.payloadStart >= 4
    const method = isMethod ? readUint32(decoder.buffer, decoder.payloadStart) : 0
    if (crossed !== null && method === Methods.ChannelCloseOk) {
      crossed.closeOkCame()
      return true
    }
    // The answer to a close of ours that crossed theirs may come even after that.
    if (method === Methods.ChannelCloseOk) return true
    if (crossed === null) this.#checkCount(session)
    if (!isMethod) {
      throw new ProtocolError(ReplyCodes.UnexpectedFrame, 'expected method frame, got non method frame instead')
    }
    if (method !== Methods.ChannelOpen) throw notOpened(method)
    const channel = new Channel(this.#connection, session, id)
    this.#channels.set(id, channel)
    this.#connection.parts.totals.channelsOpened++
    this.#last = channel
    channel.reply({ id: Methods.ChannelOpenOk, name: 'channel.open-ok' })
    return true
  }

  #checkCount(session: Session): void {
    const count = this.#channels.size
    if (count >= this.countMax) {
      throw tooMany(`number of channels opened (${count}) has reached the negotiated channel_max (${this.countMax})`)
    }
    session.channels = this
    const limit = session.channelLimitReached
    if (limit === null) return
    const whose = `number of channels opened for user '${session.principal.username}'`
    throw tooMany(`${whose} has reached the maximum allowed user limit of (${limit})`)
  }

  /** One frame of a channel that has been opened; false when it must wait. */
  frame(channel: Channel, decoder: FrameDecoder): boolean {
    const { buffer, payloadStart, payloadEnd, type } = decoder
    if (type === FrameTypes.Method) {
      if (payloadEnd - payloadStart < 4)
        throw new ProtocolError(ReplyCodes.FrameError, 'a method frame without a method')
      return this.#method(channel, readUint32(buffer, payloadStart), decoder)
    }
    if (!channel.isOpen) return true
    if (channel.publisher.content.isIdle) throw channel.publisher.content.unexpected()
    if (!channel.publisher.isLeaseComing && !this.#connection.router.mayPublish(channel)) return false
    if (type === FrameTypes.Header) channel.publisher.header(buffer, payloadStart, payloadEnd)
    else channel.publisher.body(buffer, payloadStart, payloadEnd)
    return true
  }

  #method(channel: Channel, id: number, decoder: FrameDecoder): boolean {
    const { buffer, payloadStart, payloadEnd } = decoder
    if (!channel.isOpen) {
      if (id === Methods.ChannelClose) channel.closeByPeer()
      else if (id === Methods.ChannelCloseOk) channel.closeOkCame()
      return true
    }
    const { publisher } = channel
    if (!publisher.content.isIdle) throw publisher.content.unexpected()
    const { router } = this.#connection
    if (publisher.transaction?.isCommitting !== true) {
      if (id === Methods.TxCommit && !router.mayCommit) return false
      if (id === Methods.BasicPublish) {
        const isLease = publisher.hasRoom && isLeasePublish(buffer, payloadStart + 4, payloadEnd)
        if (!isLease && !router.mayPublish(channel)) return false
        channel.flushSettled()
        publisher.begin(buffer, payloadStart + 4, payloadEnd)
        return true
      }
    }
    return channelMethod(channel, id, buffer, payloadStart, payloadEnd) || router.park(channel, decoder)
  }

  gone(channel: Channel): void {
    if (this.#channels.get(channel.id) === channel) {
      this.#channels.delete(channel.id)
      this.#connection.parts.totals.channelsClosed++
    }
    if (this.#last === channel) this.#last = null
  }

  // ---------------------------------------------------------------- all of them

  settling(channel: Channel): void {
    channel.isSettling = true
    this.#settling.push(channel)
  }

  /** Hands on the acks of a slice. */
  flushSettled(): void {
    while (this.#settling.length > 0) this.#settling.pop()?.flushSettled()
  }

  confirming(channel: Channel): void {
    this.#confirming.push(channel)
    this.#connection.outputWaiting()
  }

  /** Writes the confirms of a turn; whether there were any. */
  flushConfirms(): boolean {
    if (this.#confirming.length === 0) return false
    const channels = this.#confirming
    this.#confirming = []
    for (const channel of channels) channel.publisher.flush()
    return true
  }

  /** Whether some replies still wait. */
  topologyCommitted(committed: Position): boolean {
    for (const channel of this.#channels.values()) channel.topologyCommitted(committed)
    return this.hasHeldReplies
  }

  get hasHeldReplies(): boolean {
    for (const channel of this.#channels.values()) if (channel.hasHeldReplies) return true
    return false
  }

  /** Whether some channel waits for something, or has frames that came while it did. */
  get hasParked(): boolean {
    for (const channel of this.#channels.values()) if (channel.isParked || !channel.parked.isEmpty) return true
    return false
  }

  /** Whether somebody still waits for confirms, a commit or replies. */
  get areBusy(): boolean {
    for (const { publisher } of this.#channels.values()) {
      if ((publisher.confirms?.waiting ?? 0) > 0 || publisher.transaction?.isCommitting === true) return true
    }
    return this.hasHeldReplies
  }

  /** Ends them all; calls back when everything they held is back in its queues. */
  end(done: () => void): void {
    let left = 1
    const ended = (): void => {
      if (--left === 0) done()
    }
    for (const channel of [...this.#channels.values()]) {
      left++
      channel.end(ended)
    }
    this.#connection.parts.totals.channelsClosed += this.#channels.size
    this.#channels.clear()
    this.#last = null
    ended()
  }
}

function tooMany(text: string): ProtocolError {
  return new ProtocolError(ReplyCodes.NotAllowed, text, Methods.ChannelOpen)
}
