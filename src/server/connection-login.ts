import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import type { Timer } from '../base/clock.ts'
import type { LoginOrigin, Principal, Session } from '../broker/commands.ts'
import { type ClientProfile, unknownClient } from './client-profile.ts'
import type { Connection } from './connection.ts'

/**
 * Who is at the other end of a connection, and for how long: a login by token ends with the token, unless the client has
 * shown another one before (`connection.update-secret`).
 */
export class ConnectionLogin {
  client: ClientProfile = unknownClient
  principal: Principal | null = null
  /** The mechanism; empty before login. */
  mechanism = ''
  readonly #connection: Connection
  #expiry: Timer | null = null
  #isRenewing = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  get origin(): LoginOrigin {
    return { address: this.#connection.remoteAddress, via: 'amqp' }
  }

  begin(principal: Principal, client: ClientProfile, mechanism: string): void {
    this.principal = principal
    this.client = client
    this.mechanism = mechanism
    this.#watch(principal)
  }

  /** `connection.update-secret`; false when it must wait for the one before. */
  renew(session: Session, secret: string): boolean {
    if (this.#isRenewing) return false
    this.#isRenewing = true
    const connection = this.#connection
    connection.broker.renewLogin(session, secret, this.origin, (principal) => {
      this.#isRenewing = false
      if (connection.stateName !== 'running') return
      connection.contain(() => this.#renewed(principal))
    })
    return true
  }

  #renewed(principal: Principal | null): void {
    const connection = this.#connection
    if (principal === null) {
      const method = Methods.ConnectionUpdateSecret
      throw new ProtocolError(ReplyCodes.NotAllowed, 'New secret was refused by one of the backends', method)
    }
    this.principal = principal
    this.#watch(principal)
    connection.send({ id: Methods.ConnectionUpdateSecretOk, name: 'connection.update-secret-ok' })
    connection.wake()
  }

  #watch({ token }: Principal): void {
    this.#expiry?.cancel()
    this.#expiry = null
    if (token === undefined) return
    const { clock } = this.#connection
    const leftMs = token.expiresAt - clock.now()
    const step = (): void => {
      if (clock.now() >= token.expiresAt) this.#connection.contain(() => this.#expired())
      else if (this.principal !== null) this.#watch(this.principal)
    }
    this.#expiry = clock.after(Math.min(Math.max(leftMs, 0), timerMsMax), step)
  }

  #expired(): void {
    this.#connection.closeForced('credential expired')
  }

  stop(): void {
    this.#expiry?.cancel()
    this.#expiry = null
  }
}

/** Looked at again after so long at most, in milliseconds: wall time may jump, and Node's timers end at 24 days. */
const timerMsMax = 60_000
