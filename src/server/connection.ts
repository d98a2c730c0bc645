import type { FrameDecoder } from '../amqp/frame-decoder.ts'
import { type Method, Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Arena } from '../base/arena.ts'
import type { Clock } from '../base/clock.ts'
import type { Socket, SocketReader, TlsFacts } from '../base/network.ts'
import type { Random } from '../base/random.ts'
import type { RunQueue } from '../base/run-queue.ts'
import type { BrokerCommands, Principal, Session } from '../broker/commands.ts'
import type { Position } from '../broker/ports.ts'
import { Channels } from './channels.ts'
import type { ClientProfile } from './client-profile.ts'
import { ConnectionLogin } from './connection-login.ts'
import { closingFrame, methodOf } from './connection-methods.ts'
import type { ConnectionOwner, ConnectionParts } from './connection-parts.ts'
import type { ConnectionState } from './connection-state.ts'
import { Deadline } from './deadline.ts'
import type { FrameLoop, PublishTaker } from './frame-loop.ts'
import { FrameRouter } from './frame-router.ts'
import { Handshake, type HandshakeOwner, type ServerIdentity, type Tuning } from './handshake.ts'
import { Heartbeat } from './heartbeat.ts'
import { InputFlow, type InputOwner } from './input-flow.ts'
import type { ServerLimits } from './limits.ts'
import { Output, type OutputOwner } from './output.ts'
import { internalError, replyFor } from './reply-mapping.ts'
import type { TurnMember } from './turn-end.ts'
import { WaitingConsumers } from './waiting-consumers.ts'

const shutdownText = "broker forced connection closure with reason 'shutdown'"

/**
 * One client's connection: its state, its errors, its turn. Bytes in are `input-flow.ts`'s, bytes out `output.ts`'s.
 *
 * It is a try boundary: whatever goes wrong for one connection ends that one (541 if it was our mistake) and is logged.
 */
export class Connection implements SocketReader, OutputOwner, TurnMember, InputOwner, HandshakeOwner {
  readonly parts: ConnectionParts
  readonly broker: BrokerCommands
  readonly limits: ServerLimits
  readonly identity: ServerIdentity
  readonly clock: Clock
  readonly random: Random
  readonly runQueue: RunQueue
  readonly arena: Arena
  readonly output: Output
  readonly channels: Channels
  readonly waitingConsumers: WaitingConsumers
  readonly router: FrameRouter
  isStopping = false
  /** Peer and server address, as RabbitMQ names connections. */
  readonly name: string
  readonly remoteAddress: string
  readonly tls: TlsFacts | null
  readonly connectedAt: number
  readonly login: ConnectionLogin
  session: Session | null = null
  bytesRead = 0
  /** Of published content, frames and all. */
  publishedBytes = 0
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  readonly #input: InputFlow
  readonly #deadline: Deadline
  #state: ConnectionState
  heartbeat: Heartbeat | null = null
  #isTurnMember = false
  #isSessionOver = false
  /** The frames cannot be told apart any more. */
  #isOutOfSync = false
  #waitsForReplies = false

