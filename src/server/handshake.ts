import { tableOf } from '../amqp/field-table.ts'
import { type FrameDecoder, FrameTypes } from '../amqp/frame-decoder.ts'
import { protocolHeader, protocolHeader09 } from '../amqp/frame-encoder.ts'
import {
  type ConnectionOpen,
  type ConnectionStartOk,
  type ConnectionTuneOk,
  decodeMethod,
  type Method,
  Methods,
} from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Clock } from '../base/clock.ts'
import type { TlsFacts } from '../base/network.ts'
import type { BrokerCommands, LoginOrigin, Principal, Session } from '../broker/commands.ts'
import { type ClientProfile, readClientProfile } from './client-profile.ts'
import type { ServerLimits } from './limits.ts'
import type { Output } from './output.ts'
import { type Mechanism, mechanismsFor, type NameKind, readProof } from './sasl.ts'

/** How we introduce ourselves. Clients and tools compare `version` with RabbitMQ's. */
export interface ServerIdentity {
  readonly product: string
  readonly version: string
  readonly platform: string
  readonly information: string
  /** As it is now. */
  readonly clusterName: () => string
}

export const defaultIdentity: ServerIdentity = {
  product: 'Warren',
  version: '4.1.0',
  platform: 'Node.js',
  information: 'Apache License 2.0',
  clusterName: () => 'warren',
}

/** What both sides have agreed on. */
export interface Tuning {
  readonly frameBytesMax: number
  readonly channelsMax: number
  readonly heartbeatSeconds: number
}

/** The connection, as far as the handshake needs it. */
export interface HandshakeOwner {
  readonly broker: BrokerCommands
  readonly limits: ServerLimits
  readonly identity: ServerIdentity
  readonly clock: Clock
  readonly output: Output
  readonly tls: TlsFacts | null
  readonly parts: { readonly userFrom: NameKind }
  readonly login: {
    readonly origin: LoginOrigin
    begin(principal: Principal, client: ClientProfile, mechanism: string): void
  }
  send(method: Method): void
  fail(error: ProtocolError): void
  /** Ends without a word. */
  destroy(): void
  /** Nothing can be said to this peer: the connection ends once what was sent is out. */
  hangUp(): void
  tuned(tuning: Tuning): void
  opened(session: Session): void
  closeByPeer(): void
  /** Input that waited may go on. */
  wake(): void
}

/**
 * The beginning of a connection (AMQP 0-9-1 §2.2.4), up to `connection.open-ok`:
 *
 *     header ──► start ──► login ──► tune ──► open ──► (running)
 *      "AMQP"    start-ok  password  tune-ok  open
 *                          is checked
 *
 * While the password is checked, on another thread, input waits.
 */
export class Handshake {
  readonly #owner: HandshakeOwner
  #step: 'header' | 'start' | 'login' | 'tune' | 'open' | 'refused' | 'over' = 'header'
  #principal: Principal | null = null

  constructor(owner: HandshakeOwner) {
    this.#owner = owner
  }

  get needsHeader(): boolean {
    return this.#step === 'header'
  }

  /** The first eight bytes. */
  header(buffer: Uint8Array, start: number): void {
    const isOurs = startsWith(buffer, start, protocolHeader) || startsWith(buffer, start, protocolHeader09)
    if (isOurs) {
      this.#step = 'start'
      this.#owner.send(startMethod(this.#owner.identity, mechanismsFor(this.#owner.tls)))
      return
    }
    // What we speak, so that the peer may try again (AMQP 0-9-1 §2.2.4).
    this.#step = 'over'
    const { output } = this.#owner
    const at = output.reserve(protocolHeader.length)
    output.buffer.set(protocolHeader, at)
    this.#owner.hangUp()
  }

