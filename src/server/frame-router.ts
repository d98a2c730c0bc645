import { type FrameDecoder, FrameTypes } from '../amqp/frame-decoder.ts'
import { Methods } from '../amqp/methods.generated.ts'
import type { Timer } from '../base/clock.ts'
import type { AlarmReason, Session } from '../broker/commands.ts'
import type { Channel } from './channel.ts'
import { allowanceBytes } from './congestion.ts'
import type { Connection } from './connection.ts'
import { connectionMethod } from './connection-methods.ts'
import type { ConnectionOwner } from './connection-parts.ts'
import type { PublishTaker } from './frame-loop.ts'
import type { InputFlow } from './input-flow.ts'

/** What clients are told in `connection.blocked`; the first two as RabbitMQ says them. */
const blockedReasons: Readonly<Record<AlarmReason, string>> = {
  memory: 'low on memory',
  disk: 'low on disk',
  cluster: 'no majority of the cluster',
}

/**
 * Where the frames of an open connection go, and what holds them up: a full output, the publish gate, a parked channel,
 * the end of the server.
 */
export class FrameRouter {
  /** Nothing goes on any more: the server closes, and waits for confirms only. */
  isHalted = false
  readonly #connection: Connection
  readonly #input: InputFlow
  readonly #owner: ConnectionOwner
  #heldClose: Timer | null = null
  #wasToldBlocked = false
  /** The congestion that was met last, and how far `publishedBytes` may go in it. */
  #period = 0
  #allowedBytes = 0

  constructor(connection: Connection, input: InputFlow, owner: ConnectionOwner) {
    this.#connection = connection
    this.#input = input
    this.#owner = owner
  }

  /** Deals with one frame; false when it must wait, and all that follows it. */
  frame(decoder: FrameDecoder, session: Session): boolean {
    const connection = this.#connection
    if (this.isHalted || connection.output.isFull) return false
    if (decoder.type === FrameTypes.Heartbeat) return true
    if (decoder.channel === 0) return connectionMethod(connection, decoder)
    const channel = connection.channels.get(decoder.channel)
    if (channel === null || channel.state === 'crossed') return connection.channels.open(decoder, session)
    if (channel.isOpen && this.#isBehindParked(channel)) return this.park(channel, decoder)
    return connection.channels.frame(channel, decoder)
  }

  /** Who takes a publish that lies in the read buffer as a whole; null when there is anything unusual about it. */
  publishTaker(channelId: number): PublishTaker | null {
    const connection = this.#connection
    if (this.isHalted || connection.output.isFull) return null
    const channel = connection.channels.get(channelId)
    if (channel === null || !channel.isOpen || this.#isBehindParked(channel)) return null
    const { publisher } = channel
    if (!publisher.content.isIdle || publisher.transaction?.isCommitting === true) return null
    if (!this.mayPublish(channel)) return null
    if (channel.isSettling) channel.flushSettled()
    return publisher
  }

  /** The channel waits for something, perhaps anew since its parked frames are gone through; or these come first. */
  #isBehindParked(channel: Channel): boolean {
    return channel.isParked || (!channel.parked.isEmpty && this.#input.replaying !== channel)
  }

  /** Puts the decoder's frame aside until its channel can go on; false when it must stay where it is. */
  park(channel: Channel, decoder: FrameDecoder): boolean {
    return this.#input.replaying === channel ? false : this.#input.park(channel, decoder)
  }

  channelResumed(channel: Channel): void {
    this.#input.channelResumed(channel)
  }

  dropParked(channel: Channel): void {
    this.#input.dropParked(channel)
  }

  /** `connection.close` waits for parked channels, but only so long: then what they were given last is not done. */
  holdClose(): false {
    const { clock, limits } = this.#connection
    this.#heldClose ??= clock.after(limits.parkedCloseMsMax, () => {
      const connection = this.#connection
      if (connection.stateName === 'running') connection.contain(() => connection.closeByPeer())
    })
    return false
  }

  close(): void {
    this.#heldClose?.cancel()
  }

  // ---------------------------------------------------------------- publish gate

  /** Whether content may go on; if not, the connection is woken when it may. */
  mayPublish(channel: Channel): boolean {
    const connection = this.#connection
    const gate = connection.broker.publishGate
    if (gate === 'open' || (gate === 'congested' && this.#hasAllowance)) return channel.publisher.hasRoom
    return this.#waitForGate(gate)
  }

  /** Whether a transaction may commit, which publishes all it holds. */
  get mayCommit(): boolean {
    const gate = this.#connection.broker.publishGate
    return gate === 'open' || this.#waitForGate(gate)
  }

  #waitForGate(gate: 'congested' | 'blocked'): false {
    const connection = this.#connection
    this.#owner.waitsForGate(connection)
    if (gate === 'blocked' && !this.#wasToldBlocked && connection.client.takesBlocked) {
      this.#wasToldBlocked = true
      const reason = connection.broker.alarms.map((alarm) => blockedReasons[alarm]).join(' & ')
      connection.send({ id: Methods.ConnectionBlocked, name: 'connection.blocked', reason })
    }
    return false
  }

  /** Whether this connection has published so little since the disk fell behind that it may go on. */
  get #hasAllowance(): boolean {
    const { congestion } = this.#owner
    const { publishedBytes } = this.#connection
    if (this.#period !== congestion.period) {
      this.#period = congestion.period
      this.#allowedBytes = congestion.grant() ? publishedBytes + allowanceBytes : 0
    }
    return publishedBytes < this.#allowedBytes
  }

  gateChanged(): void {
    const connection = this.#connection
    const gate = connection.broker.publishGate
    if (this.#wasToldBlocked && gate !== 'blocked') {
      this.#wasToldBlocked = false
      if (connection.stateName === 'running') {
        connection.send({ id: Methods.ConnectionUnblocked, name: 'connection.unblocked' })
      }
    }
    if (gate === 'open') this.#input.wake()
    else this.#owner.waitsForGate(connection)
  }
}