  constructor(socket: Socket, parts: ConnectionParts, owner: ConnectionOwner) {
    this.#socket = socket
    this.parts = parts
    this.#owner = owner
    this.broker = parts.broker
    this.limits = parts.limits
    this.identity = parts.identity
    this.clock = parts.clock
    this.random = parts.random
    this.runQueue = parts.runQueue
    this.arena = parts.arena
    this.remoteAddress = socket.remoteAddress
    this.name = `${socket.remoteAddress}:${socket.remotePort} -> ${socket.localAddress}:${socket.localPort}`
    this.tls = socket.tls ?? null
    this.connectedAt = parts.clock.now()
    this.#deadline = new Deadline(parts.clock, (reason) => this.#abort(reason))
    this.output = new Output(socket, parts.arena, parts.limits, this)
    this.login = new ConnectionLogin(this)
    this.channels = new Channels(this)
    this.waitingConsumers = new WaitingConsumers(this.output, parts.runQueue)
    this.#input = new InputFlow(this, { socket, ...parts })
    this.router = new FrameRouter(this, this.#input, owner)
    this.#state = { name: 'handshake', handshake: new Handshake(this) }
  }

  open(): void {
    const { handshakeMsMax } = this.limits
    this.#deadline.set(handshakeMsMax, `no login within ${handshakeMsMax} ms`)
    this.#socket.open(this)
  }

  get client(): ClientProfile {
    return this.login.client
  }

  get principal(): Principal | null {
    return this.login.principal
  }

  get stateName(): ConnectionState['name'] {
    return this.#state.name
  }

  // ---------------------------------------------------------------- socket

  data(buffer: Uint8Array, start: number, end: number): void {
    this.bytesRead += end - start
    if (this.principal === null && this.bytesRead > this.limits.loginBytesMax && this.#state.name === 'handshake') {
      this.#abort(`more than ${this.limits.loginBytesMax} bytes before login`)
      return
    }
    this.contain(() => this.#input.received(buffer, start, end))
  }

  /** In its turn: when very many peers go at once, closing all their sockets takes long. */
  ended(): void {
    this.runQueue.add({ run: () => this.#peerEnded() })
  }

  #peerEnded(): false {
    if (this.#state.name === 'running') this.#abort('client closed the socket without closing the connection')
    else if (this.#state.name !== 'ending' || this.#state.isAllSaid) this.#socket.destroy()
    return false
  }

  closed(error: Error | null): void {
    if (this.#state.name === 'closed') return
    if (error !== null) this.#log(`socket: ${error.message}`)
    if (this.#state.name === 'handshake') this.#state.handshake.stop()
    this.#state = { name: 'closed' }
    this.#deadline.clear()
    this.heartbeat?.stop()
    this.login.stop()
    this.#input.close()
    this.router.close()
    this.output.close()
    this.waitingConsumers.close()
    this.contain(() => this.#endSession(() => {}))
    this.#owner.closed(this)
  }

  // ---------------------------------------------------------------- handshake

  get needsHeader(): boolean {
    return this.#state.name === 'handshake' && this.#state.handshake.needsHeader
  }

  header(buffer: Uint8Array, start: number): void {
    if (this.#state.name === 'handshake') this.#state.handshake.header(buffer, start)
  }

  send(method: Method): void {
    this.output.method(0, method)
  }

  tuned(tuning: Tuning): void {
    this.#input.loop.decoder.frameBytesMax = tuning.frameBytesMax
    this.output.frameBytesMax = tuning.frameBytesMax
    this.channels.countMax = tuning.channelsMax
    this.heartbeat = new Heartbeat(this.clock, tuning.heartbeatSeconds, {
      connection: this,
      input: this.#input,
      output: this.output,
      lost: (reason) => this.#abort(reason),
    })
    this.heartbeat.start()
  }

  opened(session: Session): void {
    this.session = session
    this.#state = { name: 'running', session }
    this.#deadline.clear()
    this.#owner.opened(this)
    this.#log(`user '${session.principal.username}' opened vhost '${session.vhost.name}'`)
  }

  wake(): void {
    this.#input.wake()
  }

  // ---------------------------------------------------------------- frames

  get takesInput(): boolean {
    const { name } = this.#state
    return name !== 'ending' && name !== 'closed' && !this.#isOutOfSync
  }

  frame(decoder: FrameDecoder): boolean {
    const state = this.#state
    switch (state.name) {
      case 'running':
        return this.router.frame(decoder, state.session)
      case 'handshake':
        return state.handshake.frame(decoder)
      case 'closing':
        closingFrame(this, decoder)
        return true
      default:
        return false
    }
  }

  publishTaker(channelId: number): PublishTaker | null {
    return this.#state.name === 'running' ? this.router.publishTaker(channelId) : null
  }

  /** What a frame led to was as much work as this many usual frames. */
  spend(frames: number): void {
    this.#input.loop.spend(frames)
  }

  sliceEnded(): void {
    this.contain(() => this.channels.flushSettled())
  }

  // ---------------------------------------------------------------- turn

  outputWaiting(): void {
    if (this.#isTurnMember) return
    this.#isTurnMember = true
    this.parts.turnEnd.add(this)
  }

  turnEnded(): void {
    this.#isTurnMember = false
    if (this.#state.name === 'closed') return
    this.contain(() => {
      if (this.channels.flushConfirms()) this.#input.wake()
      this.output.flush()
      if (this.router.isHalted && !this.channels.areBusy) this.closeForced(shutdownText)
    })
  }

  outputDrained(): void {
    this.contain(() => {
      this.#input.wake()
      this.waitingConsumers.wake()
    })
  }

  outputFailed(error: Error): void {
    this.#abort(error.message)
  }

  repliesHeld(): void {
    this.#owner.waitsForTopology(this)
  }

  /** Replies that waited for this position may go; true when some still wait. */
  topologyCommitted(committed: Position): boolean {
    let isWaiting = false
    this.contain(() => {
      isWaiting = this.channels.topologyCommitted(committed)
      if (this.#waitsForReplies && !isWaiting) this.#closeOk()
    })
    return isWaiting
  }

  // ---------------------------------------------------------------- errors

  /** Runs a step; what it throws ends this connection or its channel and nothing else. */
  contain(step: () => void): void {
    try {
      step()
    } catch (error) {
      const reply = replyFor(error)
      if (reply === null) this.failInternally(error)
      else this.fail(reply)
    }
  }

  frameFailed(error: unknown, loop: FrameLoop): void {
    const { decoder } = loop
    if (!loop.isInSync) this.#isOutOfSync = true
    const reply = replyFor(error, methodOf(decoder))
    if (reply === null) {
      this.failInternally(error)
      return
    }
    const channel = this.channels.get(decoder.channel)
    if (reply.scope === 'channel' && channel !== null) channel.closeWith(reply)
    else this.fail(reply)
  }

  /** Our own mistake: the connection ends with 541. */
  failInternally(cause: unknown): void {
    this.parts.logger.error({ connection: this.name, error: cause }, 'internal error in a connection')
    this.fail(internalError(cause))
  }

  noteError(error: ProtocolError, channelId: number): void {
    this.parts.logger.warn({ connection: this.name, channel: channelId, code: error.replyCode }, error.message)
  }

  // ---------------------------------------------------------------- close

  /** We close the connection because of an error. */
  fail(error: ProtocolError): void {
    const { name } = this.#state
    if (name !== 'handshake' && name !== 'running') return
    this.noteError(error, 0)
    this.#sendClose(error)
  }

  /** An operator, or the end of the server: 320. */
  closeForced(reason: string): void {
    this.fail(new ProtocolError(ReplyCodes.ConnectionForced, reason))
  }

  #sendClose(error: ProtocolError): void {
    if (this.#state.name === 'handshake') this.#state.handshake.stop()
    this.#state = { name: 'closing' }
    this.router.isHalted = false
    this.#endSession(() => {})
    this.send({
      id: Methods.ConnectionClose,
      name: 'connection.close',
      replyCode: error.replyCode,
      replyText: error.message,
      classId: error.classId,
      methodId: error.methodId,
    })
    this.#deadline.set(this.limits.closeMsMax, 'no close-ok')
    // No close-ok can be read any more: what is written goes out, and that is all.
    if (this.#isOutOfSync) this.hangUp()
    else this.#input.wake()
  }

  /** The peer closes: all it asked for is answered and all it held goes back before it gets its close-ok. */
  closeByPeer(): void {
    if (this.#state.name === 'handshake') this.#state.handshake.stop()
    this.#state = { name: 'ending', isAllSaid: false }
    this.#deadline.set(this.limits.closeMsMax, 'the socket was not closed')
    this.#input.drain()
    if (this.channels.hasHeldReplies) this.#waitsForReplies = true
    else this.#closeOk()
  }

  #closeOk(): void {
    this.#waitsForReplies = false
    this.channels.flushConfirms()
    this.#endSession(() => {
      this.send({ id: Methods.ConnectionCloseOk, name: 'connection.close-ok' })
      this.hangUp()
    })
  }

  /** Nothing is left to say: the socket is closed once what was written is out. */
  hangUp(): void {
    if (this.#state.name === 'closed') return
    this.#state = { name: 'ending', isAllSaid: true }
    this.#deadline.set(this.limits.closeMsMax, 'the socket was not closed')
    this.#input.drain()
    this.output.whenEmpty(() => this.#socket.end())
  }

  /** Stops taking input and, once all pending confirms are out, closes (320). */
  drain(): void {
    this.isStopping = true
    if (this.#state.name === 'handshake') this.#abort('shutdown')
    if (this.#state.name !== 'running' || this.router.isHalted) return
    this.router.isHalted = true
    this.outputWaiting()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #abort(reason: string): void {
    if (this.#state.name === 'closed') return
    this.#log(reason)
    this.#socket.destroy()
  }

  /** All channels give back what they hold, then the session's exclusive queues are deleted. Once. */
  #endSession(done: () => void): void {
    if (this.#isSessionOver) return
    this.#isSessionOver = true
    this.channels.end(() => {
      if (this.session === null) done()
      else this.broker.closeSession(this.session, () => this.contain(done))
    })
  }

  #log(message: string): void {
    this.parts.logger.info({ connection: this.name }, message)
  }
}