  /** One frame; false while it must wait for the login. */
  frame(decoder: FrameDecoder): boolean {
    if (this.#step === 'login' || this.#step === 'refused') return false
    if (decoder.type === FrameTypes.Heartbeat || this.#step === 'over') return true
    if (decoder.type !== FrameTypes.Method || decoder.channel !== 0) {
      throw new ProtocolError(
        ReplyCodes.UnexpectedFrame,
        `type ${decoder.type} on channel ${decoder.channel} before open-ok`,
      )
    }
    const method = decodeMethod(decoder.buffer, decoder.payloadStart, decoder.payloadEnd)
    if (method.id === Methods.ConnectionClose) this.#owner.closeByPeer()
    else if (method.id === Methods.ConnectionStartOk && this.#step === 'start') this.#start(method)
    else if (method.id === Methods.ConnectionTuneOk && this.#step === 'tune') this.#tune(method)
    else if (method.id === Methods.ConnectionOpen && this.#step === 'open') this.#open(method)
    else throw unexpectedMethod(this.#step, method.id)
    return true
  }

  #start(method: ConnectionStartOk): void {
    const { tls, parts, login, broker } = this.#owner
    const mechanism = mechanismsFor(tls).find((name) => name === method.mechanism)
    if (mechanism === undefined) {
      const text = `unknown authentication mechanism '${method.mechanism}'`
      throw new ProtocolError(ReplyCodes.CommandInvalid, text, method.id)
    }
    const client = readClientProfile(method.clientProperties)
    const proof = readProof(mechanism, method.response, { tls, userFrom: parts.userFrom })
    if (proof === null) {
      throw new ProtocolError(ReplyCodes.SyntaxError, `the response to ${mechanism} is malformed`, method.id)
    }
    this.#step = 'login'
    broker.login(proof, login.origin, (principal) => {
      if (this.#step !== 'login') return
      if (principal === null) this.#refuse(mechanism, client)
      else this.#accept(principal, client, mechanism)
    })
  }

  /** The answer is held back, so that guessing is slow; a client that could not read it only sees the socket close. */
  #refuse(mechanism: Mechanism, client: ClientProfile): void {
    this.#step = 'refused'
    const text = `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`
    this.#owner.clock.after(this.#owner.limits.failedLoginDelayMs, () => {
      if (this.#step !== 'refused') return
      if (client.takesLoginFailure) this.#owner.fail(new ProtocolError(ReplyCodes.AccessRefused, text))
      else this.#owner.destroy()
    })
  }

  #accept(principal: Principal, client: ClientProfile, mechanism: Mechanism): void {
    const { limits } = this.#owner
    this.#step = 'tune'
    this.#principal = principal
    this.#owner.login.begin(principal, client, mechanism)
    this.#owner.send({
      id: Methods.ConnectionTune,
      name: 'connection.tune',
      channelMax: limits.channelsMax,
      frameMax: limits.frameBytesMax,
      heartbeat: limits.heartbeatSeconds,
    })
    this.#owner.wake()
  }

  #tune(method: ConnectionTuneOk): void {
    const { limits } = this.#owner
    checkTuned('frame_max', method.frameMax, limits.frameBytesMin, limits.frameBytesMax)
    checkTuned('channel_max', method.channelMax, 1, limits.channelsMax)
    this.#step = 'open'
    this.#owner.tuned({
      frameBytesMax: method.frameMax,
      channelsMax: method.channelMax,
      heartbeatSeconds: method.heartbeat,
    })
  }

  #open(method: ConnectionOpen): void {
    const principal = this.#principal
    if (principal === null) throw unexpectedMethod(this.#step, method.id)
    const session = this.#owner.broker.openSession(principal, method.virtualHost)
    this.#step = 'over'
    this.#owner.opened(session)
    this.#owner.send({ id: Methods.ConnectionOpenOk, name: 'connection.open-ok' })
  }

  /** The connection has ended; a login that is under way leads to nothing. */
  stop(): void {
    this.#step = 'over'
  }
}

function startMethod(identity: ServerIdentity, mechanisms: readonly Mechanism[]): Method {
  const serverProperties = tableOf({
    capabilities: {
      publisher_confirms: true,
      exchange_exchange_bindings: true,
      'basic.nack': true,
      consumer_cancel_notify: true,
      'connection.blocked': true,
      consumer_priorities: true,
      authentication_failure_close: true,
      per_consumer_qos: true,
      direct_reply_to: true,
    },
    cluster_name: identity.clusterName(),
    copyright: 'The Warren authors',
    information: identity.information,
    platform: identity.platform,
    product: identity.product,
    version: identity.version,
  })
  return {
    id: Methods.ConnectionStart,
    name: 'connection.start',
    versionMajor: 0,
    versionMinor: 9,
    serverProperties,
    mechanisms: mechanisms.join(' '),
    locales: 'en_US',
  }
}

/** 0 asks for no limit, which is above any of ours (RabbitMQ's reading of AMQP 0-9-1 §1.4.2.6). */
function checkTuned(field: string, value: number, min: number, max: number): void {
  const refuse = (comparison: string, bound: string, limit: number): ProtocolError =>
    new ProtocolError(
      ReplyCodes.NotAllowed,
      `negotiated ${field} = ${value} is ${comparison} than the ${bound} allowed value (${limit})`,
      Methods.ConnectionTuneOk,
    )
  if (value !== 0 && value < min) throw refuse('lower', 'minimum', min)
  if (value === 0 || value > max) throw refuse('higher', 'maximum', max)
}

function unexpectedMethod(step: string, method: number): ProtocolError {
  return new ProtocolError(ReplyCodes.ChannelError, `unexpected method in connection state ${step}`, method)
}

function startsWith(buffer: Uint8Array, start: number, expected: Uint8Array): boolean {
  return expected.every((octet, index) => buffer[start + index] === octet)
}
